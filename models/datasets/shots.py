"""A data set made ready for a backbone: one rig with fixed views, and labels in view pixels."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from models import metrics
from models.datasets.alignment import in_world_of
from models.datasets.sequence import Dataset, Sequence, as_joints
from models.distortion import distort, undistort
from models.errors import DatasetError
from models.rig import Camera, Rig

Array = NDArray[np.float64]

MARGIN_M = 0.25  # of the capture volume around the labelled joints of the training recordings
_MIN_JOINTS = 4  # a frame counts as labelled with this many joints in two views, as an adaptation asks for
_HONEST = 1e-3  # where undoing the distortion leads elsewhere, the lens model does not reach


@dataclass(frozen=True)
class Shot:
    """The frames of one recording in the benchmark's world, joints and views.

    ``rig`` has the recording's own cameras and the benchmark's views; ``joints`` [F, J, 3] are in the rig's unit,
    NaN where missing or not scored; ``labels`` [F, V, J, 2] are in view pixels, NaN where the joint lies outside the
    image; ``half_head`` [F, V] is the detection threshold in view pixels.
    """

    sequence: Sequence
    rig: Rig
    joints: Array
    labels: Array
    half_head: Array

    @property
    def usable(self) -> NDArray[np.intp]:
        """Indices of the frames that have enough labels."""
        seen = np.isfinite(self.labels[..., 0]).sum(1) >= 2
        return np.flatnonzero(seen.sum(1) >= _MIN_JOINTS)


def benchmark_rig(dataset: Dataset, joints: str) -> Rig:
    """The rig to adapt: the cameras of the first training recording, a joint set, and the volume of the labels."""
    reference = dataset.train[0].rig
    margin = MARGIN_M / reference.metres_per_unit
    corners = []
    for sequence in dataset.train:
        points = in_world_of(reference, sequence).joints.reshape(-1, 3)
        points = points[np.isfinite(points).all(1)]
        corners += [points.min(0), points.max(0)] if len(points) else []
    if not corners:
        raise DatasetError("The recordings to learn from have no labelled joint.", at=dataset.train[0].name)
    volume = np.min(corners, axis=0) - margin, np.max(corners, axis=0) + margin
    return replace(reference, joints=joints, volume=volume)


def shots(rig: Rig, sequences: Iterable[Sequence]) -> list[Shot]:
    """Recordings as the benchmark's rig sees them."""
    return [_shot(rig, in_world_of(rig, sequence)) for sequence in sequences]


def _shot(rig: Rig, sequence: Sequence) -> Shot:
    own = replace(rig, cameras=sequence.rig.cameras).with_views(rig.views)
    joints = as_joints(sequence.joints, sequence.rig.joints, rig.joints)
    native = labels_in_views(own, sequence.joints)  # the set's own joints tell the size of the head best
    half_head = metrics.half_head_px(sequence.rig.skeleton, native)
    return Shot(sequence, own, joints, labels_in_views(own, joints), half_head)


def labels_in_views(rig: Rig, joints: Array) -> Array:
    """Joints in space [F, J, 3] in view pixels [F, V, J, 2]; NaN where they lie outside the camera's image."""
    seen = []
    for camera, view in zip(rig.cameras, rig.views, strict=True):
        normalised = _in_image(camera, joints @ camera.R.T + camera.t)
        seen.append(view.apply(normalised))
    return np.stack(seen, axis=1)


def _in_image(camera: Camera, points: Array) -> Array:
    """Normalised coordinates [..., 2] of points [..., 3] in front of a camera, NaN outside its image."""
    depth = np.where(points[..., 2:] > 0, points[..., 2:], np.nan)
    normalised = points[..., :2] / depth
    pixels = distort(camera, normalised)
    inside = (pixels > -0.5).all(-1) & (pixels < np.array([camera.width, camera.height]) - 0.5).all(-1)
    honest = np.linalg.norm(undistort(camera, pixels) - normalised, axis=-1) < _HONEST
    return np.where((inside & honest)[..., None], normalised, np.nan)
