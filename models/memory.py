"""How much memory an adaptation takes, so that it is not begun where there is not enough.

Measured: the peak of the resident memory above what the process held with torch loaded and the frames in memory, on
rigs of worlds with 17 joints, one thread, in MB:

| method | 4 cameras | 8 cameras | 16 cameras | 100 frames instead of 50: 4 cameras, 8 cameras |
|---|---|---|---|---|
| metafuse | 415 | 746 | 1852 | 502, 962 |
| naivefuse | 264 | 792 | 2482 | |
| naivefuse_meta | 269 | 759 | | |
| epipolar | 239 | 532 | | |
| affinefuse | 1626 | | | |

The estimate is a constant, so much a pair, and so many times the heatmaps, fitted to lie above these figures, and then
the heatmaps themselves and the backbone (270 MB for 16 views of MoveNet) where images have to become heatmaps first.
"""

from dataclasses import dataclass

from models.affine import PIXELS

_MB = 1_000_000
_HEATMAP_BYTES = PIXELS * 4
_BACKBONE = 300 * _MB


@dataclass(frozen=True)
class _Need:
    """Bytes whatever the rig, bytes a pair of cameras, and how many times the bytes of the heatmaps."""

    constant: int
    pair: int
    copies: float


_NEEDS = {
    "metafuse": _Need(210 * _MB, 5_000_000, 3.1),
    "epipolar": _Need(70 * _MB, 3_500_000, 2.6),
    "naivefuse": _Need(90 * _MB, 8_000_000, 2.6),
    "naivefuse_meta": _Need(90 * _MB, 8_000_000, 2.6),
    "affinefuse": _Need(100 * _MB, 130_000_000, 3.0),
    "metafuse_paper": _Need(100 * _MB, 130_000_000, 3.0),
}


def estimate_bytes(method: str, views: int, frames: int, joints: int, *, images: bool = False) -> int:
    """What an adaptation needs at its peak beyond an idle worker; of a method that was not measured, the most."""
    pairs, heatmaps = views * (views - 1), frames * views * joints * _HEATMAP_BYTES
    needs = [_NEEDS[method]] if method in _NEEDS else list(_NEEDS.values())
    peak = max(need.constant + pairs * need.pair + need.copies * heatmaps for need in needs)
    return int(peak) + heatmaps + (_BACKBONE if images else 0)
