import cv2
import numpy as np
import pytest
from model_rigs import LENSES, VOLUME, camera_at, studio

from models import geometry
from models.views import view_of


@pytest.mark.parametrize("lens", LENSES)
def test_image_to_view_and_back(lens, rng):
    camera = camera_at((4, 1, 2), roll=12, lens=lens)
    view = view_of(camera, None, VOLUME)
    points = rng.uniform(0, 63, (4, 7, 2))
    pixels = geometry.view_to_image(camera, view, points)
    np.testing.assert_allclose(geometry.image_to_view(camera, view, pixels), points, atol=1e-5)


@pytest.mark.parametrize("lens", ["none", "opencv5", "opencv8"])
def test_projecting_a_world_point_agrees_with_opencv(lens, rng):
    rig = studio(4, lens=lens)
    points = rng.uniform(*VOLUME, (30, 3))
    seen = geometry.project(rig.projections(), points)
    for v, (camera, view) in enumerate(zip(rig.cameras, rig.views, strict=True)):
        dist = camera.dist
        pixels = cv2.projectPoints(points, cv2.Rodrigues(camera.R)[0], camera.t, camera.K, dist)[0][:, 0]
        np.testing.assert_allclose(geometry.view_to_image(camera, view, seen[:, v]), pixels, atol=1e-6)


def test_a_point_behind_a_camera_is_nan_in_that_view_only():
    rig = studio(4, volume=None)
    behind = rig.cameras[0].centre * 2 - [0, 0, rig.cameras[0].centre[2]]
    seen = geometry.project(rig.projections(), behind[None])[0]
    assert np.isnan(seen[0]).all()
    assert np.isfinite(seen[2]).all()


def test_view_maps_read_the_image_where_the_heatmap_convention_says():
    """u_hm = (u_in + 0.5)/4 − 0.5: an input pixel and its heatmap place are one point of the image."""
    camera = camera_at((4, 1, 2), lens="opencv5")
    view = view_of(camera, None, VOLUME)
    map_x, map_y = geometry.view_maps(camera, view)
    assert map_x.shape == map_y.shape == (256, 256)
    for column, row in [(0, 0), (255, 17), (100, 200)]:
        place = np.array([(column + 0.5) / 4 - 0.5, (row + 0.5) / 4 - 0.5])
        expected = geometry.view_to_image(camera, view, place)
        np.testing.assert_allclose([map_x[row, column], map_y[row, column]], expected, atol=1e-3)


def test_the_fundamental_matrix_holds_for_every_pair_and_point(rng):
    rig = studio(5)
    P, points = rig.projections(), rng.uniform(*VOLUME, (50, 3))
    seen = geometry.project(P, points)
    for a, b in rig.pairs:
        F = geometry.fundamental_matrix(P[a], P[b])
        lines = geometry.epipolar_lines(F, seen[:, a])
        np.testing.assert_allclose(np.hypot(lines[:, 0], lines[:, 1]), 1, atol=1e-12)
        np.testing.assert_allclose((lines[:, :2] * seen[:, b]).sum(1) + lines[:, 2], 0, atol=1e-9)


def test_the_fundamental_matrix_agrees_with_opencv_eight_points(rng):
    P = studio(2).projections()
    seen = geometry.project(P, rng.uniform(*VOLUME, (60, 3)))
    expected = cv2.findFundamentalMat(seen[:, 0], seen[:, 1], cv2.FM_8POINT)[0]
    F = geometry.fundamental_matrix(P[0], P[1])
    expected *= np.sign((F * expected).sum()) / np.linalg.norm(expected)
    np.testing.assert_allclose(F, expected, atol=1e-6)


def test_distance_from_a_line_is_in_pixels():
    F = np.array([[0, 0, 0], [0, 0, -3.0], [0, 3.0, 0]])  # rectified: the line of (x, y) is the row y
    np.testing.assert_allclose(geometry.epipolar_lines(F, np.array([20.0, 7.0])) @ [55, 11, 1], 4 * np.array(-1.0))


def test_pixels_of_a_heatmap_pixel_is_the_step_on_the_optical_axis():
    camera = camera_at((4, 0, 1), lens="none")
    view = view_of(camera, None, None)
    two = geometry.view_to_image(camera, view, view.apply(np.zeros(2)) + np.array([[0, 0], [1, 0]]))
    assert geometry.image_pixels_per_heatmap_pixel(camera, view) == pytest.approx(np.linalg.norm(two[1] - two[0]), 0.01)
