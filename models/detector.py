"""A simulated single-view detector: what a network would make of joints that it sees, and of joints that it does not.

Its faults are those that multi-view fusion exists for: where a joint is hidden the peak at the truth fades, and a
confident peak stands elsewhere: on the same joint of the other side, on a neighbouring joint, on another person, or on
nothing at all. Distributions are given by evenly spaced quantiles, so that (low, high) is a uniform range.
"""

import json
from dataclasses import dataclass, replace
from importlib import resources
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models import heatmap
from models.rig import Rig
from models.skeletons import Skeleton

Array = NDArray[np.float64]
Quantiles = tuple[float, ...]


@dataclass(frozen=True)
class Detector:
    """What the simulated detector gets wrong; lengths are in heatmap pixels.

    ``hidden`` is the share of joints hidden a view, ``chance`` the part of it that is hidden by pure chance and not by
    what stands in the way. A visible joint has a peak of ``height`` and spread ``sigma``, its
    long axis ``stretch`` times the short one, off by ``noise`` times Student's t of ``tails`` degrees of freedom, times
    the factor that ``parts`` gives joints of that name (such as wrist), plus ``bias`` (a constant a view and joint). By
    the chance ``slip`` it is treated as hidden all the same; by ``clutter`` it has a second peak of ``clutter_height``.
    Where somebody else is in the picture it is ``drawn`` to that person's joint by this chance; its own peak fades.

    A hidden joint leaves no peak at its true place by the chance ``miss``, or one of ``faded`` times the height and
    ``hidden_noise`` times the noise. By the chance ``ghost`` it makes a peak of ``ghost_height`` elsewhere; ``kinds``
    are the shares of the same joint on the other side, a neighbouring joint, another person's, and anywhere else.
    """

    hidden: float = 0.2
    noise: float = 0.35
    sigma: Quantiles = (1.3, 2.2)
    height: Quantiles = (0.55, 0.95)
    miss: float = 0.6
    ghost: float = 0.85
    clutter: float = 0.25
    stretch: Quantiles = (1.0, 1.0)
    tails: float = 4.0
    parts: tuple[tuple[str, float], ...] = ()
    bias: float = 0.0
    slip: float = 0.0
    drawn: float = 0.0
    chance: float = 0.0
    clutter_height: Quantiles = (0.05, 0.4)
    faded: Quantiles = (0.05, 0.45)
    hidden_noise: float = 2.0
    ghost_height: Quantiles = (0.4675, 0.8075)
    kinds: tuple[float, float, float, float] = (0.4, 0.2, 0.0, 0.4)

    @classmethod
    def fitted(cls) -> "Detector":
        """The habits of the backbone that ships, on the recording it was measured on (``data/detector.json``)."""
        text = (resources.files("models") / "data" / "detector.json").read_text(encoding="utf-8")
        found: dict[str, Any] = json.loads(text)["detector"]
        return cls(**{name: _frozen(value) for name, value in found.items()})

    @classmethod
    def random(cls, rng: np.random.Generator) -> "Detector":
        """A detector with habits of its own, about the fitted one's or anywhere, for training on more than one."""
        base = cls.fitted() if rng.random() < 0.5 else cls()
        factor = {name: float(np.exp(rng.normal(0, spread))) for name, spread in _VARIED.items()}
        low = rng.uniform(0.9, 1.9)
        kinds = rng.dirichlet(1.0 + 4.0 * np.array(base.kinds))
        return replace(
            base,
            hidden=rng.uniform(0.08, 0.35),
            noise=min(0.8, base.noise * factor["noise"]),
            sigma=_between(base.sigma, (low, low + rng.uniform(0.1, 0.9)), rng.random()),
            height=_between(base.height, (rng.uniform(0.3, 0.65), rng.uniform(0.75, 1.0)), rng.random()),
            stretch=(1.0, rng.uniform(1.0, 1.6)),
            tails=rng.uniform(2.5, 8.0),
            bias=rng.uniform(0.0, 0.4) if rng.random() < 0.5 else 0.0,
            slip=rng.uniform(0.0, 0.06),
            drawn=rng.uniform(0.0, 0.3),
            chance=rng.uniform(0.0, 0.6) if rng.random() < 0.4 else 0.0,
            miss=rng.uniform(0.2, 0.95),
            ghost=rng.uniform(0.4, 1.0),
            clutter=rng.uniform(0.05, 0.5),
            clutter_height=_between(base.clutter_height, (0.03, rng.uniform(0.2, 0.6)), rng.random()),
            faded=_between(base.faded, (0.03, rng.uniform(0.3, 0.9)), rng.random()),
            hidden_noise=rng.uniform(1.0, 4.0),
            ghost_height=_between(base.ghost_height, (rng.uniform(0.2, 0.5), rng.uniform(0.6, 0.95)), rng.random()),
            kinds=(kinds[0], kinds[1], kinds[2], kinds[3]),
        )

    def scaled_noise(self, skeleton: Skeleton) -> Array:
        """Noise of each joint [J]."""
        factors = [
            next((factor for part, factor in self.parts if joint.endswith(part)), 1.0) for joint in skeleton.joints
        ]
        return self.noise * np.array(factors)


