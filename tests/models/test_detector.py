from dataclasses import replace

import numpy as np
import pytest
from model_rigs import studio

from models.detector import Detector, detect, draw
from models.detector_fit import NEAR, Seen, find_peaks, fit
from models.errors import InvalidInput
from models.heatmap import decode
from models.worlds import make_world

SHARP = Detector(noise=0.0, clutter=0.0, sigma=(1.5, 1.5), height=(0.8, 0.8))


@pytest.fixture(scope="module")
def scene():
    """Joints of a world that lie well inside its views, and which of them are hidden."""
    world = make_world(np.random.default_rng(4), studio(4), 24, Detector(hidden=0.25), clips=6)
    inside = (np.abs(world.joints_view - 31.5) < 24).all(-1)
    return world.rig, world.joints_view, world.hidden, inside


def seen(scene, detector, seed=0, others=None):
    rig, points, hidden, inside = scene
    heatmaps = detect(np.random.default_rng(seed), rig, points, hidden, detector, others=others)
    other = None if others is None else np.ones((*heatmaps.shape[:2], 64, 64), bool)
    return Seen(heatmaps, points, ~hidden & inside, hidden & inside, other)


def test_quantiles_are_a_distribution(rng):
    drawn = draw(rng, (0.0, 1.0, 10.0), (4000,))
    assert (drawn.min() >= 0, drawn.max() <= 10) == (True, True)
    assert np.median(drawn) == pytest.approx(1.0, abs=0.1)
    assert np.quantile(drawn, 0.75) == pytest.approx(5.5, abs=0.4)


def test_peaks_have_the_height_spread_and_direction_asked_for(scene):
    take = seen(scene, Detector(noise=0.0, clutter=0.0, sigma=(1.5, 1.5), height=(0.8, 0.8), stretch=(1.6, 1.6)))
    found, _ = fit([take], scene[0].skeleton)
    assert np.median(find_peaks(take).height[take.visible]) == pytest.approx(0.8, abs=0.05)
    assert np.median(found.sigma) == pytest.approx(1.5, abs=0.05)
    assert np.median(found.stretch) == pytest.approx(1.6, abs=0.08)


def test_noise_differs_by_part_and_bias_stays_with_view_and_joint(scene):
    rig, points, hidden, inside = scene
    shown = ~hidden & inside

    def errors(**habits):
        detector = Detector(sigma=(1.5, 1.5), clutter=0.0, **habits)
        return decode(detect(np.random.default_rng(0), rig, points, hidden, detector))[0] - points

    uneven = errors(noise=0.3, tails=30.0, parts=(("wrist", 2.0), ("knee", 0.5)))
    by_part = {
        part: np.median(np.abs(uneven[:, :, own][shown[:, :, own]])) / 0.6745
        for part in ("wrist", "knee", "hip")
        for own in [[i for i, name in enumerate(rig.skeleton.joints) if name.endswith(part)]]
    }
    assert by_part == pytest.approx({"wrist": 0.6, "knee": 0.15, "hip": 0.3}, rel=0.2)
    constant = errors(noise=0.0, bias=0.5)
    spread = np.array([constant[:, v, j][shown[:, v, j]].std(0).max() for v in range(4) for j in (7, 8, 9, 10)])
    assert np.median(spread) < 0.1
    assert np.abs(constant[shown]).mean() > 0.25


@pytest.mark.parametrize("kind", range(4))
def test_wrong_peaks_are_of_the_kinds_asked_for(kind, scene, rng):
    rig, points, *_ = scene
    shares = tuple(float(kind == k) for k in range(4))
    others = np.clip(points + rng.choice([-20, 20], (*points.shape[:2], 1, 2)), 2, 61)
    detector = Detector(
        noise=0.0, clutter=0.0, miss=1.0, ghost=1.0, ghost_height=(0.7, 0.7), sigma=(1.5, 1.5), kinds=shares
    )
    take = seen(scene, detector, others=others)
    at = decode(take.heatmaps)[0][take.hidden]
    f, v, j = np.nonzero(take.hidden)
    own_side = np.array(rig.skeleton.flip)[j] == j
    near = [points[f, v, np.array(rig.skeleton.flip)[j]], None, others[f, v, j], None][kind]
    if near is not None:
        assert (np.linalg.norm(at - near, axis=1) < NEAR)[~own_side].mean() > 0.85
    elif kind == 1:
        distance = np.linalg.norm(points[f, v] - at[:, None], axis=-1)
        distance[np.arange(len(j)), j] = np.inf
        assert (distance.min(1) < 4).mean() > 0.85
    else:
        assert np.linalg.norm(at - points[f, v, j], axis=1).mean() > 5


