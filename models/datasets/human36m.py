"""Human3.6M as its own site publishes it: metadata.xml of the toolbox, D3_Positions (.cdf) and the videos.

Joints are in millimetres in the world of the subject; of 32, of which half repeat others, 17 move. Frame i of the
annotation is image i of the video. Read through cdflib, the extra ``datasets``.
"""

from collections.abc import Sequence as Strings
from pathlib import Path
from typing import Any

import numpy as np

from models.datasets.files import Array, fault
from models.datasets.human36m_metadata import CAMERAS, Metadata, read_metadata
from models.datasets.images import VideoImages
from models.datasets.sequence import Dataset, Sequence
from models.errors import DatasetError

TRAIN, TEST = (1, 5, 6, 7, 8), (9, 11)
JOINTS = (0, 1, 2, 3, 6, 7, 8, 12, 13, 14, 15, 17, 18, 19, 25, 26, 27)  # of the 32, in the order of our h36m17
_PUBLISHED_JOINTS = 32
_ACTIONS = range(2, 17)  # 1 is "_ALL", of which there are no annotations by action
_SHIFTED = "its published joints are shifted against the images (Iskakov et al., ICCV 2019)"
_DAMAGED = {
    (9, 5, 2): _SHIFTED,
    (9, 10, 2): _SHIFTED,
    (9, 13, 1): _SHIFTED,
    (11, 2, 2): "its video of camera 54138969 is corrupted",
}
_FOLDERS = ("MyPoseFeatures/D3_Positions", "Poses_D3_Positions")  # in the archives, and as common tools unpack them


def open_dataset(root: Path, cameras: int | Strings[str], every: int) -> Dataset:
    """The published split by subjects: 1, 5, 6, 7, 8 to label, 9 and 11 to test, without the damaged recordings.

    Recordings that are not under ``root`` are passed over; raises DatasetError where a side of the split is empty.
    """
    metadata = read_metadata(root / "metadata.xml")
    names = CAMERAS[:cameras] if isinstance(cameras, int) else tuple(cameras)
    parts = {subjects: _recordings(root, metadata, subjects, names, every) for subjects in (TRAIN, TEST)}
    for subjects, found in parts.items():
        if not [sequence for sequence in found if not sequence.damaged]:
            listed = ", ".join(f"S{subject}" for subject in subjects)
            raise fault(root, "", f"has no recording of {listed}: expected S1/{_FOLDERS[0]}/<action>.cdf and so on.")
    whole = [tuple(s for s in found if not s.damaged) for found in parts.values()]
    left_out = tuple(f"{s.name}: {s.damaged}" for found in parts.values() for s in found if s.damaged)
    return Dataset("human36m", whole[0], whole[1], left_out, note="split by subject: 1, 5, 6, 7, 8 and 9, 11")


def read_sequence(
    root: Path, metadata: Metadata, subject: int, action: int, take: int, *,
    cameras: tuple[str, ...] = CAMERAS, every: int = 1,
) -> Sequence:  # fmt: skip
    """One recording, every ``every``-th frame. Raises DatasetError."""
    name = metadata.names.get((subject, action, take))
    if name is None:
        raise fault(metadata.file, "mapping", f"has no recording of subject {subject}, action {action}, take {take}.")
    folder = root / f"S{subject}"
    joints = read_positions(_annotation(folder, name))[::every]
    return Sequence(
        name=f"S{subject}/{name}",
        rig=metadata.rig(subject, cameras),
        frames=every * np.arange(len(joints)),
        joints=joints,
        images=VideoImages(lambda camera: folder / "Videos" / f"{name}.{camera}.mp4"),
        damaged=_DAMAGED.get((subject, action, take), ""),
    )


def read_positions(file: Path) -> Array:
    """The 17 moving joints of a D3_Positions file [F, 17, 3] in millimetres; those that are not finite are NaN."""
    cdflib = _cdflib()
    try:
        pose = np.asarray(cdflib.CDF(file).varget("Pose"), np.float64)
    except FileNotFoundError as error:
        raise fault(file, "", "is missing.") from error
    except Exception as error:  # a damaged file makes cdflib fail in whatever way its bytes lead to
        raise fault(file, "Pose", f"cannot be read as CDF: {error}.") from error
    if pose.size == 0 or pose.shape[-1] != 3 * _PUBLISHED_JOINTS or pose.size != pose.shape[-2] * pose.shape[-1]:
        raise fault(file, "Pose", f"expected [1, frames, {3 * _PUBLISHED_JOINTS}], found {list(pose.shape)}.")
    joints = pose.reshape(-1, _PUBLISHED_JOINTS, 3)[:, JOINTS]
    return np.where(np.isfinite(joints).all(-1, keepdims=True), joints, np.nan)


def _recordings(
    root: Path, metadata: Metadata, subjects: tuple[int, ...], cameras: tuple[str, ...], every: int
) -> list[Sequence]:
    keys = [key for key in sorted(metadata.names) if key[0] in subjects and key[1] in _ACTIONS]
    return [
        read_sequence(root, metadata, *key, cameras=cameras, every=every)
        for key in keys
        if any(_annotations(root / f"S{key[0]}", metadata.names[key]))
    ]


def _annotations(folder: Path, name: str) -> list[Path]:
    return [file for kind in _FOLDERS if (file := folder / kind / f"{name}.cdf").is_file()]


def _annotation(folder: Path, name: str) -> Path:
    found = _annotations(folder, name)
    return found[0] if found else folder / _FOLDERS[0] / f"{name}.cdf"


def _cdflib() -> Any:
    try:
        import cdflib  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise DatasetError("Human3.6M's annotations need cdflib: install rigfuse[datasets].") from error
    return cdflib
