"""The clock of a disk, by which its files have their age."""

import time
from pathlib import Path

from app.disks import time_on


def test_the_time_on_a_disk_is_that_of_files_written_there_now(tmp_path: Path) -> None:
    (tmp_path / "before").touch()
    now = time_on(tmp_path)
    (tmp_path / "after").touch()
    assert (tmp_path / "before").stat().st_mtime <= now <= (tmp_path / "after").stat().st_mtime
    assert sorted(path.name for path in tmp_path.iterdir()) == ["after", "before"]


def test_without_the_folder_it_is_this_machine_s(tmp_path: Path) -> None:
    assert abs(time_on(tmp_path / "none") - time.time()) < 5