def test_somebody_else_draws_the_detector_away(scene):
    rig, points, hidden, inside = scene
    others = np.clip(points + 16.0, 2, 61)
    drawn = Detector(noise=0.0, clutter=0.0, drawn=0.4, sigma=(1.5, 1.5), height=(0.8, 0.8))
    shown = ~hidden & inside & (np.linalg.norm(others - points, axis=-1) > 8)

    def lost(others):
        maps = detect(np.random.default_rng(2), rig, points, hidden, drawn, others=others)
        at = decode(maps)[0][shown]
        return (np.linalg.norm(at - points[shown], axis=1) > NEAR).mean()

    assert lost(None) < 0.02
    assert 0.1 < lost(others) < 0.7
    assert lost(np.full_like(others, np.nan)) < 0.02


def test_a_slip_is_a_visible_joint_that_is_lost(scene):
    rig, points, hidden, inside = scene
    detector = Detector(noise=0.0, clutter=0.0, slip=0.3, miss=1.0, ghost=0.0)
    maps = detect(np.random.default_rng(0), rig, points, hidden, detector)
    assert (maps.max((-1, -2)) < 0.1)[~hidden & inside].mean() == pytest.approx(0.3, abs=0.03)


def test_what_is_fitted_to_a_detector_is_that_detector(scene):
    truth = Detector(
        noise=0.4, tails=4.0, bias=0.3, sigma=(1.2, 1.8), stretch=(1.1, 1.5), height=(0.5, 0.9), slip=0.05,
        ghost=0.8, ghost_height=(0.3, 0.6), clutter=0.4, clutter_height=(0.15, 0.3), kinds=(0.5, 0.0, 0.0, 0.5),
    )  # fmt: skip
    found, counts = fit([seen(scene, truth, seed) for seed in range(2)], scene[0].skeleton)
    assert counts["visible"] > 1500
    assert found.noise == pytest.approx(truth.noise, rel=0.3)
    assert found.bias == pytest.approx(truth.bias, rel=0.4)
    for name in ("sigma", "height"):
        middle = np.mean(getattr(truth, name))
        assert np.median(getattr(found, name)) == pytest.approx(middle, rel=0.08), name
    assert found.slip == pytest.approx(truth.slip, abs=0.04)
    assert found.ghost_height[4] == pytest.approx(0.45, abs=0.05)
    assert found.kinds[0] > 0.15  # swaps that stand by the joint itself are not told from it


def test_how_often_a_hidden_joint_leaves_nothing_is_measured(scene):
    truth = Detector(noise=0.2, miss=0.5, faded=(0.3, 0.6), hidden_noise=1.5, ghost=0.0, clutter=0.0)
    found, _ = fit([seen(scene, truth)], scene[0].skeleton)
    assert found.miss == pytest.approx(0.5, abs=0.08)
    assert np.median(found.faded) == pytest.approx(0.45, abs=0.06)
    assert found.ghost < 0.1


def test_the_fitted_detector_shows_the_statistics_it_was_fitted_to(scene):
    fitted = Detector.fitted()
    again, _ = fit([seen(scene, fitted, seed) for seed in range(2)], scene[0].skeleton)
    assert np.median(again.height) == pytest.approx(np.median(fitted.height), rel=0.08)
    assert np.median(again.sigma) == pytest.approx(np.median(fitted.sigma), rel=0.1)
    assert again.noise == pytest.approx(fitted.noise, rel=0.35)
    alone, _ = fit([seen(scene, replace(fitted, ghost=0.0, clutter=0.0))], scene[0].skeleton)
    assert alone.miss == pytest.approx(fitted.miss, abs=0.12)
    assert np.median(again.ghost_height) == pytest.approx(np.median(fitted.ghost_height), abs=0.08)


def test_random_detectors_are_many(rng):
    detectors = [Detector.random(rng) for _ in range(60)]
    for name, low, high in (("hidden", 0.1, 0.33), ("miss", 0.3, 0.85), ("ghost", 0.5, 0.9), ("noise", 0.25, 0.5)):
        values = [getattr(d, name) for d in detectors]
        assert min(values) < low < high < max(values)
    for d in detectors:
        assert 0 < d.sigma[0] < d.sigma[-1] < 4
        assert sum(d.kinds) == pytest.approx(1)
    assert Detector.random(np.random.default_rng(1)) == Detector.random(np.random.default_rng(1))


def test_too_few_joints_are_not_fitted_to(scene):
    take = seen(scene, SHARP)
    nothing = np.zeros_like(take.hidden)
    with pytest.raises(InvalidInput, match="0 hidden"):
        fit([Seen(take.heatmaps, take.points, take.visible, nothing)], scene[0].skeleton)
