import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.heatmap import decode, decode_near, render

PLACE = st.tuples(st.floats(4, 59), st.floats(4, 59))


def test_a_rendered_joint_is_the_gaussian_of_its_formula():
    drawn = render(np.array([20.25, 41.5]), 1.7)
    y, x = np.mgrid[:64, :64]
    np.testing.assert_allclose(drawn, np.exp(-((x - 20.25) ** 2 + (y - 41.5) ** 2) / (2 * 1.7**2)), atol=1e-6)
    assert drawn.dtype == np.float32


def test_a_missing_joint_is_an_empty_map_among_others():
    drawn = render(np.array([[np.nan, np.nan], [10, 10], [1e6, np.inf]]), np.array([1.0, 2.0, 1.0]))
    assert drawn.shape == (3, 64, 64)
    assert drawn[0].max() == 0
    assert drawn[2].max() == 0
    assert drawn[1, 10, 10] == 1


@given(place=PLACE, sigma=st.floats(1.0, 2.5), height=st.floats(0.05, 1))
def test_decoding_finds_a_gaussian_within_a_pixel(place, sigma, height):
    points, confidence = decode(np.float32(height) * render(np.array(place), sigma))
    np.testing.assert_allclose(points, place, atol=0.2)
    assert 0.7 * height < confidence <= height * (1 + 1e-6)


def test_decoding_is_unbiased_over_all_places_within_a_pixel(rng):
    places = rng.uniform(20, 40, (400, 2))
    error = decode(render(places, 1.6))[0] - places
    assert np.abs(error.mean(0)).max() < 0.01
    assert np.abs(error).max() < 0.08


def test_the_higher_of_two_peaks_wins():
    drawn = 0.6 * render(np.array([10.0, 50.0]), 1.5) + 0.7 * render(np.array([45.0, 12.0]), 1.5)
    np.testing.assert_allclose(decode(drawn)[0], [45, 12], atol=0.05)


@pytest.mark.parametrize("place", [(0, 0), (63, 0), (0.3, 63), (63, 62.6)])
def test_a_peak_at_the_border_is_found_to_half_a_pixel(place):
    np.testing.assert_allclose(decode(render(np.array(place, float), 1.5))[0], place, atol=0.6)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_empty_maps_have_no_confidence_and_finite_places(dtype):
    points, confidence = decode(np.zeros((2, 3, 64, 64), dtype))
    assert points.shape == (2, 3, 2)
    assert np.isfinite(points).all()
    assert confidence.max() == 0


def test_no_maps_decode_to_no_points():
    points, confidence = decode(np.zeros((0, 4, 17, 64, 64)))
    assert points.shape == (0, 4, 17, 2)
    assert confidence.shape == (0, 4, 17)


def test_half_precision_decodes_as_single(rng):
    drawn = render(rng.uniform(5, 58, (20, 2)), 1.5)
    np.testing.assert_allclose(decode(drawn.astype(np.float16))[0], decode(drawn)[0], atol=0.01)


@given(near=PLACE, far=PLACE)
def test_looking_near_a_place_never_leaves_its_reach(near, far):
    drawn = 0.3 * render(np.array(near), 1.5) + render(np.array(far), 1.5)
    place = np.array(near) + 1.0
    point, height = decode_near(drawn, place, 3.5)
    assert np.linalg.norm(point - place) < 3.5 + np.sqrt(2)  # the highest pixel within reach, refined by up to one
    assert height <= drawn.max()


def test_looking_near_finds_the_lower_peak_that_is_there():
    drawn = 0.3 * render(np.array([20.3, 30.0]), 1.5) + render(np.array([50.0, 50.0]), 1.5)
    point, height = decode_near(drawn[None], np.array([[22.0, 31.0]]), 3.5)
    np.testing.assert_allclose(point, [[20.3, 30]], atol=0.05)
    assert height == pytest.approx(0.3, abs=0.02)


@pytest.mark.parametrize("place", [(-3.0, 5.0), (66.0, 62.0), (-1e3, -1e3)])
def test_looking_near_a_place_outside_the_map_finds_nothing(place):
    """Not what is lit at the border nearest to it."""
    assert decode_near(np.ones((1, 64, 64), np.float32), np.array([place]), 2.5)[1] == 0
