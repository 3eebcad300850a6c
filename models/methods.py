"""The adaptation methods and their options, known without importing torch so that the API can check a request.

A new method is one row of ``METHODS``; a new option one field of ``AdaptationOptions`` and one row of ``OPTIONS``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from models.errors import InvalidOptions
from models.posture import ADULT_HEIGHT_M

DEFAULT_METHOD = "metafuse"
_KINDS = {bool: "true or false", int: "whole number", float: "number", str: "word"}


@dataclass(frozen=True)
class AdaptationOptions:
    """What a client may set; ``OPTIONS`` says what each is. Each method has those that apply to it."""

    holdout: float = 0.3
    repair_cameras: bool = True
    extrinsics: str = "sent"
    body_height_m: float = ADULT_HEIGHT_M
    first_distance: float = 0.0
    steps: int = 60
    regularisation: str = "l2"
    pooling: str = "sum"
    search_lines: bool = True
    allow_new_world: bool = False


@dataclass(frozen=True)
class Option:
    """What an option is for and what it may be: a truth value, a number in a range, or one of some words.

    ``only_with`` is the name of another option, and what that must be for this one to mean anything.
    """

    meaning: str
    kind: type[bool | int | float | str]
    limits: tuple[float, float] | None = None
    choices: tuple[str, ...] = ()
    only_with: tuple[str, str] | None = None

    def check(self, name: str, value: object) -> None:
        """Raise InvalidOptions, with the option's name as the place, unless ``value`` may be set."""
        at = f"options.{name}"
        wanted = (int, float) if self.kind is float else self.kind
        if not isinstance(value, wanted) or (isinstance(value, bool) and self.kind is not bool):
            raise InvalidOptions(f"{name} must be {'' if self.kind is bool else 'a '}{_KINDS[self.kind]}.", at=at)
        if self.limits is not None and isinstance(value, (int, float)):
            low, high = self.limits
            if not low <= value <= high:
                raise InvalidOptions(f"{name} must lie between {low} and {high}.", at=at)
        if self.choices and value not in self.choices:
            raise InvalidOptions(f"{name} is {value!r}, but must be one of {', '.join(self.choices)}.", at=at)

    def describe(self) -> str:
        """What it is for and what it may be, in words."""
        if self.choices:
            return f"{self.meaning} ({', '.join(self.choices)})"
        span = "" if self.limits is None else f" from {self.limits[0]} to {self.limits[1]}"
        return f"{self.meaning} ({_KINDS[self.kind]}{span})"


@dataclass(frozen=True)
class Method:
    """A row of ``METHODS``: what the method is, the names of its options, and their defaults."""

    meaning: str
    options: tuple[str, ...]
    defaults: AdaptationOptions


OPTIONS: Mapping[str, Option] = {
    "holdout": Option("share of the frames held out of the finetuning to judge the result on", float, (0.1, 0.6)),
    "repair_cameras": Option("whether the labels may repair the extrinsics", bool),
    "extrinsics": Option(
        "where R and t of the cameras come from: `sent` with the rig, and repaired; or from the `labels` alone, where "
        "those sent are made up. With `labels` all joints in space are in a world that the labels define: the rig's "
        "unit, the origin between the person's feet, `up` of the rig (or z) up, the first camera straight ahead",
        str,
        choices=("sent", "labels"),
    ),
    "body_height_m": Option(
        "with extrinsics from labels: height of the person in metres, from which the scale is taken",
        float,
        (0.3, 2.5),
        only_with=("extrinsics", "labels"),
    ),
    "first_distance": Option(
        "with extrinsics from labels: distance of the rig's first two cameras in its unit, which then gives the scale; "
        "0 where it is not known",
        float,
        (0, 1_000_000),
        only_with=("extrinsics", "labels"),
    ),
    "steps": Option("number of optimiser steps", int, (0, 1000)),
    "regularisation": Option(
        "what is charged for dense weights: their squares, nothing, their sizes, or their lengths in groups of one "
        "target pixel and one source view",
        str,
        choices=("l2", "none", "l1", "l21"),
    ),
    "search_lines": Option(
        "whether the transforms are first fitted to the labels alone, from coarse to fine, which the paper does not do",
        bool,
    ),
    "allow_new_world": Option(
        "whether the result may start to serve although its joints in space are in another world than those that are "
        "served now, as after `extrinsics: labels`",
        bool,
    ),
    "pooling": Option("what is taken along an epipolar line: the sum or the highest", str, choices=("sum", "max")),
}

