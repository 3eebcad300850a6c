"""The figures that MetaFuse (Xie, Wang & Wang, CVPR 2020) reports, to be printed beside ours.

They are the paper's: measured with its own ResNet-50 backbone, its own crops of the images and its own choice of frames
and cameras. A difference between its figures and ours is no difference between methods alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

SOURCE = "Xie, Wang and Wang, MetaFuse, CVPR 2020; its own backbone, frames and cameras"


@dataclass(frozen=True)
class Published:
    """A row of the paper: JDR in percent by group of joints, MPJPE in millimetres."""

    method: str
    frames: int | None
    jdr: Mapping[str, float] = field(default_factory=dict)
    mpjpe_mm: float | None = None


def _panoptic(method: str, frames: int | None, jdr: tuple[float, ...], mpjpe: float) -> Published:
    return Published(method, frames, dict(zip(("shoulder", "knee", "ankle", "average"), jdr, strict=True)), mpjpe)


PUBLISHED: Mapping[str, tuple[Published, ...]] = {
    "panoptic": (
        _panoptic("No-Fusion", None, (89.9, 79.8, 89.7, 88.9), 40.47),
        _panoptic("NaiveFuse", 50, (88.1, 82.3, 87.6, 85.1), 43.39),
        _panoptic("NaiveFuse", 100, (88.8, 83.7, 87.6, 86.5), 42.58),
        _panoptic("NaiveFuse", 200, (90.9, 85.1, 88.1, 88.3), 35.60),
        _panoptic("NaiveFuse", 500, (91.6, 85.8, 89.9, 90.2), 33.50),
        _panoptic("MetaFuse", 50, (91.2, 85.7, 90.8, 88.9), 37.27),
        _panoptic("MetaFuse", 100, (91.4, 86.3, 90.9, 89.5), 36.02),
        _panoptic("MetaFuse", 200, (92.2, 86.9, 91.6, 90.6), 31.78),
        _panoptic("MetaFuse", 500, (93.2, 88.0, 91.5, 91.2), 30.88),
    ),
    "human36m": (
        Published("No-Fusion", None, {"elbow": 83.7}),
        Published("MetaFuse", 50, {"elbow": 86.3}, 32.7),
        Published("MetaFuse", 100, mpjpe_mm=31.3),
        Published("MetaFuse", 500, mpjpe_mm=29.3),
    ),
    "totalcapture": (
        Published("No-Fusion", None, mpjpe_mm=41.2),
        Published("MetaFuse", 500, mpjpe_mm=32.4),
    ),
}
