"""A short run of schemathesis, with all its checks, against a real process; the long one is benchmarks/api_fuzz.py."""

import re
from pathlib import Path

from benchmarks.api_fuzz import fuzz, served


def test_every_operation_answers_as_the_description_says(tmp_path: Path) -> None:
    with served() as (url, ids):
        done = fuzz(url, ids, tmp_path, "--phases", "examples,fuzzing", "--max-examples", "4", "--seed", "4")
    assert done.returncode == 0, done.stdout + done.stderr
    operations = re.search(r"Selected: (\d+)/(\d+)\s+Tested: (\d+)", done.stdout)
    assert operations is not None, done.stdout
    assert len(set(operations.groups())) == 1
    assert int(operations.group(1)) > 40
