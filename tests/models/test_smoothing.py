import numpy as np
import pytest
from scipy.signal import savgol_filter

from models.errors import InvalidOptions
from models.smoothing import CausalFilter, smooth

FPS = 60.0


def walk(frames=240, joints=6, fps=FPS):
    """A gait: steady progress, swings of 3 to 35 cm at 0.95 Hz, and their third harmonic [F, J, 3] in metres."""
    rng, t = np.random.default_rng(0), (np.arange(frames) / fps)[:, None, None]
    phase = rng.uniform(0, 2 * np.pi, (joints, 3))
    swing = np.linspace(0.03, 0.35, joints)[:, None] * rng.uniform(0.5, 1, (joints, 3))
    cycle = 2 * np.pi * 0.95 * t + phase
    return np.array([1.2, 0, 0]) * t + swing * (np.sin(cycle) + 0.15 * np.sin(3 * cycle))


@pytest.fixture(scope="module")
def take():
    """True joints, measured ones, and their covariances: some are three times as sure as others."""
    rng, truth = np.random.default_rng(1), walk()
    sigma = rng.choice([0.01, 0.03], truth.shape[:2])
    return truth, truth + sigma[..., None] * rng.normal(size=truth.shape), (sigma**2)[..., None, None] * np.eye(3)


def mean_mm(points, truth):
    return 1000 * float(np.nanmean(np.linalg.norm(points - truth, axis=-1)))


def jitter(points):
    """Root mean square of the second difference: what trembles, rather than moves."""
    return float(np.sqrt(np.nanmean(np.square(np.diff(points, n=2, axis=0)))))


@pytest.mark.parametrize(("method", "error", "tremor"), [("savgol", 0.4, 0.1), ("causal", 0.7, 0.3)])
def test_noise_and_jitter_fall(take, method, error, tremor):
    truth, measured, covariance = take
    smoothed = smooth(measured, FPS, method, covariance=covariance)
    assert mean_mm(smoothed, truth) < error * mean_mm(measured, truth)
    assert jitter(smoothed) < tremor * jitter(measured)


@pytest.mark.parametrize("method", ["savgol", "causal"])
def test_the_covariance_is_worth_something(take, method):
    truth, measured, covariance = take
    informed, blind = smooth(measured, FPS, method, covariance=covariance), smooth(measured, FPS, method)
    assert mean_mm(informed, truth) < 0.95 * mean_mm(blind, truth)


@pytest.mark.parametrize(("method", "bias"), [("savgol", 3.0), ("causal", 10.0)])
def test_bias_of_exact_motion_is_bounded(method, bias):
    truth = walk()
    assert mean_mm(smooth(truth, FPS, method), truth) < bias


def test_the_causal_filter_lags_less_than_two_frames_and_the_whole_take_not_at_all():
    """The shift in time that fits best; a constant velocity is followed without any."""
    truth = walk(joints=1)[:, :, 1:2].repeat(3, 2)
    shifts = np.arange(-5, 6)
    for method, allowed in (("savgol", 0), ("causal", 1)):
        smoothed = smooth(truth, FPS, method)
        off = [np.abs(smoothed[20:-20] - np.roll(truth, s, axis=0)[20:-20]).mean() for s in shifts]
        assert 0 <= shifts[int(np.argmin(off))] <= allowed
    line = np.linspace(0, 5, 300)[:, None, None] * np.ones((1, 1, 3))
    np.testing.assert_allclose(smooth(line, FPS, "causal")[100:], line[100:], atol=1e-3)


def test_inside_a_take_of_equal_trust_it_is_the_textbook_filter():
    truth = walk()
    smoothed = smooth(truth, FPS, "savgol")
    textbook = savgol_filter(truth, 15, 3, axis=0)
    np.testing.assert_allclose(smoothed[7:-7], textbook[7:-7], atol=1e-3)


@pytest.mark.parametrize(("method", "reach"), [("savgol", 0.08), ("causal", 0.15)])
def test_short_gaps_are_filled_and_long_ones_are_not(take, method, reach):
    truth, measured, covariance = (x.copy() for x in take)
    measured[50:60, 0] = np.nan
    measured[100:140, 1] = np.nan
    smoothed = smooth(measured, FPS, method, covariance=covariance)
    assert np.linalg.norm(smoothed[50:60, 0] - truth[50:60, 0], axis=-1).max() < reach
    assert np.isnan(smoothed[115:140, 1]).all()
    assert np.isfinite(smoothed[141:, 1]).all()
    assert np.isfinite(smoothed[:, 2]).all()


def test_nothing_is_made_up_before_the_first_and_after_the_last_sight(take):
    measured = take[1].copy()
    measured[:5, 0] = measured[-5:, 0] = np.nan
    smoothed = smooth(measured, FPS, "savgol")
    assert np.isnan(smoothed[:5, 0]).all()
    assert np.isnan(smoothed[-5:, 0]).all()
    assert np.isfinite(smoothed[5:-5, 0]).all()


@pytest.mark.parametrize("method", ["savgol", "causal"])
def test_a_single_mistake_bends_the_take_little(take, method):
    truth, measured, covariance = (x.copy() for x in take)
    measured[80, 0] += 0.8
    smoothed = smooth(measured, FPS, method, covariance=covariance)
    assert np.linalg.norm(smoothed[80, 0] - truth[80, 0]) < 0.06


def test_causal_never_looks_ahead(take):
    measured, covariance = take[1], take[2]
    whole = smooth(measured, FPS, "causal", covariance=covariance)
    half = smooth(measured[:100], FPS, "causal", covariance=covariance[:100])
    np.testing.assert_array_equal(whole[:100], half)


def test_a_stream_is_served_frame_by_frame(take):
    measured, covariance = take[1], take[2]
    stream, answers = CausalFilter.start(measured.shape[1], FPS), []
    for points, doubt in zip(measured, covariance, strict=True):
        stream, smoothed = stream.step(points, doubt)
        answers.append(smoothed)
    np.testing.assert_array_equal(np.stack(answers), smooth(measured, FPS, "causal", covariance=covariance))


@pytest.mark.parametrize("method", ["savgol", "causal"])
def test_the_unit_does_not_matter(take, method):
    measured, covariance = take[1], take[2]
    metres = smooth(measured, FPS, method, covariance=covariance)
    millimetres = smooth(1e3 * measured, FPS, method, covariance=1e6 * covariance, metres_per_unit=1e-3)
    np.testing.assert_allclose(millimetres, 1e3 * metres, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("method", ["none", "savgol", "causal"])
@pytest.mark.parametrize("frames", [0, 1, 2])
def test_takes_of_hardly_any_frames(method, frames):
    points = np.ones((frames, 3, 3))
    points[:, 1] = np.nan
    smoothed = smooth(points, FPS, method)
    np.testing.assert_allclose(smoothed, points, atol=1e-6)


@pytest.mark.parametrize(
    ("fps", "method", "at"), [(0.0, "savgol", "fps"), (np.nan, "causal", "fps"), (30, "x", "smoothing")]
)
def test_what_makes_no_sense_is_refused(fps, method, at):
    with pytest.raises(InvalidOptions) as caught:
        smooth(np.zeros((3, 2, 3)), fps, method)
    assert caught.value.at == at
