"""Heuristic epipolar fusion at its best: no learning, the cameras as sent, but width and gain tuned on the labels.

Each source gives a target pixel what it sees along the pixel's epipolar line: the sum (equation (1) of MetaFuse with a
Gaussian ridge for ω_base), or the maximum, as in AdaFuse (Zhang et al., IJCV 2021) without its learned view weights.
"""

from dataclasses import replace
from itertools import product

import numpy as np

from models.affine import HALF
from models.baselines import calibrated_theta, default_gains, gaussian_ridge
from models.fusion import Fuser
from models.heatmap import HEATMAP_SIZE, decode
from models.labelled import LabelledFrames
from models.learning import Learned, Task
from models.metrics import jdr

_SIGMAS_PX = {"sum": (0.7, 1.0, 1.5), "max": (0.5, 1.0)}
_GAINS = {"sum": (0.05, 0.1, 0.2, 0.4), "max": (0.2, 0.4, 0.8, 1.6)}
_MOST, _LEAST, _BUDGET = 24, 8, 600  # frames to tune two numbers on, and frames × pairs
_NEAR_PX = 1.6


def learn(task: Task) -> Learned:
    """The width and gain of the ridge that find most of the labelled joints."""
    rig, pooling = task.rig, task.options.pooling
    theta = calibrated_theta(rig).astype(np.float32)
    gains = np.full(len(rig.pairs), default_gains(len(rig.cameras)), np.float32)
    frames = task.parts.seen
    count = min(_MOST, max(_LEAST, _BUDGET // len(rig.pairs)))
    frames = frames.subset(np.unique(np.linspace(0, len(frames.frames) - 1, count).astype(int)))
    grid = list(product(_SIGMAS_PX[pooling], _GAINS[pooling]))
    rates = []
    for index, (sigma, gain) in enumerate(grid):
        omega = replace(gaussian_ridge(sigma, gain), pooling=pooling)
        rates.append(_rate(Fuser(omega, rig.pairs, theta, gains, len(rig.cameras)), frames))
        task.progress("finetune", 0.02 + 0.66 * (index + 1) / len(grid))
    sigma, gain = grid[int(np.argmax(rates))]
    omega = replace(gaussian_ridge(sigma, gain), pooling=pooling)
    return Learned(rig, omega, gains, theta, lineage={"sigma_px": sigma, "gain": gain})


def _rate(fuser: Fuser, frames: LabelledFrames) -> float:
    """JDR within 1.6 heatmap pixels of the labels inside the views."""
    peaks, _ = decode(fuser.fuse(frames.heatmaps))
    inside = np.abs(frames.joints_view - HALF).max(-1) < HEATMAP_SIZE / 2
    return jdr(peaks, frames.joints_view, np.full(inside.shape, _NEAR_PX), inside)
