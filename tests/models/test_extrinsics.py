from dataclasses import replace

import numpy as np
import pytest
from model_rigs import VOLUME, studio

from models import evaluation, metrics
from models.adaptation import adapt
from models.errors import InsufficientLabels
from models.extrinsics import extrinsics_from_labels
from models.geometry import epipolar_lines, fundamental_matrix
from models.rotation import rotation_matrix
from models.runtime import Engine
from models.worlds import Detector, make_world

BLIND = Detector(hidden=0.0)


def made_up(rig, seed=5):
    """The rig with R and t that say nothing, and no volume that they could place."""
    rng, views = np.random.default_rng(seed), len(rig.cameras)
    R, t = rotation_matrix(2 * rng.normal(size=(views, 3))), 3 * rng.normal(size=(views, 3))
    cameras = tuple(camera.with_pose(*pose) for camera, *pose in zip(rig.cameras, R, t, strict=True))
    return replace(rig, cameras=cameras, volume=None, up=None)


def with_gross_errors(labels, rng, share=0.02):
    """Some labels far off, and some views with left and right exchanged."""
    joints = labels.joints_view.copy()
    gross = rng.random(joints.shape[:3]) < share
    joints[gross] += rng.normal(0, 8, (gross.sum(), 2))
    swapped = rng.random(joints.shape[:2]) < share
    flip = [0, 2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15]
    joints[swapped] = joints[swapped][:, flip]
    return replace(labels, joints_view=joints)


def world_of(rig, frames=20, seed=1, clips=4):
    """A world without heatmaps to speak of, for what looks at the labels only."""
    return make_world(np.random.default_rng(seed), rig, frames, BLIND, clips=clips)


def epipolar_px(cameras, world):
    """The largest of the pairs' median distances of true joints from the epipolar lines of ``cameras``."""
    P, points = cameras.projections(), world.joints_view
    medians = []
    for a, b in cameras.pairs:
        lines = epipolar_lines(fundamental_matrix(P[a], P[b]), points[:, a])
        medians.append(np.nanmedian(np.abs((lines[..., :2] * points[:, b]).sum(-1) + lines[..., 2])))
    return max(medians)


@pytest.fixture(scope="module")
def unknown():
    """A rig of whole images, as one without extrinsics must be."""
    return replace(studio(4), volume=None, up=None)


@pytest.fixture(scope="module")
def seen(unknown):
    return world_of(unknown)


@pytest.mark.parametrize("views", [2, 3, 5])
def test_cameras_come_out_of_noisy_labels_with_gross_errors(views):
    world = world_of(replace(studio(views), volume=None, up=None))
    rng = np.random.default_rng(0)
    labels = with_gross_errors(world.labelled(rng, 0.25), rng)
    assert epipolar_px(extrinsics_from_labels(world.rig, labels), world) < 0.15


def test_the_extrinsics_sent_play_no_part(unknown, seen):
    labels = seen.labelled(np.random.default_rng(0), 0.25)
    one, other = (extrinsics_from_labels(made_up(unknown, seed), labels) for seed in (5, 6))
    for a, b in zip(one.cameras, other.cameras, strict=True):
        np.testing.assert_allclose(a.R, b.R, atol=1e-9)
        np.testing.assert_allclose(a.t, b.t, atol=1e-9)


@pytest.mark.parametrize("units", ["m", "cm"])
def test_a_known_distance_gives_the_scale_and_exact_labels_the_rig(unknown, seen, units):
    factor = {"m": 1.0, "cm": 100.0}[units]
    distance = factor * np.linalg.norm(unknown.cameras[0].centre - unknown.cameras[1].centre)
    found = extrinsics_from_labels(replace(made_up(unknown), units=units), seen.labelled(), first_distance=distance)
    truth, got = (np.stack([c.centre for c in r.cameras]) for r in (unknown, found))
    apart = [np.linalg.norm(x[:, None] - x[None], axis=-1) for x in (truth * factor, got)]
    np.testing.assert_allclose(apart[1], apart[0], rtol=1e-3)


