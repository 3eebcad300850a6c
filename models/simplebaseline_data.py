"""Labelled views to train a backbone on: a capture's own files, or people cut out of COCO-style images.

A capture's images are cut as the service cuts them, through the rig's fixed views and through windows around the
person, so training sees what serving sees. All views of a run lie in
one array on the disk, cut when the run starts.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
from numpy.lib.format import open_memmap
from numpy.typing import NDArray

from models.crops import DEFAULT as CROPS
from models.cutting import ViewCutter
from models.errors import InvalidImage, InvalidLabels, InvalidRig, SkeletonMismatch
from models.geometry import INPUT_SIZE
from models.heatmap import HEATMAP_SIZE
from models.labelled import labels_from_document, labels_to_view
from models.rig import Rig
from models.simplebaseline_files import ImageFiles, read_json
from models.skeletons import SKELETONS
from models.views import View

Images = NDArray[np.uint8]
_COCO: Final = SKELETONS["coco17"]
_COCO_MARGIN: Final = 1.25  # of the box around a person, as in the paper
_CLOSER: Final = 1.25  # a window that magnifies less shows hardly more than the view
_BLOCKS: Final = 10  # frames are held out in runs: neighbours in a film are almost the same image


@dataclass(frozen=True)
class Source:
    """Labelled views that are not cut yet.

    ``names`` and ``groups`` [N] say which image and which frame each is of; views of one frame stay together when
    frames are held out. ``joints_view`` [N, J, 2] is in heatmap pixels, NaN where not labelled; ``views`` cuts one
    after another, uint8 RGB [256, 256, 3].
    """

    skeleton: str
    names: tuple[str, ...]
    groups: tuple[str, ...]
    joints_view: NDArray[np.float64]
    views: Callable[[], Iterator[Images]]


@dataclass(frozen=True)
class Samples:
    """Cut views uint8 RGB [N, 256, 256, 3] with joints [N, J, 2] in heatmap pixels, NaN where not labelled."""

    skeleton: str
    groups: tuple[str, ...]
    images: Images
    joints_view: NDArray[np.float64]

    @property
    def digest(self) -> str:
        """SHA-256 of views and labels."""
        found = hashlib.sha256(self.skeleton.encode())
        for image in self.images:
            found.update(image.tobytes())
        found.update(np.nan_to_num(self.joints_view, nan=-1e9).tobytes())
        return found.hexdigest()


def capture(rig_file: Path, labels_file: Path, frames: Path) -> Source:
    """A capture as API.md has it: the rig's JSON, the labels' JSON, and a zip or folder of ``<frame>/<camera>.jpg``.

    Only images of labelled views are needed. Raises InvalidRig, InvalidLabels or InvalidImage naming the place.
    """
    rig = _rig(rig_file)
    labelled, joints_image, _ = labels_from_document(rig, read_json(labels_file))
    windows = _windows(rig, labels_to_view(rig, joints_image))
    files, cutter = ImageFiles(frames), ViewCutter(rig)
    names = tuple(f"{labelled[window.frame]}/{rig.cameras[window.camera].id}" for window in windows)

    def views() -> Iterator[Images]:
        for name, same in groupby(zip(names, windows, strict=True), itemgetter(0)):
            image = files.read(name)
            for _, window in same:
                yield _cut(cutter, window, image, name)

    groups = tuple(f"{labels_file}:{labelled[window.frame]}" for window in windows)
    joints = np.array([window.joints for window in windows]).reshape(-1, len(rig.skeleton.joints), 2)
    return Source(rig.joints, names, groups, joints, views)


@dataclass(frozen=True)
class _Window:
    """What is cut out of one image, with its joints [J, 2] in the window's heatmap pixels."""

    frame: int
    camera: int
    view: View
    joints: NDArray[np.float64]


def _windows(rig: Rig, joints_view: NDArray[np.float64]) -> list[_Window]:
    """For every image with labels the rig's fixed view and, where that is much closer, a window around the person.

    The service looks through both kinds (models.crops).
    """
    windows = []
    for frame, camera in np.argwhere(np.isfinite(joints_view).all(-1).any(-1)).tolist():
        fixed, joints = rig.views[camera], joints_view[frame, camera]
        windows.append(_Window(frame, camera, fixed, joints))
        known = joints[np.isfinite(joints).all(-1)]
        low, high = known.min(0), known.max(0)
        zoom = min(CROPS.max_zoom, HEATMAP_SIZE / max(1.0, (1 + 2 * CROPS.margin) * float((high - low).max())))
        if zoom >= _CLOSER and len(known) >= CROPS.found * len(joints):
            nearer = np.diag([zoom, zoom, 1.0])
            nearer[:2, 2] = (HEATMAP_SIZE - 1) / 2 - zoom * (low + high) / 2
            windows.append(_Window(frame, camera, View(nearer @ fixed.K), zoom * joints + nearer[:2, 2]))
    return windows


def _rig(path: Path) -> Rig:
    try:
        return Rig.from_dict(read_json(path))
    except (KeyError, TypeError, AttributeError) as error:
        raise InvalidRig(f"{path} is no rig as POST /v1/rigs takes it: {error} is missing or wrong.") from error


def _cut(cutter: ViewCutter, window: _Window, image: Images, name: str) -> Images:
    try:
        return cutter.cut(window.camera, image, window.view)
    except InvalidImage as error:
        raise InvalidImage(f"{name}: {error.message}", at=name, code=error.code) from error


