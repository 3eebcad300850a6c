import numpy as np
import pytest

from models.heatmap import decode, render
from models.limbs import median_limb_lengths
from models.pictorial import pictorial
from models.rotation import rotation_matrix
from models.skeletons import SKELETONS, skeleton
from models.triangulation import triangulate

STANDING = {  # metres; x to the person's left, y forward, z up
    "nose": (0, 0.1, 1.6), "left_eye": (0.03, 0.08, 1.64), "right_eye": (-0.03, 0.08, 1.64),
    "left_ear": (0.08, 0, 1.62), "right_ear": (-0.08, 0, 1.62), "left_shoulder": (0.2, 0, 1.42),
    "right_shoulder": (-0.2, 0, 1.42), "left_elbow": (0.35, 0.05, 1.18), "right_elbow": (-0.4, 0.1, 1.3),
    "left_wrist": (0.4, 0.25, 1.02), "right_wrist": (-0.45, 0.33, 1.4), "left_hip": (0.13, 0, 0.92),
    "right_hip": (-0.13, 0, 0.92), "left_knee": (0.15, 0.1, 0.5), "right_knee": (-0.16, 0.02, 0.5),
    "left_ankle": (0.15, 0, 0.08), "right_ankle": (-0.18, -0.1, 0.08),
}  # fmt: skip
COCO = skeleton("coco17")
WRIST = COCO.joints.index("left_wrist")


def person(rng=None):
    X = np.array([STANDING[name] for name in COCO.joints])
    if rng is None:
        return X
    turn = rotation_matrix(np.array([0, 0, rng.uniform(-np.pi, np.pi)]))
    return X @ turn.T + np.append(rng.uniform(-0.5, 0.5, 2), 0)


def rig(views=4):
    """Projections [V, 3, 4] of cameras on a circle of 3.5 m around the person, whose heatmap pixels span about 4 cm."""
    angle = 2 * np.pi * (np.arange(views) + 0.3) / views
    centres = np.column_stack([3.5 * np.cos(angle), 3.5 * np.sin(angle), np.where(np.arange(views) % 2, 2.5, 1.2)])
    z = np.array([0, 0, 0.9]) - centres
    z /= np.linalg.norm(z, axis=1, keepdims=True)
    x = np.cross(z, [0, 0, 1.0])
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    R = np.stack([x, np.cross(z, x), z], axis=1)
    K = np.array([[85.0, 0, 31.5], [0, 85, 31.5], [0, 0, 1]])
    return K @ np.concatenate([R, -(R @ centres[..., None])], axis=2)


def projected(P, X):
    image = np.einsum("vij,nj->vni", P[:, :, :3], X) + P[:, :, 3][:, None]
    return image[..., :2] / image[..., 2:]


def robust(P, heatmaps):
    points, confidence = decode(heatmaps)
    return triangulate(P, points.swapaxes(0, 1), confidence.T).points


def true_lengths(X):
    return np.array([np.linalg.norm(X[a] - X[b]) for a, b in COCO.limbs])


def millimetres(found, X):
    return 1e3 * np.linalg.norm(found - X, axis=1)


@pytest.mark.parametrize("views", [2, 4, 8])
def test_clean_heatmaps_give_the_pose_to_a_few_millimetres(views):
    for seed in range(3):
        P, X = rig(views), person(np.random.default_rng(seed))
        heatmaps = render(projected(P, X), 1.5)
        found = pictorial(P, heatmaps, COCO, robust(P, heatmaps))
        seen = (np.abs(projected(P, X) - 31.5) < 30).all(2).all(0)
        assert seen.sum() > 12
        assert millimetres(found, X)[seen].max() < (40 if views == 2 else 8)
        assert np.median(millimetres(found, X)[seen]) < (15 if views == 2 else 4)


def test_units_other_than_metres():
    P, X = rig(), person()
    heatmaps = render(projected(P, X), 1.5)
    in_mm = P * np.array([0.001, 0.001, 0.001, 1])
    found = pictorial(in_mm, heatmaps, COCO, 1000 * X, limb_lengths=1000 * true_lengths(X), metres_per_unit=0.001)
    np.testing.assert_allclose(found, 1000 * X, atol=8)


def test_limb_lengths_overrule_a_spurious_peak():
    P, X = rig(), person()
    ghost = X.copy()
    ghost[WRIST] += [0.5, -0.2, 0.4]  # a chair's arm, say, that two cameras take for the wrist
    truth, wrong = render(projected(P, X), 1.5), render(projected(P, ghost), 1.5)
    heatmaps = truth.copy()
    heatmaps[:, WRIST] = 0.9 * wrong[:, WRIST]
    heatmaps[:2, WRIST] = np.maximum(0.7 * truth[:2, WRIST], 0.9 * wrong[:2, WRIST])
    plain = robust(P, heatmaps)
    assert millimetres(plain, X)[WRIST] > 500
    found = pictorial(P, heatmaps, COCO, plain, limb_lengths=true_lengths(X))
    assert millimetres(found, X).max() < 20