_VARIED = {"noise": 0.45}


def _frozen(value: Any) -> Any:
    return tuple(_frozen(v) for v in value) if isinstance(value, list) else value


def _between(one: Quantiles, other: Quantiles, share: float) -> Quantiles:
    """Quantiles between two distributions."""
    count = max(len(one), len(other))
    a, b = (np.interp(np.linspace(0, 1, count), np.linspace(0, 1, len(q)), q) for q in (one, other))
    return tuple(((1 - share) * a + share * b).tolist())


def draw(rng: np.random.Generator, quantiles: Quantiles, shape: tuple[int, ...]) -> Array:
    """Numbers from a distribution given by evenly spaced quantiles."""
    return np.interp(rng.random(shape), np.linspace(0, 1, len(quantiles)), quantiles)


def detect(
    rng: np.random.Generator,
    rig: Rig,
    points: Array,
    hidden: NDArray[np.bool_],
    detector: Detector,
    *,
    others: Array | None = None,
) -> NDArray[np.float32]:
    """Heatmaps [F, V, J, 64, 64] of a simulated detector for true points [F, V, J, 2].

    ``others`` [F, V, J, 2] are the joints of somebody else in the picture, NaN where nobody is.
    """
    shape = hidden.shape
    lost = hidden | (rng.random(shape) < detector.slip)
    drawn = np.zeros(shape, bool) if others is None else _drawn(rng, others, detector.drawn) & ~lost
    height = draw(rng, detector.height, shape)
    error = _errors(rng, rig, points, detector) * np.where(lost, detector.hidden_noise, 1.0)[..., None]
    error += detector.bias * rng.standard_normal(points.shape[1:])
    faded = np.where(rng.random(shape) < detector.miss, 0.0, draw(rng, detector.faded, shape))
    peak = np.where(lost, faded * height, np.where(drawn, draw(rng, detector.faded, shape) * height, height))
    maps = _blobs(rng, points + error, peak, detector)
    wrong = np.where(
        lost & (rng.random(shape) < detector.ghost),
        draw(rng, detector.ghost_height, shape),
        np.where(rng.random(shape) < detector.clutter, draw(rng, detector.clutter_height, shape), 0.0),
    )
    ghosts = _ghosts(rng, rig, points, detector, others)
    if others is not None:
        wrong = np.where(drawn, draw(rng, detector.height, shape), wrong)
        ghosts = np.where(drawn[..., None], others + rng.normal(0, 0.7, points.shape), ghosts)
    maps = np.maximum(maps, _blobs(rng, ghosts, wrong, detector))
    maps += np.float32(0.01) * np.abs(rng.standard_normal(maps.shape, dtype=np.float32))
    return np.clip(maps, 0, 1)


