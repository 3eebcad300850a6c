import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from model_rigs import LENSES, camera_at

from models.distortion import distort, undistort

INSIDE = st.tuples(st.floats(0, 1279), st.floats(0, 959))


@pytest.mark.parametrize("lens", LENSES)
@given(pixel=INSIDE)
def test_undistorting_then_distorting_gives_the_pixel_back(lens, pixel):
    camera = camera_at((4, 0, 1.5), lens=lens)
    np.testing.assert_allclose(distort(camera, undistort(camera, np.array(pixel))), pixel, atol=1e-4)


@pytest.mark.parametrize("lens", LENSES)
def test_distort_agrees_with_the_published_polynomials(lens, rng):
    camera = camera_at((4, 0, 1.5), lens=lens)
    x, y = rng.uniform(-0.6, 0.6, (2, 50))
    r = np.hypot(x, y)
    if camera.model == "fisheye":
        k, theta = camera.dist, np.arctan(r)
        bent = theta * (1 + sum(k[i] * theta ** (2 * i + 2) for i in range(4))) / r
        dx, dy = x * bent, y * bent
    else:
        k1, k2, p1, p2, k3, k4, k5, k6 = np.pad(camera.dist, (0, 8 - len(camera.dist)))
        radial = (1 + k1 * r**2 + k2 * r**4 + k3 * r**6) / (1 + k4 * r**2 + k5 * r**4 + k6 * r**6)
        dx = x * radial + 2 * p1 * x * y + p2 * (r**2 + 2 * x**2)
        dy = y * radial + p1 * (r**2 + 2 * y**2) + 2 * p2 * x * y
    expected = np.column_stack([dx, dy, np.ones(50)]) @ camera.K[:2].T
    np.testing.assert_allclose(distort(camera, np.column_stack([x, y])), expected, atol=1e-8)


@pytest.mark.parametrize("lens", ["opencv5", "fisheye"])
def test_a_missing_pixel_stays_missing_and_harms_no_other(lens):
    camera = camera_at((4, 0, 1.5), lens=lens)
    pixels = np.array([[[100.0, 200.0], [np.nan, np.nan]], [[np.nan, np.nan], [900.0, 700.0]]])
    for there in (undistort, distort):
        out = there(camera, pixels / (1 if there is undistort else 1000))
        assert np.isnan(out[[0, 1], [1, 0]]).all()
        assert np.isfinite(out[[0, 1], [0, 1]]).all()


@pytest.mark.parametrize("lens", ["opencv5", "fisheye"])
def test_no_pixels_give_no_pixels(lens):
    camera = camera_at((4, 0, 1.5), lens=lens)
    assert undistort(camera, np.zeros((0, 3, 2))).shape == (0, 3, 2)
    assert distort(camera, np.zeros((3, 0, 2))).shape == (3, 0, 2)
