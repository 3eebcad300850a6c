import numpy as np
import pytest

from models.bundle import repair_extrinsics
from models.bundle_equations import Problem, State, cost, jacobians, moved, normal_equations, residuals
from models.errors import InsufficientLabels
from models.geometry import fundamental_matrix
from models.rotation import rotation_matrix, rotation_vector
from models.triangulation import triangulate

SIGMA = 0.25 / 55  # a quarter of a heatmap pixel, in a view of 64 pixels over 60°


def studio(views: int, rng: np.random.Generator, points: int = 400):
    """Cameras on a circle of 5 m that look at its middle, joints between them, exact rays [N, V, 2]."""
    angle = 2 * np.pi * (np.arange(views) + rng.uniform(-0.2, 0.2, views)) / max(views, 3)
    centres = np.column_stack([5 * np.cos(angle), 5 * np.sin(angle), rng.uniform(1, 3, views)])
    z = np.array([0, 0, 1.0]) - centres
    z /= np.linalg.norm(z, axis=1, keepdims=True)
    x = np.cross(z, [0, 0, 1.0])
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    R = np.stack([x, np.cross(z, x), z], axis=1)
    X = rng.uniform([-1.3, -1.3, 0], [1.3, 1.3, 2], (points, 3))
    y = np.einsum("vij,nvj->nvi", R, X[:, None] - centres)
    return R, centres, X, y[..., :2] / y[..., 2:]


def translation(R, centres):
    return -np.einsum("vij,vj->vi", R, centres)


def turned(R, degrees, rng):
    axis = rng.normal(size=(len(R), 3))
    return rotation_matrix(np.deg2rad(degrees) * axis / np.linalg.norm(axis, axis=1, keepdims=True)) @ R


def noisy(rays, rng, outliers=0.03):
    """A quarter pixel of noise, and gross errors of about ten pixels."""
    labels = rays + rng.normal(0, SIGMA, rays.shape)
    gross = rng.random(rays.shape[:2]) < outliers
    labels[gross] += rng.normal(0, 10 / 55, (gross.sum(), 2))
    return labels, gross


def epipolar_px(R, t, rays):
    """Median distance in heatmap pixels of exact correspondences from the epipolar lines of cameras R, t."""
    P = np.concatenate([R, t[..., None]], axis=2)
    homogeneous = np.concatenate([rays, np.ones_like(rays[..., :1])], axis=2)
    distances = []
    for a in range(len(R)):
        for b in range(len(R)):
            if a != b:
                line = homogeneous[:, a] @ fundamental_matrix(P[a], P[b]).T
                distance = (line * homogeneous[:, b]).sum(1) / np.linalg.norm(line[:, :2], axis=1)
                distances.append(np.abs(distance) * 55)
    return float(np.median(distances))


def world_error(repair, rays, X):
    """Millimetres between exact rays triangulated with the repaired cameras and the true points."""
    P = np.diag([55.0, 55, 1]) @ np.concatenate([repair.R, repair.t[..., None]], axis=2)
    return 1e3 * np.linalg.norm(triangulate(P, 55 * rays).points - X, axis=1)


def test_exact_cameras_and_labels_come_back_unchanged():
    R, centres, X, rays = studio(4, np.random.default_rng(0))
    repair = repair_extrinsics(R, translation(R, centres), rays, np.full(4, SIGMA))
    np.testing.assert_allclose(repair.R, R, atol=1e-9)
    np.testing.assert_allclose(repair.t, translation(R, centres), atol=1e-8)
    np.testing.assert_allclose(repair.points, X, atol=1e-7)
    assert repair.inliers.all()


@pytest.mark.parametrize("degrees", [1.0, 2.0])
@pytest.mark.parametrize("views", [2, 3, 4, 6, 8])
def test_cameras_turned_about_their_centres_come_back(views, degrees):
    rng = np.random.default_rng(views)
    R, centres, X, rays = studio(views, rng, 850)
    labels, gross = noisy(rays, rng)
    sent = turned(R, degrees, rng)
    t = translation(sent, centres)
    repair = repair_extrinsics(sent, t, labels, np.full(views, SIGMA))
    assert epipolar_px(sent, t, rays) > 0.4
    assert epipolar_px(repair.R, repair.t, rays) < 0.08
    assert repair.rms_after < 1.5 < repair.rms_before
    assert repair.cost_after < repair.cost_before
    if views > 2:  # two centres leave the turn about their baseline open, and labels free to slide along epipolar lines
        assert np.median(world_error(repair, rays, X)) < (20 if views < 4 else 8)
        assert repair.inliers[gross].mean() < (0.3 if views < 4 else 0.15)
        assert repair.inliers[~gross].mean() > 0.9