def test_limb_lengths_come_from_other_frames_without_the_truth():
    rng, P = np.random.default_rng(3), rig()
    poses = np.stack([person(rng) for _ in range(9)])
    poses[2, WRIST] += [0, 0, 0.4]
    poses[4, WRIST] = np.nan
    lengths = median_limb_lengths(poses, np.ones(poses.shape[:2]), COCO)
    np.testing.assert_allclose(
        lengths[[i for i, limb in enumerate(COCO.limbs) if WRIST not in limb][:2]],
        [true_lengths(person())[i] for i, limb in enumerate(COCO.limbs) if WRIST not in limb][:2],
        atol=0.03,
    )
    X = person(rng)
    heatmaps = render(projected(P, X), 1.5)
    found = pictorial(P, heatmaps, COCO, robust(P, heatmaps), limb_lengths=lengths)
    assert np.nanmax(millimetres(found, X)) < 10


def test_both_sides_of_the_body_share_a_length_and_confidence_weighs():
    X = np.stack([person(), person(), person()])
    elbow, wrist = COCO.joints.index("right_elbow"), COCO.joints.index("right_wrist")
    X[:, wrist] = X[:, elbow] + [0, 0, 0.25]
    X[:, WRIST] = X[:, COCO.joints.index("left_elbow")] + [0, 0, 0.31]
    limbs = [i for i, limb in enumerate(COCO.limbs) if WRIST in limb or wrist in limb]
    confidence = np.ones((3, 17))
    lengths = median_limb_lengths(X, confidence, COCO)
    np.testing.assert_allclose(lengths[limbs], 0.28)
    confidence[:, wrist] = 0.1
    np.testing.assert_allclose(median_limb_lengths(X, confidence, COCO)[limbs], 0.31)


def test_limbs_never_seen_or_impossibly_long_have_no_length():
    X = person()[None].copy()
    X[0, WRIST] += 40
    confidence = np.ones((1, 17))
    confidence[:, COCO.joints.index("right_wrist")] = 0
    lengths = median_limb_lengths(X, confidence, COCO)
    forearms = [i for i, (a, b) in enumerate(COCO.limbs) if COCO.joints[b].endswith("wrist")]
    assert np.isnan(lengths[forearms]).all()
    assert np.isfinite(np.delete(lengths, forearms)).all()


def test_limbs_of_unknown_length_constrain_nothing():
    P, X = rig(), person()
    heatmaps = render(projected(P, X), 1.5)
    found = pictorial(P, heatmaps, COCO, X, limb_lengths=np.full(len(COCO.limbs), np.nan))
    assert millimetres(found, X).max() < 8


def test_nobody_there_is_null():
    found = pictorial(rig(), np.zeros((4, 17, 64, 64), np.float32), COCO, np.full((17, 3), np.nan))
    assert np.isnan(found).all()


def test_without_a_single_joint_to_start_from_the_peaks_place_the_person():
    P, X = rig(), person()
    lengths = np.array([np.linalg.norm(X[a] - X[b]) for a, b in COCO.limbs])
    found = pictorial(P, render(projected(P, X), 1.5), COCO, np.full((17, 3), np.nan), limb_lengths=lengths)
    assert np.linalg.norm(found - X, axis=1).max() < 0.005


def test_two_hips_astray_do_not_lead_away():
    P, X = rig(), person()
    initial = X.copy()
    initial[[11, 12]] += 6.0
    lengths = np.array([np.linalg.norm(X[a] - X[b]) for a, b in COCO.limbs])
    found = pictorial(P, render(projected(P, X), 1.5), COCO, initial, limb_lengths=lengths)
    assert np.linalg.norm(found - X, axis=1).max() < 0.005


def test_fused_heatmaps_choose_and_the_views_own_measure():
    """Fused peaks a pixel off lead to the joint, whose place the views' own peaks tell."""
    P, X = rig(), person()
    own, fused = render(projected(P, X), 1.5), render(projected(P, X) + np.array([0.8, -0.6]), 1.5)
    alone, measured = (pictorial(P, fused, COCO, X, own=maps) for maps in (None, own))
    assert np.linalg.norm(measured - X, axis=1).max() < 0.005
    assert np.linalg.norm(alone - X, axis=1).mean() > 0.01


def test_joints_that_fewer_than_two_views_show_are_null():
    P, X = rig(), person()
    heatmaps = render(projected(P, X), 1.5)
    ankle = COCO.joints.index("right_ankle")
    heatmaps[:, WRIST] = 0
    heatmaps[1:, ankle] = 0
    found = pictorial(P, heatmaps, COCO, robust(P, heatmaps), limb_lengths=true_lengths(X))
    np.testing.assert_array_equal(np.flatnonzero(np.isnan(found[:, 0])), sorted([WRIST, ankle]))
    others = np.delete(np.arange(17), [WRIST, ankle])
    assert millimetres(found, X)[others].max() < 8


def test_an_outlying_initial_joint_does_not_move_the_cube_away():
    P, X = rig(), person()
    initial = X.copy()
    initial[0] += [30, 0, 0]
    initial[WRIST] -= [0, 5, 0]
    found = pictorial(P, render(projected(P, X), 1.5), COCO, initial, limb_lengths=true_lengths(X))
    assert millimetres(found, X).max() < 8


@pytest.mark.parametrize("name", sorted(SKELETONS))
def test_every_skeleton_has_a_tree(name):
    chosen = skeleton(name)
    X = np.random.default_rng(0).uniform([-0.4, -0.4, 0.3], [0.4, 0.4, 1.5], (len(chosen.joints), 3))
    lengths = np.array([np.linalg.norm(X[a] - X[b]) for a, b in chosen.limbs])
    P = rig()
    found = pictorial(P, render(projected(P, X), 1.5), chosen, X, limb_lengths=lengths)
    assert millimetres(found, X).max() < 8
