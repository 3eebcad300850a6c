"""What is served of others is unmodified, named, and under a licence that travels with it."""

import hashlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
VENDOR = ROOT / "app/dashboard/static/vendor"
_ROW = re.compile(r"^\| (\S+) \| \S+@[\d.]+\S* \| \S+ \| \S+ \| ([0-9a-f]{64}) \|$", re.MULTILINE)
ROWS = _ROW.findall((VENDOR / "VENDORED.md").read_text())


@pytest.mark.parametrize(("file", "sha256"), ROWS, ids=[row[0] for row in ROWS])
def test_a_file_is_the_one_recorded_and_named_in_the_notice(file: str, sha256: str) -> None:
    assert hashlib.sha256((VENDOR / file).read_bytes()).hexdigest() == sha256
    assert f"app/dashboard/static/vendor/{Path(file).parts[0]}" in (ROOT / "NOTICE").read_text()


def test_every_file_is_recorded() -> None:
    files = {str(path.relative_to(VENDOR)) for path in VENDOR.rglob("*") if path.is_file()}
    assert files == {row[0] for row in ROWS} | {"VENDORED.md"}
