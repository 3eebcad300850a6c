import dataclasses

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from app.demo.evaluate import Prediction, Truth, align, limb_length_sd_mm, score
from models.rig import Camera, Rig
from models.skeletons import skeleton

COCO = skeleton("coco17")


@pytest.fixture
def truth() -> Truth:
    rng = np.random.default_rng(3)
    shape = (6, 3, 17)
    scored = np.zeros(shape, bool)
    scored[:, :, 5:] = True
    hidden = np.zeros(shape, bool)
    hidden[:, 0, 9] = True
    body = rng.normal(0, 0.5, (1, 17, 3)) + np.linspace(0, 1, 6)[:, None, None]
    return Truth(
        frames=tuple("abcdef"),
        joints_image=rng.uniform(100, 900, (*shape, 2)),
        joints_world=body,
        scored=scored,
        hidden=hidden,
        radius_px=np.full(shape, 40.0),
        skeleton=COCO,
    )


@pytest.fixture
def perfect(truth: Truth) -> Prediction:
    return Prediction(
        truth.joints_image.copy(),
        np.ones(truth.scored.shape),
        truth.joints_world.copy(),
        np.full((6, 17), 2.0),
        truth.joints_image + np.array([3.0, 4.0]),
    )


def test_the_truth_itself_scores_full_marks(truth: Truth, perfect: Prediction) -> None:
    scores = score(truth, perfect)
    assert (scores.jdr, scores.jdr_hidden, scores.triangulated, scores.within_half_head_3d) == (1, 1, 1, 1)
    assert scores.error2d_mean_px == 0
    assert scores.mpjpe_mm == 0
    assert scores.mpjpe_aligned_mm < 1e-6
    assert scores.served_reprojection_median_px == 2
    assert scores.reprojection_median_px == pytest.approx(5)
    assert scores.limb_length_sd_mm < 1e-9


def test_only_scored_joints_count_and_hidden_ones_are_told_apart(truth: Truth, perfect: Prediction) -> None:
    perfect.poses2d[:, :, 0] += 500  # the nose is not scored
    perfect.poses2d[:, 0, 9] += [30, 40]  # 50 px: more than half a head, and hidden
    perfect.poses2d[:3, 1, 5] += [0, 39]  # within half a head
    scores = score(truth, perfect)
    assert scores.jdr == pytest.approx(1 - 6 / (6 * 3 * 12))
    assert scores.jdr_hidden == 0
    assert scores.error2d_mean_px == pytest.approx((6 * 50 + 3 * 39) / (6 * 3 * 12))


def test_missing_joints_are_wrong_but_not_in_the_mean(truth: Truth, perfect: Prediction) -> None:
    perfect.pose3d[:, 7] = np.nan
    perfect.poses2d[0, 0, 7] = np.nan
    scores = score(truth, perfect)
    assert scores.triangulated == pytest.approx(11 / 12)
    assert scores.within_half_head_3d == pytest.approx(11 / 12)
    assert scores.mpjpe_mm == 0
    assert scores.jdr == pytest.approx(1 - 1 / (6 * 3 * 12))


def test_alignment_undoes_a_rigid_motion_in_spite_of_outliers(truth: Truth, perfect: Prediction) -> None:
    R = Rotation.from_rotvec([0.02, -0.01, 0.03]).as_matrix()
    moved = truth.joints_world @ R.T + [0.02, -0.03, 0.01]
    moved[0, 9] += 2.0
    scores = score(truth, dataclasses.replace(perfect, pose3d=moved))
    assert scores.mpjpe_mm > 20
    assert scores.median_aligned_mm < 0.1
    back = align(moved, truth.joints_world, truth.scored3d)
    assert np.linalg.norm(back[0, 9] - truth.joints_world[0, 9]) > 1.9, "the outlier stays one"


def test_limb_length_needs_no_truth(truth: Truth) -> None:
    joints = truth.joints_world.copy()
    assert limb_length_sd_mm(joints, COCO, truth.scored3d) == pytest.approx(0, abs=1e-9)
    joints[::2, 9] += 0.1 * (joints[::2, 9] - joints[::2, 7])
    forearm = np.linalg.norm(truth.joints_world[0, 9] - truth.joints_world[0, 7]) * 1000
    limbs = sum(min(limb) >= 5 for limb in COCO.limbs)
    assert limb_length_sd_mm(joints, COCO, truth.scored3d) == pytest.approx(0.05 * forearm / limbs)


def test_reading_a_response_with_nulls() -> None:
    joints = COCO.joints
    row2d, row3d = [1, 2, 0.5], [100, 200, 3000]
    frame = {
        "frame": "1",
        "poses2d": {"x": [row2d] * 17, "y": [*[row2d] * 16, None]},
        "pose3d": [row3d, None, *[row3d] * 15],
        "confidence": [0.5] * 17,
        "reprojection_px": [1.5, None, *[1.5] * 15],
        "views_used": [2, 0, *[2] * 15],
    }
    K = np.array([[1000.0, 0, 500], [0, 1000, 400], [0, 0, 1]])
    cameras = tuple(
        Camera(name, 1000, 800, K, np.eye(3), np.array([shift, 0.0, 0.0])) for name, shift in (("x", 0), ("y", -300))
    )
    prediction = Prediction.from_document({"joints": joints, "frames": [frame]}, Rig(cameras, "coco17", "mm"))
    np.testing.assert_allclose(prediction.pose3d[0, 0], [0.1, 0.2, 3.0])
    assert np.isnan(prediction.pose3d[0, 1]).all()
    assert np.isnan(prediction.poses2d[0, 1, 16]).all()
    np.testing.assert_allclose(prediction.confidence2d[0, :, 16], [0.5, 0])
    assert np.isnan(prediction.reprojection_px[0, 1])
    np.testing.assert_allclose(prediction.reprojected[0, :, 0], [[533.333, 466.667], [433.333, 466.667]], atol=1e-3)
    assert np.isnan(prediction.reprojected[0, :, 1]).all()
