from dataclasses import replace

import numpy as np
import pytest
from model_rigs import studio

from models import metrics
from models.errors import InsufficientLabels
from models.fusion import FLOOR, Fuser
from models.heatmap import decode, render
from models.labelled import LabelledFrames
from models.naivefuse import fit
from models.naivefuse_ridge import RIDGES
from models.pair_weights import PLAIN_SUM, LowRank
from models.worlds import Detector, make_world


def blobs(rng, frames, shift=(6.0, -4.0)):
    """Two views of one joint set, the second the first shifted; in the first every other joint is not found."""
    joints = rng.uniform(12, 50, (frames, 1, 17, 2)) + np.array([(0.0, 0.0), shift])[:, None]
    maps = render(joints, 2.0)
    maps[:, 0, ::2] = 0
    return LabelledFrames(tuple(map(str, range(frames))), maps, joints, np.full((frames, 2, 17), 2, np.uint8))


def fuser(factors, pairs, views):
    weights = [LowRank(*both) for both in zip(factors.left, factors.right, strict=True)]
    return Fuser(PLAIN_SUM, pairs, weights, np.ones(len(pairs)), views)


def test_what_is_learned_is_the_map_between_the_views(rng):
    pairs = ((0, 1), (1, 0))
    fused = fuser(fit(blobs(rng, 60), blobs(rng, 10), pairs, rng), pairs, 2)
    test = blobs(rng, 5)
    found, height = decode(fused.fuse(test.heatmaps)[:, 0, ::2])
    assert np.median(np.linalg.norm(found - test.joints_view[:, 0, ::2], axis=-1)) < 1
    assert np.median(height) > 0.3


def test_the_fuser_applies_the_factors_as_dense_weights(rng):
    pairs = ((0, 1), (1, 0), (0, 2), (2, 0), (1, 2), (2, 1))
    maps = np.maximum(rng.random((2, 3, 4, 64, 64)) - 0.7, 0).astype(np.float32)
    weights = [LowRank(*(rng.normal(size=s).astype(np.float16) / 64 for s in ((4096, 3), (3, 4096)))) for _ in pairs]
    gains = rng.uniform(0.5, 2, 6)
    expected = maps.copy().reshape(2, 3, 4, 4096)
    seen = np.where(expected > FLOOR, expected, 0)
    for (a, b), w, gain in zip(pairs, weights, gains, strict=True):
        expected[:, a] += gain * seen[:, b] @ (w.left.astype(float) @ w.right.astype(float)).T
    engine = Fuser(PLAIN_SUM, pairs, weights, gains, 3)
    np.testing.assert_allclose(engine.fuse(maps).reshape(expected.shape), expected, atol=2e-3)
    factors, tables = 6 * 3 * 4096 * (2 + 2), 6 * 3 * 4096 * (4 + 4)
    assert engine.nbytes == pytest.approx(factors + tables, rel=0.02)


def test_many_frames_of_a_small_world_find_hidden_joints_that_no_fusion_loses():
    """In one view, which is enough: views are learned one by one."""
    rng, pairs = np.random.default_rng(3), ((0, 1), (0, 2))
    frames, index = make_world(rng, studio(3), 80, Detector(hidden=0.3)).labelled(), np.arange(80)
    # Neighbours in time: what is learned here is learned by heart.
    known, choose, test = (frames.subset(index[np.isin(index % 4, kept)]) for kept in ((0, 2), (1,), (3,)))
    fused = fuser(fit(known, choose, pairs, rng), pairs, 3).fuse(test.heatmaps)
    joints, hidden = test.joints_view[:, 0], test.visibility[:, 0] == 1
    found = [
        metrics.jdr(decode(maps[:, 0])[0], joints, np.full(hidden.shape, 2.0), hidden)
        for maps in (test.heatmaps, fused)
    ]
    assert found[1] > found[0] + 0.1


def test_the_ridge_is_chosen_on_the_other_frames(rng):
    frames, others, pairs = blobs(rng, 12), blobs(rng, 6), ((0, 1), (1, 0))
    unlike = replace(others, heatmaps=others.heatmaps.copy())
    unlike.heatmaps[:, 1] = np.roll(others.heatmaps[:, 1], 1, axis=1)  # the second view finds other joints
    ridges = [fit(frames, choose, pairs, rng).strengths[0] for choose in (others, unlike)]
    assert ridges[0] < ridges[1] == RIDGES[-1]


def test_a_view_without_a_shared_label_is_refused(rng):
    frames = blobs(rng, 8)
    frames.joints_view[:, 1] = np.nan
    with pytest.raises(InsufficientLabels):
        fit(frames, blobs(rng, 2), ((0, 1), (1, 0)), rng)


def narrow(rng, frames, view=24):
    """Blobs whose joints all lie in a small part of the view."""
    whole = blobs(rng, frames)
    joints = whole.joints_view[:, :1] * 0.25 + view
    joints = np.concatenate([joints, joints + 3.0], axis=1)
    maps = render(joints, 2.0)
    maps[:, 0, ::2] = 0
    return replace(whole, joints_view=joints, heatmaps=maps)


@pytest.mark.parametrize("regularisation", ["none", "l1", "l21"])
def test_every_regularisation_learns_the_map_between_the_views(rng, regularisation):
    pairs = ((0, 1),)
    fused = fuser(fit(narrow(rng, 8), narrow(rng, 3), pairs, rng, regularisation=regularisation), pairs, 2)
    test = narrow(rng, 5)
    found, _ = decode(fused.fuse(test.heatmaps)[:, 0, ::2])
    assert np.median(np.linalg.norm(found - test.joints_view[:, 0, ::2], axis=-1)) < 1.5


@pytest.mark.parametrize("regularisation", ["none", "l2", "l1", "l21"])
def test_the_same_seed_gives_the_same_weights(rng, regularisation):
    frames, choose = narrow(rng, 3), narrow(rng, 2)
    one, other = (
        fit(frames, choose, ((0, 1),), np.random.default_rng(5), regularisation=regularisation) for _ in range(2)
    )
    np.testing.assert_array_equal(one.left, other.left)
    np.testing.assert_array_equal(one.right, other.right)


def test_a_start_that_explains_the_samples_stays(rng):
    frames, choose, pairs = blobs(rng, 40), blobs(rng, 10), ((0, 1),)
    known = fit(frames, choose, pairs, rng)
    start = LowRank(known.left[0], known.right[0])
    few = fit(blobs(rng, 3), choose, pairs, rng, start=start)
    alone = fit(blobs(rng, 3), choose, pairs, rng)
    test = blobs(rng, 10)
    lost = test.joints_view[:, 0, ::2]
    off = [
        np.median(np.linalg.norm(decode(fuser(one, pairs, 2).fuse(test.heatmaps)[:, 0, ::2])[0] - lost, axis=-1))
        for one in (few, alone)
    ]
    assert off[0] < 1 < off[1]
