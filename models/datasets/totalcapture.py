"""Total Capture: calibration.cal in metres, gt_skel_gbl_pos.txt in inches, one video a camera at 60 frames a second.

``calibration.cal`` begins with the number of cameras and the order of the radial distortion, which is 1. Each camera
has seven lines: first and last row and column of the image; fx fy cx cy; k1; the three rows of R; t, with
``x_cam = R·X + t``. ``gt_skel_gbl_pos.txt`` names 21 joints in its first line and has x y z of each in every other
line. Formats as github.com/zhezh/TotalCapture-Toolbox reads them.
"""

import re
from collections.abc import Sequence as Strings
from pathlib import Path

import numpy as np

from models.datasets import files
from models.datasets.files import Array, fault, words
from models.datasets.images import VideoImages
from models.datasets.sequence import Dataset, Sequence, spread
from models.rig import Camera

METRES_PER_INCH = 0.0254
TRAIN_SUBJECTS, TEST_SUBJECTS = (1, 2, 3), (1, 2, 3, 4, 5)
TRAIN = (
    "rom1", "rom2", "rom3", "walking1", "walking3", "freestyle1", "freestyle2", "acting1", "acting2", "running1",
)  # fmt: skip
TEST = ("walking2", "freestyle3", "acting3")
JOINTS = (
    "Hips", "RightUpLeg", "RightLeg", "RightFoot", "LeftUpLeg", "LeftLeg", "LeftFoot", "Spine", "Neck", "Head",
    "LeftArm", "LeftForeArm", "LeftHand", "RightArm", "RightForeArm", "RightHand",
)  # fmt: skip  # in the order of our totalcapture16
_USUAL = ("1", "3", "5", "7")  # the four that the paper's predecessors use
_LINES = 7
_POSITIONS = "gt_skel_gbl_pos.txt"


def open_dataset(root: Path, cameras: int | Strings[str], every: int) -> Dataset:
    """The published split: subjects 1–3 to label, Walking2, Freestyle3 and Acting3 of all five to test.

    Recordings that are not under ``root`` are passed over; raises DatasetError where a side of the split is empty.
    """
    known = read_calibration(root / "calibration.cal")
    names = _chosen(known, cameras) if isinstance(cameras, int) else list(cameras)
    split = ((TRAIN_SUBJECTS, TRAIN), (TEST_SUBJECTS, TEST))
    sides = []
    for subjects, recordings in split:
        found = [(s, name) for s in subjects for name in recordings if _positions(root, s, name).is_file()]
        if not found:
            raise fault(root, "", f"has none of {', '.join(recordings)}: expected s1/{recordings[0]}/{_POSITIONS}.")
        sides.append(tuple(read_sequence(root, s, name, cameras=names, every=every) for s, name in found))
    note = "the published split: S1–3 against Walking2, Freestyle3 and Acting3 of S1–5"
    return Dataset("totalcapture", sides[0], sides[1], note=note)


def read_sequence(root: Path, subject: int, name: str, *, cameras: Strings[str], every: int = 1) -> Sequence:
    """One recording, every ``every``-th frame. Raises DatasetError."""
    calibration = root / "calibration.cal"
    known = read_calibration(calibration)
    if unknown := sorted(set(cameras) - known.keys()):
        raise fault(calibration, "", f"has no camera {', '.join(unknown)}: it has {', '.join(known)}.")
    file = _positions(root, subject, name)
    joints = read_positions(file)
    rig = files.rig(
        calibration, cameras=tuple(known[c] for c in cameras), joints="totalcapture16", up=_up(joints, file)
    )
    frames = np.arange(len(joints))[::every]
    return Sequence(f"S{subject}/{name}", rig, frames, joints[::every], _videos(root, subject, name))


def read_calibration(file: Path) -> dict[str, Camera]:
    """The cameras by number, "1" to "8", in metres. Raises DatasetError naming the line."""
    lines = [(number, line) for number, line in enumerate(files.read_text(file).splitlines(), 1) if line.strip()]
    if not lines:
        raise fault(file, "line 1", "expected the number of cameras and the order of the distortion.")
    count, order = words(lines[0][1], 2, file, lines[0][0]).astype(int).tolist()
    if order != 1:
        raise fault(file, "line 1", f"has distortion of order {order}; the published file has order 1.")
    if count < 1 or len(lines) != 1 + _LINES * count:
        raise fault(file, "", f"expected {1 + _LINES * count} lines for {count} cameras, found {len(lines)}.")
    blocks = [lines[1 + _LINES * i : 1 + _LINES * (i + 1)] for i in range(count)]
    return {str(i): _camera(str(i), block, file) for i, block in enumerate(blocks, 1)}


