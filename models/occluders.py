"""What hides a joint from a camera: the person's own body, somebody else, and things that stand in the room.

Every body is a set of capsules about its bones. A ray from the optical centre to a joint is tested against each capsule
but those the joint belongs to; the distance over the capsule's radius says by how much it misses. So a share of hidden
joints that is asked for is met by making bodies thinner and props smaller, not by chance.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from models.motions.body import LEG_M
from models.skeletons import Skeleton, skeleton

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

_SHORT_M = 0.03  # a ray ends this far before the joint: skin is not an obstacle
_FACE = ("nose", "eye", "ear")
_TRUNK = ("shoulder", "hip", "neck", "spine", "pelvis", "body_centre")
_SECOND_PERSON = 0.35


@dataclass(frozen=True)
class Parts:
    """A joint set's body: capsule ends as weights of its joints [P, J], radii [P] in metres, whose joints [P, J]."""

    start: Array
    end: Array
    radius: Array
    own: Mask


@lru_cache
def body_parts(name: str) -> Parts:
    """The capsules of a joint set; radii are about those of a body 1.75 m tall."""
    body = skeleton(name)
    rows: list[tuple[Array, Array, float, tuple[str, ...]]] = []
    for side in ("left", "right"):
        shoulder, elbow, wrist, hip, knee, ankle = (
            _mean(body, f"{side}_{joint}") for joint in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
        )
        foot = (f"{side}_ankle", f"{side}_heel", f"{side}_big_toe", f"{side}_small_toe")
        rows += [
            (shoulder, elbow, 0.05, (f"{side}_shoulder", f"{side}_elbow")),
            (elbow, 1.3 * wrist - 0.3 * elbow, 0.042, (f"{side}_elbow", f"{side}_wrist")),  # with the hand
            (hip, knee, 0.08, (f"{side}_hip", f"{side}_knee", "pelvis", "mid_hip", "body_centre")),
            (knee, 1.1 * ankle - 0.1 * knee, 0.055, (f"{side}_knee", *foot)),
            (shoulder, hip, 0.095, (f"{side}_shoulder", f"{side}_hip", *_TRUNK[2:], "mid_hip")),
        ]
    shoulders, hips = _mean(body, "left_shoulder", "right_shoulder"), _mean(body, "left_hip", "right_hip")
    ears = "left_ear" in body.joints
    head = _mean(body, "left_ear", "right_ear") if ears else _mean(body, "neck", "head")
    above = (*_FACE, "neck", "head")
    limbs = tuple(joint for joint in body.joints if not joint.endswith(_FACE))
    rows += [
        (shoulders, hips, 0.105, (*_TRUNK, "mid_hip")),
        (shoulders, head, 0.055, above),
        (head, head, 0.1, above),
        (head, head, 0.065, limbs),  # the skull hides the face on its other side
    ]
    own = np.array([[joint.endswith(names) for joint in body.joints] for *_, names in rows])
    return Parts(np.array([r[0] for r in rows]), np.array([r[1] for r in rows]), np.array([r[2] for r in rows]), own)


def _mean(body: Skeleton, *joints: str) -> Array:
    """Weights [J] of the middle of some joints."""
    weights = np.zeros(len(body.joints))
    weights[[body.joints.index(joint) for joint in joints]] = 1 / len(joints)
    return weights


def capsules(joints: Array, body: Skeleton) -> tuple[Array, Array]:
    """Capsules of bodies [F, J, 3] in metres: ends [F, P, 2, 3] and radii [P], fitted to the body's size."""
    parts = body_parts(body.name)
    ends = np.stack([parts.start @ joints, parts.end @ joints], axis=2)
    return ends, parts.radius * _size(joints, body)


def _size(joints: Array, body: Skeleton) -> float:
    hip, knee, ankle = (body.joints.index(f"left_{joint}") for joint in ("hip", "knee", "ankle"))
    thigh, shin = joints[:, hip] - joints[:, knee], joints[:, knee] - joints[:, ankle]
    return float(np.median(np.linalg.norm(thigh, axis=1) + np.linalg.norm(shin, axis=1))) / LEG_M


def clearance(joints: Array, centres: Array, ends: Array, radii: Array, own: Mask | None = None) -> Array:
    """By how much the rays miss the nearest capsule, in radii [F, V, J]: below one the joint is hidden.

    Joints [F, J, 3], optical centres [V, 3], capsule ends [F, P, 2, 3], radii [P]; ``own`` [P, J] are passed over.
    """
    rays = joints[:, None] - centres[None, :, None]
    length = np.linalg.norm(rays, axis=-1, keepdims=True)
    rays = rays * np.maximum(1 - _SHORT_M / np.maximum(length, 1e-9), 0)
    least = np.full(rays.shape[:3], np.inf)
    for part, radius in enumerate(radii):
        ratio = _distance(rays, centres, ends[:, part]) / radius
        if own is not None:
            ratio[..., own[part]] = np.inf
        np.minimum(least, ratio, out=least)
    return least


