from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from model_rigs import LENSES, UP, VOLUME, camera_at, studio
from scipy.spatial.transform import Rotation

from models.distortion import undistort
from models.errors import InvalidRig
from models.views import view_of

COORDINATE = st.floats(-6, 6)
EDGE = 63.5  # heatmap pixels from the border of the first pixel to that of the last: −0.5 … 63.5


def border(camera):
    x, y = np.meshgrid(np.linspace(-0.5, camera.width - 0.5, 41), np.linspace(-0.5, camera.height - 0.5, 41))
    edge = (x == x.min()) | (x == x.max()) | (y == y.min()) | (y == y.max())
    return undistort(camera, np.column_stack([x[edge], y[edge]]))


def seen_of_volume(camera, volume, rng, count=4000):
    """Points of the volume that fall into the undistorted image's bounding box, in normalised coordinates."""
    points = rng.uniform(*volume, (count, 3))
    faces = rng.integers(3, size=count)
    points[np.arange(count), faces] = np.stack(volume)[rng.integers(2, size=count), faces]
    points = np.concatenate([points, np.array(np.meshgrid(*np.stack(volume, 1))).reshape(3, -1).T])
    local = points @ camera.R.T + camera.t
    local = local[local[:, 2] > 1e-3]
    flat, edge = local[:, :2] / local[:, 2:], border(camera)
    return flat[((flat >= edge.min(0)) & (flat <= edge.max(0))).all(1)]


@pytest.mark.parametrize("lens", LENSES)
def test_without_a_volume_the_view_is_the_smallest_square_around_the_image(lens):
    camera = camera_at((4, 0, 1.5), lens=lens)
    edge = view_of(camera, None, None).apply(border(camera))
    low, high = edge.min(0), edge.max(0)
    np.testing.assert_allclose((low + high) / 2, 31.5, atol=0.05)
    assert (high - low).max() == pytest.approx(64, abs=0.05)


@given(
    position=st.tuples(COORDINATE, COORDINATE, COORDINATE), target=st.tuples(COORDINATE, COORDINATE, COORDINATE),
    roll=st.floats(-180, 180), upright=st.booleans(), low=st.tuples(*[st.floats(-3, 0)] * 3),
    size=st.tuples(*[st.floats(0.2, 4)] * 3),
)  # fmt: skip
@settings(max_examples=150, deadline=None)
def test_the_view_holds_what_the_image_shows_of_the_volume(*, position, target, roll, upright, low, size):
    assume(np.linalg.norm(np.subtract(target, position)[:2]) > 0.1)
    camera = camera_at(position, target, roll=roll, lens="none")
    volume = (np.array(low), np.array(low) + size)
    seen = seen_of_volume(camera, volume, np.random.default_rng(0))
    assume(len(seen) > 3)
    view = view_of(camera, UP if upright else None, volume)
    inside = view.apply(seen)
    assert inside.min() >= -0.5 - 1e-6
    assert inside.max() <= EDGE + 1e-6


@pytest.mark.parametrize("roll", [0, 17, 45, 170])
@pytest.mark.parametrize("upright", [False, True])
@pytest.mark.parametrize("position", [(5, 0, 1.5), (2.2, 1, 1.2), (0.5, 0.3, 1.2), (1.8, -3, 2.5)])
def test_the_view_is_no_larger_than_what_it_shows_of_the_volume(position, upright, roll, rng):
    camera = camera_at(position, (0, 0.1, 1), roll=roll, lens="none")
    view = view_of(camera, UP if upright else None, VOLUME)
    inside = view.apply(seen_of_volume(camera, VOLUME, rng, 40_000))
    low, high = inside.min(0), inside.max(0)
    assert (high - low).max() > 62
    np.testing.assert_allclose((low + high) / 2, 31.5, atol=0.6)


@pytest.mark.parametrize("roll", [0, 10, -75, 180])
def test_the_worlds_up_points_to_the_top_of_the_view(roll):
    camera = camera_at((4, 1, 2.5), roll=roll)
    view = view_of(camera, UP, VOLUME)
    column = np.array([[0, 0, 1.0], [0, 0, 1.1]]) + (VOLUME[0] + VOLUME[1]) / 2 * [1, 1, 0]
    local = column @ camera.R.T + camera.t
    bottom, top = view.apply(local[:, :2] / local[:, 2:])
    assert top[1] < bottom[1]
    assert top[0] == pytest.approx(bottom[0], abs=0.02)


def test_the_view_is_a_similarity_that_inverts(rng):
    view = view_of(camera_at((4, 1, 2.5), roll=33), UP, VOLUME)
    block = view.K[:2, :2] / view.scale
    np.testing.assert_allclose(block @ block.T, np.eye(2), atol=1e-12)
    assert np.linalg.det(block) == pytest.approx(1)
    np.testing.assert_allclose(block[:, 0], [np.cos(view.roll), np.sin(view.roll)], atol=1e-12)
    points = rng.normal(size=(3, 5, 2))
    np.testing.assert_allclose(view.invert(view.apply(points)), points, atol=1e-12)


def test_looking_straight_down_leaves_the_image_as_it_is():
    R = np.diag([1.0, -1, -1])
    camera = camera_at((1, 0, 5)).with_pose(R, -R @ np.array([0, 0, 5.0]))
    assert view_of(camera, UP, None).roll == 0


def test_a_camera_in_the_middle_of_the_volume_sees_all_its_image():
    camera = camera_at((0.2, 0, 1), (1, 1, 1.2), lens="none")
    np.testing.assert_allclose(view_of(camera, None, VOLUME).K, view_of(camera, None, None).K, atol=1e-9)


@pytest.mark.parametrize(
    ("away", "words"),
    [((-9, 0, 0), "behind"), ((0, 9, 0), "outside"), ((0, 0, 30), "outside"), ((-4, 9, 0), "outside|behind")],
)
def test_a_volume_that_a_camera_cannot_see_is_refused(away, words):
    camera = camera_at((4, 0, 1), (-9, 0, 1), name="blind")
    volume = tuple(corner * 0.5 - np.array(away) * [1, 1, 1] for corner in VOLUME)
    volume = volume if away[0] else tuple(corner * 0.5 + np.array(away) for corner in VOLUME)
    with pytest.raises(InvalidRig, match=words) as caught:
        view_of(camera, None, volume)
    assert caught.value.at == "volume"


def test_a_distortion_that_cannot_be_undone_is_refused():
    camera = replace(camera_at((4, 0, 1)), dist=np.array([-3.0, 0, 0, 0, 0]), K=np.diag([500.0, 500, 1]))
    with pytest.raises(InvalidRig) as caught:
        view_of(camera, None, None)
    assert caught.value.at == "dist"


def test_a_rigid_motion_of_the_studio_moves_no_view():
    rig = studio(3, volume=None)
    turn = Rotation.from_euler("xyz", [20, -50, 70], degrees=True).as_matrix()
    for camera in rig.cameras:
        R = camera.R @ turn.T
        elsewhere = camera.with_pose(R, camera.t - R @ np.array([3.0, 1, -2]))
        np.testing.assert_allclose(view_of(elsewhere, turn @ UP, None).K, view_of(camera, UP, None).K, atol=1e-9)