METHODS: Mapping[str, Method] = {
    "metafuse": Method(
        "generic weights bent to cameras that the labels have repaired; steps learn the gains of single pairs",
        ("holdout", "repair_cameras", "extrinsics", "body_height_m", "first_distance", "steps", "allow_new_world"),
        AdaptationOptions(),
    ),
    "metafuse_paper": Method(
        "MetaFuse as the paper has it: steps finetune the transform of every pixel from a meta-learned start; fusing "
        "knows no camera",
        ("holdout", "steps", "search_lines", "allow_new_world"),
        AdaptationOptions(repair_cameras=False, steps=540),
    ),
    "affinefuse": Method(
        "the same from a start that was pre-trained on one studio, without meta-learning",
        ("holdout", "steps", "search_lines", "allow_new_world"),
        AdaptationOptions(repair_cameras=False, steps=540),
    ),
    "naivefuse": Method(
        "dense weights from the labelled frames alone; with a thousand frames the upper bound of such methods",
        ("holdout", "regularisation", "allow_new_world"),
        AdaptationOptions(repair_cameras=False, steps=0),
    ),
    "naivefuse_meta": Method(
        "dense weights drawn to those that were meta-learned for all pairs",
        ("holdout", "allow_new_world"),
        AdaptationOptions(repair_cameras=False, steps=0),
    ),
    "epipolar": Method(
        "heuristic fusion along the lines of the cameras sent; only its width and gain are tuned on the labels",
        ("holdout", "pooling", "allow_new_world"),
        AdaptationOptions(repair_cameras=False, steps=0),
    ),
}


def validate_options(method: str, options: Mapping[str, Any]) -> AdaptationOptions:
    """Check a method's name and its options; raises InvalidOptions with the place of the fault."""
    if method not in METHODS:
        raise InvalidOptions(
            f"The method {method!r} is not known. Known are {', '.join(METHODS)}.",
            at="method",
            code="unknown_method",
        )
    row = METHODS[method]
    for name, value in options.items():
        if name not in OPTIONS:
            raise InvalidOptions(f"Unknown option {name!r}. Known are {', '.join(OPTIONS)}.", at=f"options.{name}")
        if name not in row.options:
            raise InvalidOptions(
                f"The option {name!r} does not apply to {method}, which takes {_listed(row.options)} only.",
                at=f"options.{name}",
            )
        OPTIONS[name].check(name, value)
    chosen = replace(row.defaults, **options)
    for name in options:
        _check_effect(name, chosen, row.defaults)
    return chosen


def _check_effect(name: str, chosen: AdaptationOptions, defaults: AdaptationOptions) -> None:
    """Raise InvalidOptions where an option was changed that the others leave without effect."""
    needs = OPTIONS[name].only_with
    if needs is None or getattr(chosen, name) == getattr(defaults, name):
        return
    other, wanted = needs
    if getattr(chosen, other) != wanted:
        raise InvalidOptions(
            f"{name} has an effect with {other}={wanted} only, and {other} is {getattr(chosen, other)}.",
            at=f"options.{name}",
        )


def described() -> tuple[str, str]:
    """All methods, and all options with the methods that take them, each as a list in Markdown."""
    methods = [f"- `{name}`: {method.meaning}" for name, method in METHODS.items()]
    options = [
        f"- `{name}`: {option.describe()}; {_listed([f'`{m}`' for m, row in METHODS.items() if name in row.options])}"
        for name, option in OPTIONS.items()
        if any(name in row.options for row in METHODS.values())
    ]
    return "\n".join(methods), "\n".join(options)


def _listed(names: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))
