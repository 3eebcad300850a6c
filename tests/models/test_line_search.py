import numpy as np
import pytest
import torch
from model_rigs import studio

from models.affine import lines_of_theta
from models.line_search import blurred, find_lines
from models.starts import same_row
from models.worlds import Detector, make_world

START = same_row(32.0, 2.0, 0.08)
OMEGA, THETA = torch.from_numpy(START.omega), torch.from_numpy(START.theta)


def find(pairs, frames, *, steps, seed):
    start = THETA.expand(len(pairs), -1, -1, -1)
    return find_lines(OMEGA, start, pairs, frames, steps=steps, rng=np.random.default_rng(seed))


def test_a_blur_keeps_what_is_the_same_everywhere_and_spreads_what_is_not():
    field = torch.ones(2, 4096, 2, 3)
    middle = 64 * 32 + 32
    torch.testing.assert_close(blurred(field, 2.0)[:, middle], field[:, middle])
    field = torch.zeros(1, 4096, 2, 3)
    field[0, middle] = torch.arange(6.0).reshape(2, 3)
    spread = blurred(field, 2.0)[0]
    torch.testing.assert_close(spread.sum(0), field[0].sum(0))
    assert spread[middle + 2, 1, 2] / spread[middle, 1, 2] == pytest.approx(np.exp(-0.5), rel=1e-5)
    torch.testing.assert_close(spread[middle + 2], spread[middle + 128])


def test_lines_are_found_from_labels_and_no_heatmap_takes_part():
    world = make_world(np.random.default_rng(1), studio(2), 24, Detector(hidden=0.3), clips=4)
    frames = world.labelled()
    frames.heatmaps[:] = np.nan
    target, source = frames.joints_view[:, 0].reshape(-1, 2), frames.joints_view[:, 1].reshape(-1, 2)
    kept = ((target > 0) & (target < 63) & (source > 0) & (source < 63)).all(1)
    pixels = np.rint(target[kept]).astype(int) @ [1, 64]
    homogeneous = np.column_stack([source[kept], np.ones(kept.sum())])

    def error(theta):
        return np.median(np.abs((lines_of_theta(theta[0, pixels].numpy()) * homogeneous).sum(1)))

    once, again, other = (find(world.rig.pairs, frames, steps=2, seed=seed) for seed in (0, 0, 1))
    assert torch.equal(once, again)
    assert not torch.equal(once, other)
    assert error(find(world.rig.pairs, frames, steps=60, seed=0)) < 0.7 * error(THETA.expand(2, -1, -1, -1))
