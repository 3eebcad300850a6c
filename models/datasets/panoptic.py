"""CMU Panoptic Studio: calibration_*.json and hdPose3d_stage1_coco19, in centimetres, y pointing down.

Formats as the PanopticStudio Toolbox documents and reads them (github.com/CMU-Perceptual-Computing-Lab/
panoptic-toolbox): ``x_cam = R·X + t`` and ``distCoef`` = k1 k2 p1 p2 k3 are OpenCV's conventions; the 19 joints stand
in the order of our ``panoptic19``. A joint that was not reconstructed is ``0, 0, 0, -1``.
"""

import re
from collections.abc import Sequence as Strings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.datasets import files
from models.datasets.files import fault
from models.datasets.images import FolderImages, ImageSource, VideoImages
from models.datasets.sequence import Dataset, Sequence, spread
from models.errors import DatasetError
from models.rig import Camera

UP = (0.0, -1.0, 0.0)
MIN_CONFIDENCE = 0.1  # as VoxelPose and MMPose take a joint for labelled
_POSES = "hdPose3d_stage1_coco19"
_BODY = re.compile(r"body3DScene_(\d{8})\.json")
_TRAIN_SHARE, _GAP = 0.6, 150  # of one recording alone: 5 s at 29.97 frames a second between labels and test


def open_dataset(root: Path, cameras: int | Strings[str], every: int, *, body: int | None = None) -> Dataset:
    """All recordings under ``root``; ``cameras`` by name, or how many of the HD cameras that have images.

    ``body`` is the id of the person wanted where there are several; without it, frames with exactly one are taken.
    Panoptic has no published split of its frames: the last third of the recordings is the test, or of a single one the
    later frames. Raises DatasetError.
    """
    folders = [folder for folder in sorted(_listed(root)) if (folder / f"calibration_{folder.name}.json").is_file()]
    if not folders:
        raise fault(root, "", "has no folder <sequence> with a calibration_<sequence>.json in it.")
    names = cameras if not isinstance(cameras, int) else _chosen(folders[0], cameras)
    found = [read_sequence(folder, names, every=every, body=body) for folder in folders]
    if len(found) > 1:
        tests = max(1, len(found) // 3)
        return Dataset("panoptic", tuple(found[:-tests]), tuple(found[-tests:]), note="split by recording")
    first, last = found[0].frames[0], found[0].frames[-1]
    border = first + _TRAIN_SHARE * (last - first)
    train, test = (np.flatnonzero(part) for part in (found[0].frames <= border, found[0].frames > border))
    test = test[found[0].frames[test] > border + min(_GAP, 0.1 * (last - first))]
    note = "one recording: its earlier frames are labelled, its later ones tested"
    return Dataset("panoptic", (found[0].subset(train),), (found[0].subset(test),), note=note)


def read_sequence(folder: Path, cameras: Strings[str], *, every: int = 1, body: int | None = None) -> Sequence:
    """One recording, every ``every``-th of its labelled frames. Raises DatasetError."""
    calibration = folder / f"calibration_{folder.name}.json"
    known = read_cameras(calibration)
    if unknown := sorted(set(cameras) - known.keys()):
        raise fault(calibration, "cameras", f"has no camera {', '.join(unknown)}.")
    rig = files.rig(
        calibration, cameras=tuple(known[name] for name in cameras), joints="panoptic19", units="cm", up=np.array(UP)
    )
    frames, joints = _labels(folder / _POSES, every, body)
    return Sequence(folder.name, rig, frames, joints, _images(folder, tuple(cameras)))


def read_cameras(file: Path) -> dict[str, Camera]:
    """All cameras of a calibration by name, t in centimetres."""
    entries = files.read_json(file).get("cameras")
    if not isinstance(entries, list) or not entries:
        raise fault(file, "cameras", "expected a list of cameras.")
    found = {}
    for index, entry in enumerate(entries):
        place = f"cameras[{index}]"
        name = entry.get("name") if isinstance(entry, dict) else None
        if not isinstance(name, str):
            raise fault(file, place, 'expected an object with a name such as "00_00".')
        shapes = {"resolution": (2,), "K": (3, 3), "distCoef": (5,), "R": (3, 3), "t": (3, 1)}
        value = {key: files.numbers(entry.get(key), shape, file, f"{place}.{key}") for key, shape in shapes.items()}
        width, height = value["resolution"].astype(int).tolist()
        found[name] = files.camera(
            file, place, id=name, width=width, height=height,
            K=value["K"], dist=value["distCoef"], R=value["R"], t=value["t"][:, 0],
        )  # fmt: skip
    return found


def read_bodies(file: Path) -> dict[int, NDArray[np.float64]]:
    """The people of one frame by id: joints [19, 3] in centimetres, NaN where not reconstructed."""
    bodies = files.read_json(file).get("bodies")
    if not isinstance(bodies, list):
        raise fault(file, "bodies", "expected a list of people.")
    found = {}
    for index, entry in enumerate(bodies):
        place = f"bodies[{index}]"
        if not isinstance(entry, dict) or not isinstance(entry.get("id"), int):
            raise fault(file, place, "expected an object with an id and joints19.")
        rows = files.numbers(entry.get("joints19"), (76,), file, f"{place}.joints19").reshape(19, 4)
        found[int(entry["id"])] = np.where(rows[:, 3:] > MIN_CONFIDENCE, rows[:, :3], np.nan)
    return found


def _labels(folder: Path, every: int, body: int | None) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    named = sorted((match, file) for file in _listed(folder) if (match := _number(file)) is not None)
    frames, joints = [], []
    for frame, file in named[::every]:
        people = read_bodies(file)
        wanted = people.get(body) if body is not None else next(iter(people.values()), None)
        if wanted is not None and (body is not None or len(people) == 1):
            frames.append(frame)
            joints.append(wanted)
    if not frames:
        who = "exactly one person" if body is None else f"person {body}"
        raise fault(folder, "", f"no frame of {len(named[::every])} body3DScene_*.json has {who}.")
    return np.array(frames, np.intp), np.stack(joints)


def _number(file: Path) -> int | None:
    match = _BODY.fullmatch(file.name)
    return int(match[1]) if match else None


def _listed(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError as error:
        raise fault(folder, "", f"cannot be read: {error.strerror}.") from error


def _video(folder: Path, name: str) -> Path:
    return folder / "hdVideos" / f"hd_{name}.mp4"


def _images(folder: Path, names: tuple[str, ...]) -> ImageSource:
    if all((folder / "hdImgs" / name).is_dir() for name in names):
        return FolderImages(lambda name, frame: folder / "hdImgs" / name / f"{name}_{frame:08d}.jpg")
    for name in names:
        if not _video(folder, name).is_file():
            raise fault(folder, "", f"camera {name} has neither hdImgs/{name}/ nor hdVideos/hd_{name}.mp4.")
    return VideoImages(lambda name: _video(folder, name))


def _chosen(folder: Path, count: int) -> list[str]:
    """``count`` HD cameras far from each other, of those with images."""
    calibration = folder / f"calibration_{folder.name}.json"
    hd = [camera for name, camera in sorted(read_cameras(calibration).items()) if name.startswith("00_")]
    shot = [c for c in hd if (folder / "hdImgs" / c.id).is_dir() or _video(folder, c.id).is_file()]
    if len(shot) < count:
        raise DatasetError(
            f"{folder}: {count} cameras were asked for, but {len(shot)} HD cameras have images.", at=str(folder)
        )
    return [camera.id for camera in spread(shot, count)]
