"""The adaptation methods and their options, known without importing torch so that the API can check a request."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from models.errors import InvalidOptions

METHODS = ("metafuse", "affinefuse", "naivefuse")


@dataclass(frozen=True)
class AdaptationOptions:
    """What a client may set.

    ``holdout`` is the share of frames held out of the finetuning to judge the result on; ``repair_cameras`` whether the
    labels may repair the extrinsics; ``steps`` the number of optimiser steps, on the gains for ``metafuse`` and on θ
    for ``affinefuse``. Each method has those that apply to it.
    """

    holdout: float = 0.3
    repair_cameras: bool = True
    steps: int = 60


_DEFAULTS = {
    "metafuse": AdaptationOptions(),
    "affinefuse": AdaptationOptions(repair_cameras=False, steps=100),
    "naivefuse": AdaptationOptions(repair_cameras=False, steps=0),
}
_APPLY = {
    "metafuse": ("holdout", "repair_cameras", "steps"),
    "affinefuse": ("holdout", "steps"),
    "naivefuse": ("holdout",),
}
_RANGES = {"holdout": (0.1, 0.6), "steps": (0, 1000)}


def validate_options(method: str, options: Mapping[str, Any]) -> AdaptationOptions:
    """Check a method's name and its options; raises InvalidOptions with the place of the fault."""
    if method not in METHODS:
        raise InvalidOptions(
            f"The method {method!r} is not known. Known are {', '.join(METHODS)}.",
            at="method",
            code="unknown_method",
        )
    known = {field.name: type(field.default) for field in fields(AdaptationOptions)}
    for name, value in options.items():
        if name not in known:
            raise InvalidOptions(f"Unknown option {name!r}. Known are {', '.join(known)}.", at=f"options.{name}")
        if name not in _APPLY[method]:
            raise InvalidOptions(
                f"The option {name!r} does not apply to {method}, which takes {' and '.join(_APPLY[method])} only.",
                at=f"options.{name}",
            )
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not (isinstance(value, known[name]) and (known[name] is bool or number)) and not (
            known[name] is float and number
        ):
            raise InvalidOptions(f"{name} must be a {known[name].__name__}.", at=f"options.{name}")
        low, high = _RANGES.get(name, (value, value))
        if not low <= value <= high:
            raise InvalidOptions(f"{name} must lie between {low} and {high}.", at=f"options.{name}")
    return replace(_DEFAULTS[method], **options)