def test_centres_off_by_a_centimetre_keep_the_world_frame():
    rng = np.random.default_rng(3)
    R, centres, X, rays = studio(5, rng, 850)
    labels, _ = noisy(rays, rng)
    shift = rng.normal(size=(5, 3))
    sent = centres + 0.01 * shift / np.linalg.norm(shift, axis=1, keepdims=True)
    t = translation(R, sent)
    repair = repair_extrinsics(R, t, labels, np.full(5, SIGMA))
    assert epipolar_px(repair.R, repair.t, rays) < min(0.06, epipolar_px(R, t, rays))
    assert np.median(world_error(repair, rays, X)) < 15


def test_labels_worse_than_claimed_do_not_break_it():
    rng = np.random.default_rng(4)
    R, centres, _, rays = studio(4, rng, 850)
    sent = turned(R, 1.5, rng)
    labels = rays + rng.normal(0, 3 * SIGMA, rays.shape)
    repair = repair_extrinsics(sent, translation(sent, centres), labels, np.full(4, SIGMA))
    assert epipolar_px(repair.R, repair.t, rays) < 0.15
    assert repair.inliers.mean() > 0.95


def test_the_order_of_cameras_does_not_matter():
    rng = np.random.default_rng(5)
    R, centres, _, rays = studio(4, rng)
    labels, _ = noisy(rays, rng)
    sent = turned(R, 1, rng)
    t, order = translation(sent, centres), np.array([2, 0, 3, 1])
    repair = repair_extrinsics(sent, t, labels, np.full(4, SIGMA))
    shuffled = repair_extrinsics(sent[order], t[order], labels[:, order], np.full(4, SIGMA))
    np.testing.assert_allclose(shuffled.R, repair.R[order], atol=1e-5)
    np.testing.assert_allclose(shuffled.t, repair.t[order], atol=1e-4)


def test_a_rigid_motion_and_a_change_of_units_move_the_answer_and_nothing_else():
    rng = np.random.default_rng(6)
    R, centres, _, rays = studio(4, rng)
    labels, _ = noisy(rays, rng)
    sent = turned(R, 1, rng)
    repair = repair_extrinsics(sent, translation(sent, centres), labels, np.full(4, SIGMA))
    Q, shift, scale = rotation_matrix(np.array([0.3, -0.8, 0.5])), np.array([700.0, -40, 90]), 1000.0
    elsewhere = scale * centres @ Q.T + shift
    moved_repair = repair_extrinsics(sent @ Q.T, translation(sent @ Q.T, elsewhere), labels, np.full(4, SIGMA))
    centres_found = -np.einsum("vji,vj->vi", moved_repair.R, moved_repair.t)
    expected = -np.einsum("vji,vj->vi", repair.R, repair.t)
    np.testing.assert_allclose(moved_repair.R @ Q, repair.R, atol=1e-5)
    np.testing.assert_allclose((centres_found - shift) @ Q / scale, expected, atol=1e-4)


def test_missing_labels_and_points_seen_once():
    rng = np.random.default_rng(7)
    R, centres, X, rays = studio(4, rng)
    labels = rays.copy()
    labels[:50, 1:] = np.nan  # one view only
    labels[50:60] = np.nan
    labels[60:200, 2] = np.nan
    repair = repair_extrinsics(R, translation(R, centres), labels, np.full(4, SIGMA))
    assert np.isnan(repair.points[:60]).all()
    np.testing.assert_allclose(repair.points[60:], X[60:], atol=1e-6)
    assert not repair.inliers[:60].any()


def problem(rng):
    R, centres, X, rays = studio(3, rng, 12)
    seen = rng.random((12, 3)) > 0.2
    prior = State(turned(R, 1, rng), centres / 5 + rng.normal(0, 0.01, centres.shape), X / 5)
    return Problem(np.where(seen[..., None], rays, 0), seen / np.full(3, SIGMA), prior)


