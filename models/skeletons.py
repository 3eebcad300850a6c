"""The joint sets the service knows, each in its publisher's own order."""

from dataclasses import dataclass

from models.errors import InvalidRig


@dataclass(frozen=True)
class Skeleton:
    """A named, ordered joint set.

    ``limbs`` are pairs of joint indices; ``flip`` maps every joint to its mirror image; ``head`` is the pair of joints
    whose distance is the head's length, or None where the set has no such pair.
    """

    name: str
    joints: tuple[str, ...]
    limbs: tuple[tuple[int, int], ...]
    head: tuple[int, int] | None = None

    @property
    def flip(self) -> tuple[int, ...]:
        """For each joint the index of the same joint on the other side of the body."""
        swap = {"left_": "right_", "right_": "left_"}
        index = {name: i for i, name in enumerate(self.joints)}
        sides = (joint.partition("_")[0] + "_" for joint in self.joints)
        return tuple(
            index[swap[side] + joint.removeprefix(side)] if side in swap else index[joint]
            for side, joint in zip(sides, self.joints, strict=True)
        )


_ARMS = "left_shoulder-left_elbow left_elbow-left_wrist right_shoulder-right_elbow right_elbow-right_wrist "
_LEGS = "left_hip-left_knee left_knee-left_ankle right_hip-right_knee right_knee-right_ankle "
_FACE = "nose-left_eye nose-right_eye left_eye-left_ear right_eye-right_ear "
_NECK = "neck-left_shoulder neck-right_shoulder "
_FEET = " ".join(
    f"{side}_ankle-{side}_heel {side}_ankle-{side}_big_toe {side}_big_toe-{side}_small_toe"
    for side in ("left", "right")
)


def _skeleton(name: str, joints: str, limbs: str, head: str | None = None) -> Skeleton:
    names = tuple(joints.split())

    def pair(limb: str) -> tuple[int, int]:
        a, b = limb.split("-")
        return names.index(a), names.index(b)

    return Skeleton(name, names, tuple(pair(limb) for limb in limbs.split()), pair(head) if head else None)


SKELETONS: dict[str, Skeleton] = {
    s.name: s
    for s in (
        _skeleton(
            "coco17",
            "nose left_eye right_eye left_ear right_ear left_shoulder right_shoulder left_elbow right_elbow "
            "left_wrist right_wrist left_hip right_hip left_knee right_knee left_ankle right_ankle",
            _ARMS + _LEGS + _FACE + "left_shoulder-right_shoulder left_hip-right_hip "
            "left_shoulder-left_hip right_shoulder-right_hip nose-left_shoulder nose-right_shoulder",
        ),
        _skeleton(
            "h36m17",
            "pelvis right_hip right_knee right_ankle left_hip left_knee left_ankle spine neck nose head "
            "left_shoulder left_elbow left_wrist right_shoulder right_elbow right_wrist",
            _ARMS + _LEGS + _NECK + "pelvis-left_hip pelvis-right_hip pelvis-spine spine-neck neck-nose nose-head",
            head="neck-head",
        ),
        _skeleton(
            "panoptic19",
            "neck nose body_centre left_shoulder left_elbow left_wrist left_hip left_knee left_ankle "
            "right_shoulder right_elbow right_wrist right_hip right_knee right_ankle "
            "left_eye left_ear right_eye right_ear",
            _ARMS + _LEGS + _FACE + _NECK + "neck-nose neck-body_centre body_centre-left_hip body_centre-right_hip",
        ),
        _skeleton(
            "totalcapture16",
            "pelvis right_hip right_knee right_ankle left_hip left_knee left_ankle spine neck head "
            "left_shoulder left_elbow left_wrist right_shoulder right_elbow right_wrist",
            _ARMS + _LEGS + _NECK + "pelvis-left_hip pelvis-right_hip pelvis-spine spine-neck neck-head",
            head="neck-head",
        ),
        _skeleton(
            "body25",
            "nose neck right_shoulder right_elbow right_wrist left_shoulder left_elbow left_wrist mid_hip "
            "right_hip right_knee right_ankle left_hip left_knee left_ankle right_eye left_eye right_ear left_ear "
            "left_big_toe left_small_toe left_heel right_big_toe right_small_toe right_heel",
            _ARMS + _LEGS + _FACE + _NECK + _FEET + " neck-nose neck-mid_hip mid_hip-left_hip mid_hip-right_hip",
        ),
    )
}


def skeleton(name: str) -> Skeleton:
    """Look a skeleton up by name; raises InvalidRig where the service does not know it."""
    try:
        return SKELETONS[name]
    except KeyError:
        known = ", ".join(sorted(SKELETONS))
        raise InvalidRig(
            f"The joint set {name!r} is not known. Known are {known}.", at="joints", code="unknown_joints"
        ) from None
