"""Which joints and frames the pictures show: chosen by rules that are written beside each picture."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.demo.evaluate import HALF_HEAD_MM, Prediction, Truth, align

Array = NDArray[np.float64]
_FAR_PX = 1e4  # stands for a joint that was not found at all


@dataclass(frozen=True)
class Choice:
    """A joint of a view of a frame, by index, with its errors in raw image pixels before and after fusion."""

    frame: int
    view: int
    joint: int
    before_px: float
    after_px: float
    helped: bool


def examples(truth: Truth, before: Prediction, after: Prediction, count: int = 3) -> tuple[Choice, ...]:
    """The hidden joints that fusion gains most on, at most one a joint and view, and last the one it does worst on.

    Gains: wrong before, right after, by the error taken away. The last is the hidden joint with the largest error after
    fusion. Where no scored joint is hidden, all scored joints are candidates.
    """
    error = [_errors(truth, prediction) for prediction in (before, after)]
    candidates = truth.scored & truth.hidden
    if not candidates.any():
        candidates = truth.scored
    saved = candidates & (error[0] > truth.radius_px) & (error[1] <= truth.radius_px)
    chosen: list[Choice] = []
    for index in _descending(np.where(saved, error[0] - error[1], -np.inf)):
        choice = _choice(index, error, helped=True)
        taken = {(other.view, other.joint) for other in chosen}
        if len(chosen) < count and saved[index] and (choice.view, choice.joint) not in taken:
            chosen.append(choice)
    worst = next(_descending(np.where(candidates, error[1], -np.inf)))
    return (*chosen, _choice(worst, error, helped=False))


def telling_frame(truth: Truth, before: Prediction, after: Prediction) -> int:
    """The frame with the most joints that are wrong before fusion and right after it."""
    wrong = [_errors(truth, prediction) > truth.radius_px for prediction in (before, after)]
    gain = (truth.scored & wrong[0]).sum((1, 2)).astype(int) - (truth.scored & wrong[1]).sum((1, 2))
    return int(gain.argmax())


def telling_joint(truth: Truth, before: Prediction, after: Prediction) -> int:
    """The joint that fusion puts right in space in most frames, less the frames that it spoils."""
    scored = truth.scored3d
    error = [
        np.linalg.norm(align(p.pose3d, truth.joints_world, scored) - truth.joints_world, axis=-1)
        for p in (before, after)
    ]
    right = [np.nan_to_num(e, nan=np.inf) < HALF_HEAD_MM / 1000 for e in error]
    gain = (right[1].astype(int) - right[0]) * scored
    return int(np.where(scored.any(0), gain.sum(0), -len(gain) - 1).argmax())


def wrong(truth: Truth, prediction: Prediction) -> NDArray[np.bool_]:
    """Joints [F, V, J] that lie farther than half a head from the truth."""
    return _errors(truth, prediction) > truth.radius_px


def _errors(truth: Truth, prediction: Prediction) -> Array:
    error = np.linalg.norm(prediction.poses2d - truth.joints_image, axis=-1)
    return np.nan_to_num(error, nan=_FAR_PX)


def _descending(values: Array) -> Iterator[tuple[int, int, int]]:
    """Indices of values [F, V, J], the largest first."""
    for flat in np.argsort(-values, axis=None, kind="stable"):
        frame, view, joint = np.unravel_index(flat, values.shape)
        yield int(frame), int(view), int(joint)


def _choice(index: tuple[int, int, int], error: list[Array], *, helped: bool) -> Choice:
    frame, view, joint = index
    return Choice(frame, view, joint, float(error[0][index]), float(error[1][index]), helped)
