from dataclasses import replace

import numpy as np
import pytest

from models import evaluation, metrics
from models.checkpoint import Checkpoint
from models.fallback import fall_back
from models.heatmap import decode
from models.runtime import Engine

LATE = 1  # the camera that is out of step


@pytest.fixture(scope="module")
def out_of_step(world):
    """Frames whose second camera shows, and is labelled at, another time than the others."""
    frames, late = world.labelled(), np.roll(np.arange(24), 6)
    heatmaps, joints, visibility = frames.heatmaps.copy(), frames.joints_view.copy(), frames.visibility.copy()
    heatmaps[:, LATE], joints[:, LATE], visibility[:, LATE] = (
        heatmaps[late, LATE],
        joints[late, LATE],
        visibility[late, LATE],
    )
    return replace(frames, heatmaps=heatmaps, joints_view=joints, visibility=visibility)


@pytest.fixture(scope="module")
def fallen(rig, checkpoint, out_of_step):
    asked = []
    found = fall_back(rig, checkpoint, out_of_step, lambda draft: asked.append(draft.alone) or draft)
    assert asked == [("cam1",)]  # how joints are told is chosen anew without it
    return found


def jdr(engine, frames):
    threshold = metrics.half_head_px(engine.rig.skeleton, frames.joints_view)[..., None]
    found = metrics.detected(evaluation.run(engine, frames).joints_view, frames.joints_view, threshold)
    return np.nanmean(np.where(np.isfinite(frames.joints_view).all(-1), found, np.nan), axis=(0, 2))


def test_in_a_rig_in_order_nothing_falls_back(rig, checkpoint, labelled):
    kept = fall_back(rig, checkpoint, labelled.subset(range(0, 24, 2)), lambda draft: draft)
    assert kept.metrics["fallback"] == {"frames": 12, "cameras": [], "pairs": []}
    assert kept.alone == ()
    np.testing.assert_array_equal(kept.gains, checkpoint.gains)


def test_a_camera_out_of_step_falls_back_to_its_own_heatmaps(rig, fallen):
    (row,) = fallen.metrics["fallback"]["cameras"]
    assert (row["camera"], fallen.alone) == ("cam1", ("cam1",))
    assert row["interval"][0] > 0
    assert "own heatmaps" in row["reason"]
    silent = [LATE in pair for pair in rig.pairs]
    assert not fallen.gains[silent].any()
    assert fallen.gains[np.logical_not(silent)].all()


def test_all_cameras_gain_when_it_falls_back(rig, checkpoint, fallen, out_of_step):
    before, after = (jdr(Engine.load(rig, each), out_of_step) for each in (checkpoint, fallen))
    assert (after >= before - 0.01).all()
    assert after[LATE] > before[LATE] + 0.1


def test_its_joints_are_its_own_peaks_and_it_bears_no_witness(rig, fallen, out_of_step):
    heatmaps = out_of_step.heatmaps[:4]
    poses = Engine.load(rig, fallen).poses(heatmaps)
    np.testing.assert_allclose(poses.joints_view[:, LATE], decode(heatmaps[:, LATE])[0])
    np.testing.assert_array_equal(poses.heatmaps[:, LATE], heatmaps[:, LATE])
    blind = heatmaps.copy()
    blind[:, LATE] = 0
    np.testing.assert_allclose(Engine.load(rig, fallen).poses(blind).pose3d, poses.pose3d)
    assert poses.views_used.max() <= 3


def test_it_is_kept_in_the_bytes_and_older_ones_have_none(fallen):
    assert Checkpoint.from_bytes(fallen.to_bytes()).alone == ("cam1",)
    assert "cameras_alone" not in replace(fallen, alone=()).manifest()
    assert Checkpoint.from_bytes(replace(fallen, alone=()).to_bytes()).alone == ()


def test_a_pair_that_harms_is_left_out(rig, checkpoint, labelled):
    bad = rig.pairs.index((2, 0))
    theta, gains = checkpoint.theta.copy(), checkpoint.gains.copy()
    theta[bad], gains[bad] = theta[rig.pairs.index((0, 3))], 6 * gains[bad]
    told = fall_back(
        rig, replace(checkpoint, theta=theta, gains=gains), labelled.subset(range(0, 24, 2)), lambda draft: draft
    )
    (row,) = told.metrics["fallback"]["pairs"]
    assert (row["target"], row["source"]) == ("cam2", "cam0")
    assert row["interval"][0] > 0
    assert "no longer listens" in row["reason"]
    assert np.flatnonzero(told.gains == 0).tolist() == [bad]