def _errors(rng: np.random.Generator, rig: Rig, points: Array, detector: Detector) -> Array:
    """Offsets [F, V, J, 2] of a visible joint's peak; where t has a variance, ``noise`` is its deviation."""
    tails = detector.tails
    spread = rng.standard_t(tails, points.shape) / np.sqrt(tails / (tails - 2) if tails > 2 else 1.0)
    return detector.scaled_noise(rig.skeleton)[:, None] * spread


def _drawn(rng: np.random.Generator, others: Array, chance: float) -> NDArray[np.bool_]:
    """Which joints [F, V, J] are mistaken for somebody else's; some views suffer more than others."""
    chances = chance * rng.uniform(0, 2, (others.shape[1],))
    return np.isfinite(others).all(-1) & (rng.random(others.shape[:3]) < chances[:, None])


def _blobs(rng: np.random.Generator, places: Array, heights: Array, detector: Detector) -> NDArray[np.float32]:
    """Peaks of the given heights, drawn where there is one: Gaussians, stretched along any direction."""
    maps = np.zeros((*heights.shape, heatmap.HEATMAP_SIZE, heatmap.HEATMAP_SIZE), np.float32)
    sigma, stretch = draw(rng, detector.sigma, heights.shape), draw(rng, detector.stretch, heights.shape)
    angle = rng.uniform(0, np.pi, heights.shape)
    at = (heights > 0) & np.isfinite(places).all(-1)
    if max(detector.stretch) <= 1.0:
        blobs = heatmap.render(places[at], sigma[at])
    else:
        blobs = _stretched(places[at], sigma[at] / np.sqrt(stretch[at]), sigma[at] * np.sqrt(stretch[at]), angle[at])
    maps[at] = heights[at].astype(np.float32)[:, None, None] * blobs
    return maps


def _stretched(places: Array, short: Array, long: Array, angle: Array) -> NDArray[np.float32]:
    """Unit Gaussians [N, 64, 64] with two spreads; ``angle`` is the long axis's direction."""
    cos, sin = np.cos(angle), np.sin(angle)
    a = (cos / long) ** 2 + (sin / short) ** 2
    b = cos * sin * (long**-2 - short**-2)
    c = (sin / long) ** 2 + (cos / short) ** 2
    grid = np.arange(heatmap.HEATMAP_SIZE, dtype=np.float32)
    dx = grid - places[:, :1].astype(np.float32)
    dy = grid - places[:, 1:].astype(np.float32)
    across, both, down = (value.astype(np.float32)[:, None] for value in (a, 2 * b, c))
    power = (across * dx**2)[:, None, :] + (down * dy**2)[:, :, None] + (both * dy)[:, :, None] * dx[:, None, :]
    return np.exp(np.float32(-0.5) * power)


def _ghosts(rng: np.random.Generator, rig: Rig, points: Array, detector: Detector, others: Array | None) -> Array:
    """Where a mistaken peak stands [F, V, J, 2]: see ``Detector.kinds``."""
    flip = np.array(rig.skeleton.flip)
    neighbour = rng.permutation(points.shape[2])
    for a, b in rig.skeleton.limbs:
        neighbour[a], neighbour[b] = b, a
    nearby = points + rng.normal(0, 7, points.shape)
    beside = points[:, :, neighbour] + rng.normal(0, 1.5, points.shape)
    mirrored = points[:, :, flip] + rng.normal(0, 0.7, points.shape)
    mirrored = np.where((flip == np.arange(len(flip)))[:, None], nearby, mirrored)
    other = nearby if others is None else others + rng.normal(0, 0.7, points.shape)
    other = np.where(np.isfinite(other), other, nearby)
    kind = np.searchsorted(np.cumsum(detector.kinds)[:3], rng.random(points.shape[:3]), side="right")
    return np.choose(kind[..., None], [mirrored, beside, other, nearby])
