import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from model_rigs import camera_at, studio

from models.affine import HALF, lines_of_theta, theta_of_pair, transform
from models.baselines import calibrated_theta, gaussian_ridge
from models.geometry import fundamental_matrix
from models.pencil import KNOTS, pencil_of
from models.rig import Camera, Rig
from models.worlds import random_rig

RIDGE = gaussian_ridge(1.5).values


def ahead(distance, name="ahead", pixel=31.5):
    """A camera that looks along z, ``distance`` behind the origin, its optical axis at a heatmap pixel."""
    centre = 499.5 + (pixel - 31.5) * 1000 / 64
    K = np.array([[1000, 0, centre], [0, 1000, centre], [0, 0, 1.0]])
    return Camera(name, 1000, 1000, K, np.eye(3), np.array([0, 0, float(distance)]))


FACING = np.diag([-1.0, 1, -1])
LOOKING_AT_IT = np.array([[0, 0, 1.0], [0, 1, 0], [-1, 0, 0]])
PLACES = {
    "ring": studio(2).cameras,
    "epipole inside both views": (ahead(0, "a"), ahead(0, "b").with_pose(FACING, -FACING @ [0.3, 0.2, 5])),
    "epipole on a pixel": (ahead(0, "a"), ahead(2, "b", pixel=32)),
    "epipole at infinity": (ahead(0, "a"), ahead(0, "b").with_pose(np.eye(3), [-0.5, 0.1, 0])),
    "lines at infinity": (ahead(0, "a"), ahead(0, "b", 32).with_pose(LOOKING_AT_IT, -LOOKING_AT_IT @ [4.0, 0, 0])),
    "one above the other": (camera_at((4, 0, 1), name="a"), camera_at((4, 0, 1.4), name="b")),
}


def assert_as_dense(theta):
    """Looking weights up between knots against T_θ(ω_base) of every pixel, on a sample of pixels.

    Between two knots a ridge is the mean of two ridges: right on average, a little flat at its top.
    """
    pencil = pencil_of(theta)
    rows = np.arange(7, 4096, 29)
    dense = transform(RIDGE, theta.reshape(-1, 2, 3)[rows])
    looked_up = pencil.lookup()[rows] @ transform(RIDGE, pencil.knots)
    assert np.abs(looked_up - dense).max() < 0.25
    assert np.abs(looked_up - dense).mean() < 0.01 * max(dense.mean(), 0.01) + 2e-3
    return pencil


@pytest.mark.parametrize("place", PLACES)
def test_looking_up_a_calibrated_pencil_is_the_dense_transform(place):
    for theta in calibrated_theta(Rig(PLACES[place], "coco17")):
        pencil = assert_as_dense(theta)
        assert len(pencil.knots) == KNOTS


@given(seed=st.integers(0, 10_000), width=st.floats(0.7, 1.4))
@settings(max_examples=12, deadline=None)
def test_any_studio_is_a_pencil(seed, width):
    P = random_rig(np.random.default_rng(seed), 2).projections()
    pencil = assert_as_dense(theta_of_pair(fundamental_matrix(P[0], P[1]), width))
    assert len(pencil.knots) == KNOTS


@given(centre=st.tuples(*[st.floats(-4, 4)] * 3), target=st.tuples(*[st.floats(-1, 1)] * 3))
@settings(max_examples=40, deadline=None)
def test_the_lines_at_the_knots_hold_every_pixels_line(centre, target):
    centre = np.add(centre, (5, 0, 0))
    rig = Rig((ahead(0, "a"), camera_at(centre, target, name="b", lens="none")), "coco17")
    for theta in calibrated_theta(rig):
        pencil = pencil_of(theta)
        assert len(pencil.knots) == KNOTS
        between = pencil.lookup() @ np.abs(pencil.knots[:, 1].astype(np.float64))
        own = np.abs(theta.reshape(-1, 2, 3)[:, 1])
        seen = np.abs(lines_of_theta(theta).reshape(-1, 3) @ [31.5, 31.5, 1]) < HALF * np.sqrt(2)
        if seen.any():
            assert np.median(np.abs(between - own)[seen]) < 0.1


def test_the_lookup_takes_shares_that_add_up_to_one():
    for theta in calibrated_theta(studio(3)):
        lookup = pencil_of(theta).lookup()
        np.testing.assert_allclose(lookup.sum(1), 1, atol=1e-6)
        assert lookup.min() >= 0


def test_freely_learned_theta_are_kept_pixel_by_pixel_and_exact(rng):
    theta = calibrated_theta(studio(2))[0]
    theta = (theta + rng.normal(0, 0.05, theta.shape)).astype(np.float32)
    pencil = pencil_of(theta)
    assert len(pencil.knots) == 4096
    rows = np.arange(0, 4096, 61)
    np.testing.assert_array_equal(pencil.index, np.arange(4096))
    assert not pencil.fraction.any()
    np.testing.assert_array_equal(transform(RIDGE, pencil.knots[rows]), transform(
        RIDGE, theta.reshape(-1, 2, 3)[rows]
    ))  # fmt: skip


@pytest.mark.parametrize("theta", [np.zeros((64, 64, 2, 3)), np.broadcast_to(np.eye(2, 3), (64, 64, 2, 3))])
def test_theta_that_are_no_lines_are_kept_as_they_are(theta):
    theta = theta.astype(np.float32)
    np.testing.assert_array_equal(pencil_of(theta).lookup() @ pencil_of(theta).knots[:, 0, 0], theta[..., 0, 0].ravel())


def test_widths_that_differ_between_pixels_are_no_pencil():
    theta = calibrated_theta(studio(2))[0].copy()
    theta[:, 32:, 1] *= 2
    assert len(pencil_of(theta).knots) == 4096
