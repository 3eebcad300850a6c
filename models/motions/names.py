"""What others call the body's joints, and which way is up."""

import re
from typing import Final

import numpy as np
from numpy.typing import NDArray

from models.errors import InvalidInput
from models.motions.body import REQUIRED

Array = NDArray[np.float64]

# Aliases by preference: where a hierarchy has both an arm and a shoulder, the shoulder is its collar bone.
_SIDED: Final = {
    "shoulder": "arm uparm upperarm shldr shoulder",
    "elbow": "forearm lowarm lowerarm elbow",
    "wrist": "hand wrist",
    "hip": "upleg thigh upperleg hip",
    "knee": "leg lowleg shin calf lowerleg knee",
    "ankle": "foot ankle",
    "big_toe": "bigtoe toebase toe toes ball",
    "small_toe": "smalltoe",
    "heel": "heel",
    "eye": "eye",
    "ear": "ear",
}
_CENTRAL: Final = {
    "pelvis": "pelvis midhip bodycentre",
    "neck": "neck neck1",
    "head": "headtop headend headsite headnub headtopend head",
    "nose": "nose",
}
_PREFIX: Final = re.compile(r"^(.*:|mixamorig\d*|bip0*1|character\d*|def-)", re.IGNORECASE)


def match(names: list[str], source: str) -> dict[str, str]:
    """For each joint of the body that a source has, the source's name of it; raises InvalidInput for a missing limb."""
    plain = {re.sub(r"[^a-z0-9]", "", _PREFIX.sub("", name).lower()): name for name in reversed(names)}
    found = {}
    for joint, aliases in _aliases().items():
        known = [plain[alias] for alias in aliases if alias in plain]
        if known:
            found[joint] = known[0]
        elif joint in REQUIRED:
            raise InvalidInput(
                f"{source}: no joint could be read as {joint}. Names looked for: {', '.join(aliases)}. "
                f"It has: {', '.join(names)}.",
                at=joint, code="invalid_motion",
            )  # fmt: skip
    return found


def _aliases() -> dict[str, list[str]]:
    """Names without case and punctuation under which each joint is looked for, best first."""
    sided = {
        f"{side}_{joint}": [
            name for alias in aliases.split() for name in (side + alias, side[0] + alias, alias + side, alias + side[0])
        ]
        for side in ("left", "right")
        for joint, aliases in _SIDED.items()
    }
    return sided | {joint: aliases.split() for joint, aliases in _CENTRAL.items()}


def upright(points: Array, up: str) -> Array:
    """Points [..., 3] of a world whose ``up`` is y or z, with z up."""
    return np.stack([points[..., 0], -points[..., 2], points[..., 1]], axis=-1) if up == "y" else points