def _distance(rays: Array, centres: Array, ends: Array) -> Array:
    """Least distance of rays from a bone, ends [F, 2, 3]: Ericson, Real-Time Collision Detection (2005), 5.1.9."""
    bone = ends[:, 1] - ends[:, 0]
    to = centres[None] - ends[:, None, 0]  # [F, V, 3]
    a = np.maximum(np.einsum("fvjc,fvjc->fvj", rays, rays), 1e-12)
    e = np.maximum((bone**2).sum(-1), 1e-12)[:, None, None]
    b = np.einsum("fvjc,fc->fvj", rays, bone)
    c = np.einsum("fvjc,fvc->fvj", rays, to)
    f = np.einsum("fvc,fc->fv", to, bone)[..., None]
    s = np.clip((b * f - c * e) / np.maximum(a * e - b**2, 1e-12), 0, 1)
    t = np.clip((b * s + f) / e, 0, 1)
    s = np.clip((b * t - c) / a, 0, 1)
    squared = (to**2).sum(-1)[..., None] + s * s * a + t * t * e + 2 * (s * c - t * f - s * t * b)
    return np.sqrt(np.maximum(squared, 0))


def occlude(
    rng: np.random.Generator,
    joints: Array,
    centres: Array,
    *,
    body: Skeleton,
    share: float,
    takes: list[slice],
    another: Callable[[int], Array],
) -> tuple[Mask, Array]:
    """Which joints are hidden [F, V, J], ``share`` of them, and where somebody else's joints are [F, J, 3] or NaN.

    ``another(frames)`` is the motion of a second person. The person's own body comes first, then by chance the second
    person, then props, each take having its own. Metres throughout.
    """
    own = clearance(joints, centres, *capsules(joints, body), body_parts(body.name).own)
    other = np.full_like(joints, np.nan)
    hidden = _admit(np.zeros(own.shape, bool), own, share * rng.uniform(0.6, 1.0))
    for take in takes:
        if share > 0 and rng.random() < _SECOND_PERSON:
            other[take] = _beside(rng, joints[take], another(take.stop - take.start))
            ratio = np.full(own.shape, np.inf)
            ratio[take] = clearance(joints[take], centres, *capsules(other[take], body))
            hidden = _admit(hidden, ratio, share)
    for _ in range(10 + 8 * len(centres)):
        if hidden.mean() > share - 0.5 / len(joints) / len(centres):
            break
        take = takes[rng.integers(len(takes))]
        ratio = np.full(own.shape, np.inf)
        ratio[take] = _prop(rng, joints[take], centres)
        hidden = _admit(hidden, ratio, share)
    return _admit(hidden, own, share, largest=1.3), other


def _admit(hidden: Mask, ratio: Array, share: float, largest: float = 1.0) -> Mask:
    """Hide also what a new obstacle hides, made smaller where it would hide more than ``share`` in all."""
    free = ratio[~hidden]
    room = int(share * hidden.size) - int(hidden.sum())
    if room <= 0:
        return hidden
    size = min(largest, float(np.partition(free, room)[room])) if room < free.size else largest
    return hidden | (ratio < size)


def _beside(rng: np.random.Generator, joints: Array, second: Array) -> Array:
    """The second person, somewhere within reach of the first."""
    away = rng.uniform(0.45, 1.4)
    angle = rng.uniform(-np.pi, np.pi)
    middle = joints[..., :2].mean((0, 1)) - second[..., :2].mean((0, 1))
    shift = np.array([*(middle + away * np.array([np.cos(angle), np.sin(angle)])), 0.0])
    return second + shift


def _prop(rng: np.random.Generator, joints: Array, centres: Array) -> Array:
    """Clearance [F, V, J] of a box or a post that stands between some camera and the person, not in the person."""
    camera, joint = (
        centres[rng.integers(len(centres))],
        joints[rng.integers(len(joints)), rng.integers(joints.shape[1])],
    )
    middle = camera + rng.uniform(0.35, 0.93) * (joint - camera) + rng.normal(0, 0.1, 3)
    if rng.random() < 0.5:
        half = rng.uniform((0.08, 0.08, 0.1), (0.45, 0.45, 0.9))
        turn = Rotation.from_euler("z", rng.uniform(0, np.pi)).as_matrix()
        return _box_clearance((joints - middle) @ turn, (centres - middle) @ turn, half)
    lean = np.array([0.0, 0.0, 1.0]) + rng.normal(0, 0.3, 3)
    reach = rng.uniform(0.15, 0.9) * lean / np.linalg.norm(lean)
    ends, radius = np.stack([middle - reach, middle + reach]), rng.uniform(0.03, 0.25)
    touch = clearance(
        joints, joints.reshape(-1, 3)[:1], np.broadcast_to(ends, (len(joints), 1, 2, 3)), np.array([radius])
    )
    if touch.min() < 1.2:
        return np.full((len(joints), len(centres), joints.shape[1]), np.inf)
    return clearance(joints, centres, np.broadcast_to(ends, (len(joints), 1, 2, 3)), np.array([radius]))


def _box_clearance(joints: Array, centres: Array, half: Array) -> Array:
    """The smallest scale, in eighths, of a box about the origin that the rays hit; infinite where they miss it all."""
    least = np.full((len(joints), len(centres), joints.shape[1]), np.inf)
    if (np.abs(joints) < 1.1 * half + 0.03).all(-1).any():
        return least
    rays = joints[:, None] - centres[None, :, None]
    rays = np.where(np.abs(rays) < 1e-9, 1e-9, rays)
    for scale in np.arange(8, 0, -1) / 8:
        near = (-np.sign(rays) * scale * half - centres[None, :, None]) / rays
        far = (np.sign(rays) * scale * half - centres[None, :, None]) / rays
        hit = np.maximum(near.max(-1), 0) < np.minimum(far.min(-1), 1)
        least[hit] = scale - 1 / 16
    return least