def test_jacobians_match_finite_differences():
    rng = np.random.default_rng(8)
    given = problem(rng)
    state = moved(given.prior, rng.normal(0, 0.02, (3, 6)), rng.normal(0, 0.02, (12, 3)))
    _, by_camera, by_point = jacobians(given, state)
    step = 1e-6
    for k in range(6):
        d = np.zeros((3, 6))
        d[:, k] = step
        ends = [residuals(given, moved(state, s * d, np.zeros((12, 3))))[0] for s in (1, -1)]
        np.testing.assert_allclose(by_camera[..., k], (ends[0] - ends[1]) / (2 * step), rtol=1e-6, atol=1e-5)
    for k in range(3):
        d = np.zeros((12, 3))
        d[:, k] = step
        ends = [residuals(given, moved(state, np.zeros((3, 6)), s * d))[0] for s in (1, -1)]
        np.testing.assert_allclose(by_point[..., k], (ends[0] - ends[1]) / (2 * step), rtol=1e-6, atol=1e-5)


def test_gradient_with_priors_matches_finite_differences_of_the_cost():
    rng = np.random.default_rng(9)
    given = problem(rng)
    state = moved(given.prior, rng.normal(0, 0.02, (3, 6)), rng.normal(0, 0.02, (12, 3)))
    normal = normal_equations(given, state, 3.0)
    step = 1e-6
    numeric = []
    for k in range(18):
        d = np.zeros(18)
        d[k] = step
        ends = [cost(given, moved(state, s * d.reshape(3, 6), np.zeros((12, 3))), 3.0) for s in (1, -1)]
        numeric.append((ends[0] - ends[1]) / (2 * step))
    np.testing.assert_allclose(2 * normal.g, numeric, rtol=1e-4, atol=1e-2)
    for k in range(3):
        d = np.zeros((12, 3))
        d[4, k] = step
        ends = [cost(given, moved(state, np.zeros((3, 6)), s * d), 3.0) for s in (1, -1)]
        assert 2 * normal.h[4, k] == pytest.approx((ends[0] - ends[1]) / (2 * step), rel=1e-4, abs=1e-3)


@pytest.mark.parametrize(("views", "points"), [(1, 100), (4, 7), (2, 0)])
def test_too_little_to_go_on_is_a_domain_error(views, points):
    R, centres, _, rays = studio(views, np.random.default_rng(0), points)
    with pytest.raises(InsufficientLabels, match="two views or more"):
        repair_extrinsics(R, translation(R, centres), rays, np.full(views, SIGMA))


def test_labels_that_are_all_missing_are_a_domain_error():
    R, centres, _, rays = studio(3, np.random.default_rng(0))
    with pytest.raises(InsufficientLabels):
        repair_extrinsics(R, translation(R, centres), np.full_like(rays, np.nan), np.full(3, SIGMA))


def test_one_joint_labelled_again_and_again_leaves_the_cameras_near_those_sent():
    R, centres, _, rays = studio(3, np.random.default_rng(0))
    repair = repair_extrinsics(R, translation(R, centres), np.repeat(rays[:1], 50, 0), np.full(3, SIGMA))
    np.testing.assert_allclose(repair.R, R, atol=1e-6)
    assert (repair.rotation_std > 0.005).all()


def test_stated_uncertainty_covers_the_error():
    rng = np.random.default_rng(11)
    ratios = []
    for _ in range(12):
        R, centres, _, rays = studio(4, rng, 100)
        sent = rotation_matrix(rng.normal(0, np.deg2rad(1.5), (4, 3))) @ R
        placed = centres + rng.normal(0, 0.005 * 5, centres.shape)
        labels, _ = noisy(rays, rng)
        repair = repair_extrinsics(sent, translation(sent, placed), labels, np.full(4, SIGMA))
        error = np.linalg.norm(rotation_vector(repair.R @ R.transpose(0, 2, 1)), axis=1)
        ratios.append(error / repair.rotation_std)
    assert 0.6 < np.sqrt(np.mean(np.square(ratios))) < 1.5


def test_rotation_vectors_and_matrices_are_inverse():
    vectors = np.random.default_rng(0).normal(0, 0.8, (100, 3))
    np.testing.assert_allclose(rotation_vector(rotation_matrix(vectors)), vectors, atol=1e-9)
    np.testing.assert_allclose(rotation_vector(np.eye(3)), 0)