def read_positions(file: Path) -> Array:
    """The 16 joints [F, 16, 3] in metres; a joint that is not finite is NaN. Raises DatasetError naming the line."""
    lines = files.read_text(file).splitlines()
    names = lines[0].split() if lines else []
    if missing := sorted(set(JOINTS) - set(names)):
        raise fault(file, "line 1", f"expected joint names, among them {', '.join(missing)}.")
    rows = [(number, line) for number, line in enumerate(lines[1:], 2) if line.strip()]
    if not rows:
        raise fault(file, "line 2", "expected joints.")
    values = np.array([_row(line, len(names), file, number) for number, line in rows])
    joints = METRES_PER_INCH * values.reshape(len(rows), len(names), 3)[:, [names.index(name) for name in JOINTS]]
    return np.where(np.isfinite(joints).all(-1, keepdims=True), joints, np.nan)


def _row(line: str, joints: int, file: Path, number: int) -> list[float]:
    found = line.split()
    if len(found) != 3 * joints:
        raise fault(file, f"line {number}", f"expected {3 * joints} numbers, found {len(found)}.")
    try:
        return [float(value) for value in found]
    except ValueError as error:
        raise fault(file, f"line {number}", f"{error}.") from error


def _camera(name: str, block: list[tuple[int, str]], file: Path) -> Camera:
    counts = (4, 4, 1, 3, 3, 3, 3)
    bounds, inner, k, *R, t = (words(line, n, file, number) for (number, line), n in zip(block, counts, strict=True))
    fx, fy, cx, cy = inner
    height, width = (int(last - first) + 1 for first, last in (bounds[:2], bounds[2:]))
    return files.camera(
        file, f"line {block[0][0]}", id=name, width=width, height=height,
        K=np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]]), dist=np.array([k[0], 0, 0, 0, 0]), R=np.stack(R), t=t,
    )  # fmt: skip


def _up(joints: Array, file: Path) -> Array:
    """The axis from feet to neck, measured: no file says which one points up."""
    feet, neck = (
        joints[:, [JOINTS.index("RightFoot"), JOINTS.index("LeftFoot")]].mean(1),
        joints[:, JOINTS.index("Neck")],
    )
    bodies = neck - feet
    bodies = bodies[np.isfinite(bodies).all(1)]
    if not len(bodies):
        raise fault(file, "", "has no frame with feet and neck.")
    body = np.median(bodies, axis=0)
    up = np.zeros(3)
    up[np.abs(body).argmax()] = np.sign(body[np.abs(body).argmax()])
    return up


def _folders(root: Path, subject: int, name: str) -> list[Path]:
    """Where a recording's files may lie: s1/acting1 or S1/acting1, whatever the case of either."""
    wanted = re.compile(rf"s{subject}", re.IGNORECASE)
    subjects = sorted(f for f in root.iterdir() if f.is_dir() and wanted.fullmatch(f.name)) if root.is_dir() else []
    return [f for s in subjects for f in sorted(s.iterdir()) if f.is_dir() and f.name.lower() == name]


def _positions(root: Path, subject: int, name: str) -> Path:
    found = [f / _POSITIONS for f in _folders(root, subject, name) if (f / _POSITIONS).is_file()]
    return found[0] if found else root / f"s{subject}" / name / _POSITIONS


def _videos(root: Path, subject: int, name: str) -> VideoImages:
    def path(camera: str) -> Path:
        file = f"TC_S{subject}_{name}_cam{camera}.mp4"
        found = [f / file for f in _folders(root, subject, name) if (f / file).is_file()]
        return found[0] if found else root / f"s{subject}" / name / file

    return VideoImages(path)


def _chosen(known: dict[str, Camera], count: int) -> list[str]:
    if count == len(_USUAL) and set(_USUAL) <= known.keys():
        return list(_USUAL)
    return [camera.id for camera in spread(list(known.values()), count)]