def test_the_world_is_the_bodys(seen, unknown):
    """Metres, the origin between the feet and the head above them, up to how people are built and lean."""
    cameras = extrinsics_from_labels(made_up(unknown), seen.labelled(np.random.default_rng(0), 0.25))
    poses = evaluation.labels_in_space(cameras, seen.labelled())
    true_arm, arm = (np.nanmedian(np.linalg.norm(x[:, 5] - x[:, 7], axis=-1)) for x in (seen.joints_world, poses))
    assert arm == pytest.approx(true_arm, rel=0.2)
    assert np.linalg.norm(np.nanmedian(poses[:, 15:17].mean(1), axis=0)) < 0.05
    assert np.nanmedian(poses[:, 0, 2] - poses[:, 15, 2]) > 1.0
    ahead = cameras.cameras[0].centre
    assert ahead[0] > 2
    assert abs(ahead[1]) < 1e-6


def test_up_is_the_rigs_own(unknown, seen):
    rig = replace(made_up(unknown), up=np.array([0.0, -1.0, 0.0]))
    labels = seen.labelled()
    labels = replace(labels, joints_view=_in_views_of(rig, unknown, labels.joints_view))
    poses = evaluation.labels_in_space(extrinsics_from_labels(rig, labels), labels)
    assert np.nanmedian(poses[:, 15, 1] - poses[:, 0, 1]) > 1.0


def _in_views_of(rig, other, joints_view):
    views = zip(rig.views, other.views, strict=True)
    return np.stack([new.apply(old.invert(joints_view[:, v])) for v, (new, old) in enumerate(views)], axis=1)


def test_too_few_labels_are_refused(unknown, seen):
    labels = seen.labelled().subset([0])
    with pytest.raises(InsufficientLabels, match="30 labelled joints") as caught:
        extrinsics_from_labels(unknown, labels)
    assert caught.value.at == "labels"


def test_a_camera_that_shares_no_labels_is_named(unknown, seen):
    labels = seen.labelled()
    joints = labels.joints_view.copy()
    joints[:, 2] = np.nan
    with pytest.raises(InsufficientLabels, match="'cam2'"):
        extrinsics_from_labels(unknown, replace(labels, joints_view=joints))


def test_labels_in_a_plane_are_refused(unknown, seen):
    flat = seen.joints_world.copy()
    flat[..., 0] = 0.1
    P = unknown.projections()
    image = np.einsum("vij,fnj->fvni", P, np.concatenate([flat, np.ones_like(flat[..., :1])], axis=-1))
    labels = replace(seen.labelled(), joints_view=image[..., :2] / image[..., 2:])
    with pytest.raises(InsufficientLabels, match="plane"):
        extrinsics_from_labels(unknown, labels)


def test_labels_of_other_moments_are_refused(unknown, seen):
    labels = seen.labelled()
    joints = np.stack([np.roll(labels.joints_view[:, v], 3 * v, axis=0) for v in range(4)], axis=1)
    with pytest.raises(InsufficientLabels):
        extrinsics_from_labels(unknown, replace(labels, joints_view=joints))


def test_a_rig_of_unknown_extrinsics_is_adapted_and_serves():
    """End to end: R and t made up, whole images, cameras from the labels, fused joints in the world of the body."""
    unknown = replace(studio(3), volume=None, up=None)
    rig, world = made_up(unknown), make_world(np.random.default_rng(3), unknown, 16, Detector(hidden=0.3), clips=4)
    checkpoint = adapt(
        rig, world.labelled(np.random.default_rng(2), 0.25), options={"extrinsics": "labels", "steps": 0}
    )
    told = checkpoint.metrics
    assert told["promoted"], told["reason"]
    assert told["calibration"]["extrinsics"] == "labels"
    assert told["calibration"]["cameras"] == []
    assert told["no_fusion"]["mpjpe_mm"] is None
    assert told["fused"]["mpjpe_mm"] is not None
    engine, labels = Engine.load(rig, checkpoint), world.labelled()
    poses, unfused = (e.poses(world.heatmaps[:8]) for e in (engine, Engine.unfused(rig)))
    threshold = metrics.half_head_px(rig.skeleton, labels.joints_view[:8])[..., None]
    found = [metrics.jdr(p.joints_view, labels.joints_view[:8], threshold) for p in (poses, unfused)]
    assert found[0] > found[1] + 0.05
    assert np.isfinite(poses.pose3d).all(-1).mean() > 0.7
    assert VOLUME[0][2] - 0.5 < np.nanmedian(poses.pose3d[..., 2]) < VOLUME[1][2]
