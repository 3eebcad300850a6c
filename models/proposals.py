"""Where in space a joint may be: wherever rays of two views meet, scored by what all views show there."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.consensus import Cameras, meeting_points
from models.heatmap import HEATMAP_SIZE

Array = NDArray[np.float64]
Array32 = NDArray[np.float32]

_KEPT = 48  # places a joint
_MEET_PX = 2.0  # two rays meet if their point lies this near to both peaks
_SUPPRESSED_PX = 3  # a peak this near to a higher one is the same
_FAINTEST = 0.05
_MIN_DEPTH = 1e-6


@dataclass(frozen=True)
class Proposals:
    """Places [N, C, 3] in the cameras' own world and their scores [N, C]; −inf where there are fewer."""

    places: Array
    scores: Array


def propose(cameras: Cameras, heatmaps: Array32, extra: Array) -> Proposals:
    """Places for joints seen in heatmaps [N, V, 64, 64]; ``extra`` [N, V, 2] are peaks to consider besides their own.

    The score is the sum over the views of the heatmap where the place projects.
    """
    views = heatmaps.shape[1]
    own = _peaks(heatmaps, count=max(1, 4 - views // 4))
    peaks = np.concatenate([own, extra[:, :, None]], axis=2)
    count = peaks.shape[2]
    places, valid = _meetings(cameras, peaks.reshape(len(peaks), -1, 2), np.repeat(np.arange(views), count))
    scores = np.full(valid.shape, -np.inf)
    scores[valid] = _shown(cameras, heatmaps, places[valid], np.nonzero(valid)[0])
    kept = np.argsort(-scores, axis=1)[:, :_KEPT]
    return Proposals(np.take_along_axis(places, kept[..., None], axis=1), np.take_along_axis(scores, kept, axis=1))


def _peaks(heatmaps: Array32, count: int) -> Array:
    """The ``count`` strongest peaks of each heatmap [N, V, 64, 64], whole pixels [N, V, count, 2], NaN where fewer."""
    rest = heatmaps.reshape(-1, HEATMAP_SIZE, HEATMAP_SIZE).copy()
    rows, around = np.arange(len(rest))[:, None, None], np.arange(-_SUPPRESSED_PX, _SUPPRESSED_PX + 1)
    found = []
    for _ in range(count):
        flat = rest.reshape(len(rest), -1)
        best = flat.argmax(1)
        y, x = np.divmod(best, HEATMAP_SIZE)
        seen = flat[np.arange(len(flat)), best] > _FAINTEST
        found.append(np.where(seen[:, None], np.stack([x, y], axis=1), np.nan))
        lines, columns = ((c[:, None] + around).clip(0, HEATMAP_SIZE - 1) for c in (y, x))
        rest[rows, lines[:, :, None], columns[:, None, :]] = 0
    return np.stack(found, axis=1).reshape(heatmaps.shape[0], heatmaps.shape[1], count, 2)


def _meetings(cameras: Cameras, peaks: Array, views: NDArray[np.intp]) -> tuple[Array, NDArray[np.bool_]]:
    """Where rays through peaks [N, D, 2] of different ``views`` [D] meet: places [N, H, 3], and whether they do."""
    a, b = np.triu_indices(len(views), 1)
    apart = views[a] != views[b]
    a, b = a[apart], b[apart]
    each = Cameras(cameras.P[views], cameras.centres[views], cameras.focal[views], cameras.origin, cameras.scale)
    there = np.all(np.isfinite(peaks), axis=-1)
    places, valid = meeting_points(each, each.rays(np.nan_to_num(peaks)), a, b)
    valid &= there[:, a] & there[:, b]
    joint, pair = np.nonzero(valid)
    for end in (a[pair], b[pair]):
        seen, depth = _image(each.P[end], places[joint, pair])
        off = np.linalg.norm(seen - peaks[joint, end], axis=1)
        valid[joint, pair] &= (off < _MEET_PX) & (depth > _MIN_DEPTH)
    return places, valid


def _shown(cameras: Cameras, heatmaps: Array32, places: Array, joint: NDArray[np.intp]) -> Array:
    """Sum over the views of the heatmaps [N, V, 64, 64] of joints ``joint`` [M] where places [M, 3] project; [M]."""
    total = np.zeros(len(places))
    for view in range(heatmaps.shape[1]):
        seen, depth = _image(cameras.P[view], places)
        inside = (np.abs(seen - (HEATMAP_SIZE - 1) / 2).max(1) < HEATMAP_SIZE / 2) & (depth > _MIN_DEPTH)
        total[inside] += _bilinear(heatmaps[:, view], joint[inside], seen[inside])
    return total


def _image(P: Array, places: Array) -> tuple[Array, Array]:
    """Pixels [M, 2] and depths [M] of places [M, 3] through P [3, 4] or [M, 3, 4]."""
    image = np.einsum("...ij,...j->...i", P[..., :3], places) + P[..., 3]
    depth = image[:, 2]
    return image[:, :2] / np.where(np.abs(depth) > _MIN_DEPTH, depth, 1)[:, None], depth


def _bilinear(maps: Array32, which: NDArray[np.intp], at: Array) -> Array:
    """Maps [N, h, w] read at pixels ``at`` [M, 2], map ``which`` [M] each."""
    inner = np.clip(at, 0, HEATMAP_SIZE - 1 - 1e-9)
    x, y = inner.astype(np.intp).T
    right, down = (inner - np.stack([x, y], axis=1)).T
    upper = maps[which, y, x] * (1 - right) + maps[which, y, x + 1] * right
    lower = maps[which, y + 1, x] * (1 - right) + maps[which, y + 1, x + 1] * right
    return upper * (1 - down) + lower * down
