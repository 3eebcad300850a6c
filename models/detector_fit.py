"""What a real detector gets wrong, measured on heatmaps of frames whose truth is known: the habits of a Detector.

Single peaks are measured: near the truth of joints that are seen, near the truth of joints that are hidden, and the
strongest one elsewhere.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter
from scipy.stats import t as student

from models.detector import Detector, Quantiles
from models.errors import InvalidInput
from models.heatmap import HEATMAP_SIZE, decode_near
from models.skeletons import Skeleton

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

PARTS = ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
NEAR = 2.5  # heatmap pixels within which a peak is the joint's own
FAINT = 0.06  # what is lower is no peak
_REACH = 3
_LEVELS = np.linspace(0.02, 0.98, 9)  # quantiles kept; the outermost are trimmed
_LEAST = 30
_MOST = 20_000  # offsets, to which Student's t is fitted
_UPPER = 0.35  # of a peak's height, above which its shape is measured


@dataclass(frozen=True)
class Seen:
    """Heatmaps [F, V, J, 64, 64] and the truth [F, V, J, 2] of one take by one rig.

    ``visible`` and ``hidden`` [F, V, J] choose the joints to measure; ``other`` [F, V, 64, 64] is where another person
    is, or None where nobody is.
    """

    heatmaps: NDArray[np.float32]
    points: Array
    visible: Mask
    hidden: Mask
    other: Mask | None = None


@dataclass(frozen=True)
class Peaks:
    """Of each heatmap: the peak near the truth and the strongest elsewhere; heights 0 where there is none."""

    place: Array
    height: Array
    rival: Array
    rival_height: Array


def fit(takes: list[Seen], skeleton: Skeleton) -> tuple[Detector, dict[str, int]]:
    """The Detector whose habits these heatmaps show, and how many joints each part of it was measured on.

    Raises InvalidInput where there are too few joints to measure.
    """
    peaks = [find_peaks(take) for take in takes]
    visible = sum(int(take.visible.sum()) for take in takes)
    hidden = sum(int(take.hidden.sum()) for take in takes)
    if min(visible, hidden) < _LEAST:
        raise InvalidInput(f"{visible} visible and {hidden} hidden joints are too few to fit a detector to.")
    kept = [
        take.visible & (p.height > FAINT) & (p.height >= p.rival_height) for take, p in zip(takes, peaks, strict=True)
    ]
    height = _joined([p.height[k] for p, k in zip(peaks, kept, strict=True)])
    noise, tails, parts, bias = _noise(takes, peaks, kept, skeleton)
    sigma, stretch = _spread(takes, peaks, kept)
    alone, beside = (_lost(takes, kept, other) for other in (False, True))
    single = [(p, k) for p, k, take in zip(peaks, kept, takes, strict=True) if take.other is None]
    clutter = _joined([p.rival_height[k] for p, k in single])
    detector = Detector(
        noise=noise, tails=tails, parts=parts, bias=bias,
        sigma=_quantiles(sigma), stretch=_quantiles(np.maximum(stretch, 1.0)), height=_quantiles(height),
        slip=round(alone, 3), drawn=round(max(0.0, beside - alone), 3),
        clutter=round(float((clutter > FAINT).mean()), 3), clutter_height=_quantiles(clutter[clutter > FAINT]),
    )  # fmt: skip
    usual = float(np.median(height))
    return _hidden(detector, takes, peaks, usual, skeleton=skeleton), {"visible": visible, "hidden": hidden}


def _lost(takes: list[Seen], kept: list[Mask], other: bool) -> float:
    """Share of visible joints whose strongest peak is not their own, with or without another person."""
    chosen = [(take.visible, k) for take, k in zip(takes, kept, strict=True) if (take.other is not None) == other]
    seen = sum(int(visible.sum()) for visible, _ in chosen)
    return 1 - sum(int(k.sum()) for _, k in chosen) / seen if seen else 0.0


def find_peaks(take: Seen) -> Peaks:
    """Local maxima of all heatmaps of a take."""
    maps = take.heatmaps
    place, height = decode_near(maps, np.nan_to_num(take.points, nan=-99.0), NEAR)
    tops = (maps == maximum_filter(maps, size=(1, 1, 1, 3, 3))) & (maps > FAINT)
    column, row = np.meshgrid(np.arange(HEATMAP_SIZE), np.arange(HEATMAP_SIZE))
    far = np.hypot(column - take.points[..., 0, None, None], row - take.points[..., 1, None, None]) > NEAR + 1.5
    own = np.where(tops & ~far, maps, 0).max((-1, -2))
    elsewhere = np.where(tops & far, maps, 0).reshape(*maps.shape[:3], -1)
    best = elsewhere.argmax(-1)
    rival = np.stack([best % HEATMAP_SIZE, best // HEATMAP_SIZE], axis=-1).astype(np.float64)
    return Peaks(place, np.where(own > FAINT, np.where(np.isfinite(height), height, 0), 0), rival, elsewhere.max(-1))


def _noise(
    takes: list[Seen], peaks: list[Peaks], kept: list[Mask], skeleton: Skeleton
) -> tuple[float, float, tuple[tuple[str, float], ...], float]:
    """Noise, tails, factors by part and bias: an offset that a view and joint keeps all through a take is bias."""
    means, left, part = [], [], []
    for take, p, k in zip(takes, peaks, kept, strict=True):
        offset = np.where(k[..., None], p.place - take.points, np.nan)
        enough = k.sum(0) >= 5
        mean = np.nanmedian(np.where(enough[..., None], offset, 0.0), axis=0)
        means.append(mean[enough])
        rest = (offset - mean)[k & enough]
        left.append(rest)
        part.append(np.broadcast_to(np.arange(len(skeleton.joints)), k.shape)[k & enough])
    rest, joint = np.concatenate(left), np.concatenate(part)
    factors = []
    whole = _spread_of(rest)
    scaled = rest.copy()
    for name in PARTS:
        own = np.isin(joint, [i for i, n in enumerate(skeleton.joints) if n.endswith(name)])
        if own.sum() >= _LEAST:
            factors.append((name, round(_spread_of(rest[own]) / whole, 2)))
            scaled[own] /= factors[-1][1]
    tails = round(float(np.clip(student.fit(scaled.ravel()[:_MOST], floc=0)[0], 3, 30)), 2)
    noise = np.median(np.abs(scaled)) / student.ppf(0.75, tails) * np.sqrt(tails / (tails - 2))
    return round(float(noise), 3), tails, tuple(factors), round(_spread_of(np.concatenate(means)), 3)


def _spread_of(offsets: Array) -> float:
    """A robust standard deviation about zero."""
    return float(np.median(np.abs(offsets)) / 0.6745)


def _spread(takes: list[Seen], peaks: list[Peaks], kept: list[Mask]) -> tuple[Array, Array]:
    """Sigma and stretch [N] of peaks, from a parabola through the logarithm of their upper part."""
    patches = []
    for take, p, k in zip(takes, peaks, kept, strict=True):
        inside = k & (np.abs(p.place - (HEATMAP_SIZE - 1) / 2) < HEATMAP_SIZE / 2 - _REACH - 1).all(-1)
        chosen = np.argwhere(inside)
        at = np.rint(p.place[inside]).astype(int)
        for (f, v, j), (x, y) in zip(chosen, at, strict=True):
            patches.append(take.heatmaps[f, v, j, y - _REACH : y + _REACH + 1, x - _REACH : x + _REACH + 1])
    return _gaussians(np.array(patches, np.float64))


def _gaussians(patches: Array) -> tuple[Array, Array]:
    """Sigma (geometric mean of both axes) and stretch (their ratio) of peaks in patches [N, 7, 7]."""
    grid = np.arange(-_REACH, _REACH + 1.0)
    x, y = (axis.ravel() for axis in np.meshgrid(grid, grid))
    terms = np.stack([x * x, 2 * x * y, y * y, x, y, np.ones_like(x)], axis=1)
    flat = patches.reshape(len(patches), -1)
    upper = flat > _UPPER * flat.max(1, keepdims=True)
    enough = upper.sum(1) >= terms.shape[1] + 2
    weight = np.where(upper, flat, 0.0)[enough] ** 2  # noise of the logarithm goes with one over the height
    value = np.log(np.where(upper, flat, 1.0))[enough]
    normal = np.einsum("np,pi,pj->nij", weight, terms, terms) + 1e-9 * np.eye(terms.shape[1])
    a, b, c = np.linalg.solve(normal, ((weight * value) @ terms)[..., None])[:, :3, 0].T
    curves = np.linalg.eigvalsh(-2 * np.stack([np.stack([a, b], -1), np.stack([b, c], -1)], -1))
    curves = curves[curves[:, 0] > 0.01]  # a ridge has no second axis
    long, short = 1 / np.sqrt(curves.T)
    return np.sqrt(long * short), long / short


def _hidden(detector: Detector, takes: list[Seen], peaks: list[Peaks], usual: float, *, skeleton: Skeleton) -> Detector:
    """The detector with what is left at the place of hidden joints, and what stands elsewhere."""
    own = _joined([p.height[take.hidden] for take, p in zip(takes, peaks, strict=True)])
    rival = _joined([p.rival_height[take.hidden] for take, p in zip(takes, peaks, strict=True)])
    offset = np.concatenate(
        [(p.place - take.points)[take.hidden & (p.height > FAINT)] for take, p in zip(takes, peaks, strict=True)]
    )
    found = own > FAINT
    kinds = sum((_kinds(take, p, skeleton) for take, p in zip(takes, peaks, strict=True)), np.zeros(4))
    shares = np.round(kinds / max(kinds.sum(), 1), 3).tolist()
    return replace(
        detector,
        miss=round(float((~found).mean()), 3),
        faded=_quantiles(np.minimum(own[found] / usual, 1.2)),
        hidden_noise=round(max(1.0, _spread_of(offset) / detector.noise), 2),
        ghost=round(float((rival > FAINT).mean()), 3),
        ghost_height=_quantiles(rival[rival > FAINT]),
        kinds=(shares[0], shares[1], shares[2], shares[3]),
    )


def _kinds(take: Seen, peaks: Peaks, skeleton: Skeleton) -> Array:
    """How many of the hidden joints' rival peaks are the other side's, a neighbour's, another person's, or none's."""
    counts = np.zeros(4)
    flip = skeleton.flip
    beside = [[b if a == joint else a for a, b in skeleton.limbs if joint in (a, b)] for joint in range(len(flip))]
    for f, v, j in np.argwhere(take.hidden & (peaks.rival_height > FAINT)):
        at = peaks.rival[f, v, j]
        distance = np.linalg.norm(take.points[f, v] - at, axis=-1)
        x, y = at.astype(int)
        if flip[j] != j and distance[flip[j]] < NEAR:
            counts[0] += 1
        elif any(distance[n] < NEAR for n in beside[j]):
            counts[1] += 1
        elif take.other is not None and take.other[f, v, y, x]:
            counts[2] += 1
        else:
            counts[3] += 1
    return counts


def _joined(values: list[Array]) -> Array:
    return np.concatenate(values).astype(np.float64)


def _quantiles(values: Array) -> Quantiles:
    return tuple(np.round(np.quantile(values, _LEVELS), 3).tolist()) if len(values) else (0.0, 0.0)
