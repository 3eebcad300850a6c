import numpy as np
import pytest

from models.errors import InvalidInput
from models.geometry import project, view_to_image
from models.motion import random_motion
from models.plausibility import check_plausible
from models.studios import panoptic_dome, published_rig, published_rigs, random_rig


def share_seen(rig, seed=0):
    """Share of joints that lie in the view and in the image."""
    rng = np.random.default_rng(seed)
    joints = np.concatenate([random_motion(rng, 2, rig.skeleton) for _ in range(3)]).reshape(-1, 3)
    points = project(rig.projections(), joints / rig.metres_per_unit)
    inside = (np.abs(points - 31.5) < 32).all(-1)
    for v, (camera, view) in enumerate(zip(rig.cameras, rig.views, strict=True)):
        pixels = view_to_image(camera, view, points[:, v])
        inside[:, v] &= ((pixels > 0) & (pixels < [camera.width, camera.height])).all(-1)
    return inside.mean()


@pytest.mark.parametrize("cameras", [2, 3, 8, 31])
def test_random_studios_are_plausible_and_see_the_person(cameras):
    for seed in range(4):
        rig = random_rig(np.random.default_rng(seed), cameras)
        assert len(rig.cameras) == cameras
        check_plausible(rig)
        assert share_seen(rig) > 0.75


def test_random_studios_differ_in_all_that_studios_differ_in():
    rigs = [random_rig(np.random.default_rng(seed), 6) for seed in range(60)]
    cameras = [camera for rig in rigs for camera in rig.cameras]
    angles = [2 * np.degrees(np.arctan(min(c.width, c.height) / 2 / c.K[0, 0])) for c in cameras]
    rolls = [np.degrees(np.arctan2(c.R[0, 2], -c.R[1, 2])) for c in cameras]  # where the world's up is in the image
    heights = [c.centre[2] for c in cameras]
    assert 34 < min(angles) < 45
    assert 90 < max(angles) < 111
    assert min(heights) < 0.8
    assert max(heights) > 3.5
    assert np.mean(np.abs(rolls) < 20) > 0.4
    assert np.mean(np.abs(rolls) > 150) > 0.03  # upside down
    assert np.mean(np.abs(np.abs(rolls) - 90) < 25) > 0.03  # portrait
    assert {rig.volume is None for rig in rigs} == {rig.up is None for rig in rigs} == {True, False}


def test_a_seed_is_a_studio():
    one, same, other = (random_rig(np.random.default_rng(s), 5) for s in (7, 7, 8))
    assert one.digest == same.digest != other.digest


@pytest.mark.parametrize("name", published_rigs())
def test_published_rigs_are_valid_and_see_the_person(name):
    rig = published_rig(name)
    check_plausible(rig)
    assert [camera.id for camera in rig.cameras] == ["54138969", "55011271", "58860488", "60457274"]
    assert 3000 < min(np.linalg.norm(c.centre[:2]) for c in rig.cameras) < 6000  # millimetres
    assert all(-c.R[1, 2] > 0.9 for c in rig.cameras)  # upright
    assert share_seen(rig) > 0.95


def test_the_cameras_of_subject_nine_are_as_published():
    camera = published_rig("h36m-s9").cameras[0]
    assert camera.K[0, 0] == pytest.approx(1145.0494, abs=1e-3)
    np.testing.assert_allclose(camera.centre, [2044.5, 4935.1, 1481.2], atol=0.2)
    assert (camera.width, camera.height) == (1000, 1002)


@pytest.mark.parametrize("name", ["h36m-s12", "s9", "shelf"])
def test_a_rig_that_is_not_known_is_named(name):
    with pytest.raises(InvalidInput, match=name) as caught:
        published_rig(name)
    assert "h36m-s11" in caught.value.message


def test_the_whole_dome_surrounds_the_person_and_sees_it(rng):
    rig = panoptic_dome(rng)
    check_plausible(rig)
    centres = np.stack([c.centre for c in rig.cameras])
    assert (len(rig.cameras), rig.units, rig.joints) == (31, "cm", "panoptic19")
    np.testing.assert_allclose(np.linalg.norm(centres - [0, 0, 415 - 274.5], axis=1), 274.5, atol=1e-6)
    assert 20 < centres[:, 2].min() < 60
    assert 340 < centres[:, 2].max() < 415
    azimuth = np.sort(np.arctan2(centres[:, 1], centres[:, 0]))
    assert np.degrees(np.diff(azimuth)).max() < 40
    assert share_seen(rig) > 0.9


def test_some_cameras_of_the_dome_are_a_rig_too(rng):
    assert len(panoptic_dome(rng, 5, joints="coco17").cameras) == 5
    for cameras in (1, 32):
        with pytest.raises(InvalidInput, match="31 HD"):
            panoptic_dome(rng, cameras)