def coco_people(annotations: Path, folder: Path) -> Source:
    """People of a COCO keypoints file: each cut as a square of 1.25 times its box, ``crowd`` and unlabelled ones out.

    Raises InvalidLabels or InvalidImage naming the annotation or image at fault.
    """
    document = read_json(annotations)
    try:
        files = {entry["id"]: str(entry["file_name"]) for entry in document["images"]}
        entries = [entry for entry in document["annotations"] if not entry.get("iscrowd") and any(entry["keypoints"])]
        people = [_person(entry, files) for entry in entries]
    except (KeyError, TypeError, AttributeError) as error:
        raise InvalidLabels(f"{annotations} is no COCO keypoints file: {error} is missing or wrong.") from error
    images = ImageFiles(folder)

    def views() -> Iterator[Images]:
        for name, corner, side, _ in people:
            yield _square(images.read(name.rpartition(".")[0]), corner, side)

    names = tuple(name for name, *_ in people)
    joints = np.array([joints for *_, joints in people]).reshape(-1, len(_COCO.joints), 2)
    return Source(_COCO.name, names, tuple(f"{annotations}:{name}" for name in names), joints, views)


def _person(entry: dict[str, Any], files: dict[int, str]) -> tuple[str, NDArray[np.float64], float, Any]:
    """(file, upper left corner [2] and side of the square in image pixels, joints in heatmap pixels [17, 2])."""
    at = f"annotations.{entry.get('id')}"
    if entry["image_id"] not in files:
        raise InvalidLabels(f"Annotation {entry.get('id')} is of an image that is not listed.", at=at)
    keypoints = np.array(entry["keypoints"], np.float64)
    x, y, width, height = entry["bbox"]
    if keypoints.shape != (3 * len(_COCO.joints),) or not np.isfinite(keypoints).all():
        raise InvalidLabels(f"Annotation {entry.get('id')} needs 17 keypoints x, y, v.", at=f"{at}.keypoints")
    if not (width > 0 and height > 0):
        raise InvalidLabels(f"The box of annotation {entry.get('id')} has no size.", at=f"{at}.bbox")
    side = _COCO_MARGIN * max(width, height)
    corner = np.array([x + width / 2, y + height / 2]) - side / 2
    rows = keypoints.reshape(-1, 3)
    joints = (rows[:, :2] + 0.5 - corner) * HEATMAP_SIZE / side - 0.5
    return files[entry["image_id"]], corner, side, np.where(rows[:, 2:] > 0, joints, np.nan)


def _square(image: Images, corner: NDArray[np.float64], side: float) -> Images:
    """The square at ``corner`` (pixel edges) as [256, 256, 3], black outside; reduced by areas first, not to alias."""
    factor = max(1, int(side / INPUT_SIZE))
    size = (max(1, image.shape[1] // factor), max(1, image.shape[0] // factor))
    reduced = image if factor == 1 else cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    shrunk = np.array(size) / image.shape[1::-1]
    scale = INPUT_SIZE / (side * shrunk)
    offset = -corner * shrunk * scale + 0.5 * scale - 0.5
    matrix = np.array([[scale[0], 0, offset[0]], [0, scale[1], offset[1]]])
    return np.asarray(cv2.warpAffine(reduced, matrix, (INPUT_SIZE, INPUT_SIZE), flags=cv2.INTER_LINEAR), np.uint8)


def gather(sources: Sequence[Source], path: Path, progress: Callable[[float], None] = lambda _: None) -> Samples:
    """Cut all views into the array file ``path``; raises SkeletonMismatch where the sources differ in their joints."""
    skeletons = sorted({source.skeleton for source in sources})
    if len(skeletons) != 1:
        raise SkeletonMismatch(f"One backbone finds one joint set, but the labels are of {', '.join(skeletons)}.")
    count = sum(len(source.names) for source in sources)
    if not count:
        raise InvalidLabels("The labels name no joint in any image.", at="labels")
    path.parent.mkdir(parents=True, exist_ok=True)
    images = open_memmap(path, "w+", np.uint8, (count, INPUT_SIZE, INPUT_SIZE, 3))
    done = 0
    for source in sources:
        for view in source.views():
            images[done] = view
            done += 1
            progress(done / count)
    images.flush()
    return Samples(
        skeletons[0],
        tuple(group for source in sources for group in source.groups),
        np.load(path, mmap_mode="r"),
        np.concatenate([source.joints_view for source in sources]),
    )


def split(samples: Samples, hold_out: float, seed: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Indices of the views to train on and of those held out: whole frames, in up to ten runs of neighbours."""
    frames = {name: index for index, name in enumerate(dict.fromkeys(samples.groups))}
    blocks = np.array_split(np.arange(len(frames)), min(_BLOCKS, len(frames)))
    held = max(1, round(hold_out * len(blocks))) if hold_out else 0
    if held >= len(blocks):
        raise InvalidLabels(f"{len(frames)} labelled frames are too few to hold {hold_out:.0%} of them out.")
    chosen = np.random.default_rng(seed).permutation(len(blocks))[:held]
    out = np.concatenate([np.empty(0, np.intp), *(blocks[i] for i in sorted(chosen))])
    is_out = np.isin([frames[name] for name in samples.groups], out)
    return np.flatnonzero(~is_out), np.flatnonzero(is_out)
