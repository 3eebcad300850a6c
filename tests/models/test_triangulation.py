import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import least_squares

from models.errors import InvalidOptions
from models.rotation import rotation_matrix
from models.triangulation import triangulate

SEEDS = st.integers(0, 2**32 - 1)
METHODS = st.sampled_from(["robust", "dlt"])


def rig(views, rng, radius=4.0):
    """Projections [V, 3, 4] of cameras on a circle, a metre or three up, that look at its middle."""
    angle = 2 * np.pi * (np.arange(views) + rng.uniform(-0.2, 0.2, views)) / max(views, 3)
    centres = np.column_stack([radius * np.cos(angle), radius * np.sin(angle), rng.uniform(1, 3, views)])
    z = np.array([0, 0, 1.0]) - centres
    z /= np.linalg.norm(z, axis=1, keepdims=True)
    x = np.cross(z, [0, 0, 1.0])
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    R = np.stack([x, np.cross(z, x), z], axis=1)
    K = np.array([[55.0, 0, 31.5], [0, 55, 31.5], [0, 0, 1]])
    return K @ np.concatenate([R, -(R @ centres[..., None])], axis=2)


def people(count, rng):
    return rng.uniform([-0.9, -0.9, 0.2], [0.9, 0.9, 1.8], (count, 3))


def projected(P, X):
    image = np.einsum("vij,nj->nvi", P[:, :, :3], X) + P[:, :, 3]
    return image[..., :2] / image[..., 2:]


@settings(deadline=None, max_examples=40)
@given(SEEDS, st.integers(2, 9), METHODS)
def test_projecting_then_triangulating_gives_the_point_back(seed, views, method):
    rng = np.random.default_rng(seed)
    P, X = rig(views, rng), people(5, rng)
    found = triangulate(P, projected(P, X), rng.uniform(0.3, 1, (5, views)), method=method)
    np.testing.assert_allclose(found.points, X, atol=1e-6)
    assert found.inliers.all()
    assert (found.residual_px < 1e-5).all()
    assert ((found.confidence > 0) & (found.confidence <= 1)).all()


@settings(deadline=None, max_examples=30)
@given(SEEDS, st.integers(3, 7), METHODS)
def test_the_order_of_cameras_does_not_matter(seed, views, method):
    rng = np.random.default_rng(seed)
    P, X = rig(views, rng), people(6, rng)
    uv = projected(P, X) + rng.normal(0, 0.3, (6, views, 2))
    confidence, order = rng.uniform(0.3, 1, (6, views)), rng.permutation(views)
    one = triangulate(P, uv, confidence, method=method)
    other = triangulate(P[order], uv[:, order], confidence[:, order], method=method)
    np.testing.assert_allclose(other.points, one.points, atol=1e-4)
    np.testing.assert_array_equal(other.inliers, one.inliers[:, order])
    np.testing.assert_allclose(other.confidence, one.confidence, atol=1e-9)


@settings(deadline=None, max_examples=30)
@given(SEEDS, METHODS, st.sampled_from([0.001, 1.0, 1000.0]))
def test_a_rigid_motion_and_new_units_move_the_points_and_nothing_else(seed, method, scale):
    rng = np.random.default_rng(seed)
    P, X = rig(4, rng), people(6, rng)
    uv = projected(P, X) + rng.normal(0, 0.3, (6, 4, 2))
    Q, shift = rotation_matrix(rng.normal(size=3)), rng.normal(0, 3, 3)
    back = np.eye(4)  # X_old = Qᵀ(X_new/scale − shift)
    back[:3, :3], back[:3, 3] = Q.T / scale, -Q.T @ shift
    one, other = triangulate(P, uv, method=method), triangulate(P @ back, uv, method=method)
    np.testing.assert_allclose(other.points / scale, one.points @ Q.T + shift, atol=1e-5)
    np.testing.assert_allclose(other.residual_px, one.residual_px, atol=1e-3)
    np.testing.assert_allclose(other.covariance / scale**2, Q @ one.covariance @ Q.T, atol=1e-6)
    np.testing.assert_allclose(other.confidence, one.confidence, atol=1e-9)


def test_the_scale_and_sign_of_a_projection_matrix_mean_nothing():
    rng = np.random.default_rng(0)
    P, X = rig(4, rng), people(6, rng)
    scaled = P * np.array([-2.0, 0.01, 1, 50])[:, None, None]
    np.testing.assert_allclose(triangulate(scaled, projected(P, X)).points, X, atol=1e-6)


@pytest.mark.parametrize(("views", "wrong"), [(4, [1]), (5, [0, 3]), (8, [1, 2, 5]), (16, [0, 1, 5, 8, 9, 15])])
def test_gross_outliers_are_rejected(views, wrong):
    rng = np.random.default_rng(views)
    P, X = rig(views, rng), people(100, rng)
    uv = projected(P, X) + rng.normal(0, 0.3, (100, views, 2))
    angle = rng.uniform(0, 2 * np.pi, (100, len(wrong)))
    uv[:, wrong] += rng.uniform(8, 25, (100, len(wrong), 1)) * np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    found = triangulate(P, uv)
    error = np.linalg.norm(found.points - X, axis=1)
    assert np.mean(error < 0.08) > 0.93
    assert found.inliers[:, wrong].mean() < 0.04
    assert np.delete(found.inliers, wrong, axis=1).mean() > 0.95
    linear = np.linalg.norm(triangulate(P, uv, method="dlt").points - X, axis=1)
    assert np.nanmedian(linear) > 2 * np.nanmedian(error)


def test_a_faint_outlier_among_three_is_outvoted():
    rng = np.random.default_rng(1)
    P, X = rig(3, rng), people(50, rng)
    uv = projected(P, X)
    uv[:, 2] += [12, -15]
    confidence = np.tile([0.9, 0.8, 0.15], (50, 1))
    found = triangulate(P, uv, confidence)
    np.testing.assert_allclose(found.points, X, atol=1e-3)
    assert not found.inliers[:, 2].any()


def test_detections_scattered_at_random_are_mostly_null():
    rng = np.random.default_rng(2)
    for views in (4, 8, 16):
        found = triangulate(rig(views, rng), rng.uniform(0, 63, (300, views, 2)))
        assert np.isnan(found.points).any(1).mean() > 0.6
        np.testing.assert_array_equal(found.confidence == 0, np.isnan(found.points[:, 0]))


def test_two_pairs_that_contradict_each_other_are_ambiguous():
    rng = np.random.default_rng(3)
    P, X, Y = rig(4, rng), people(30, rng), people(30, rng)
    uv = np.concatenate([projected(P, X)[:, :2], projected(P, Y)[:, 2:]], axis=1)
    far = np.linalg.norm(uv - projected(P, X), axis=2)[:, 2:].min(1) > 8
    assert far.sum() > 5
    agreed = triangulate(P, uv, np.tile([1.0, 1, 0.3, 0.3], (30, 1)))
    assert np.isnan(triangulate(P, uv).points[far]).all()
    np.testing.assert_allclose(agreed.points[far], X[far], atol=1e-3)


def test_two_views_that_disagree_give_null():
    rng = np.random.default_rng(4)
    P, X = rig(2, rng), people(30, rng)
    uv = projected(P, X)
    uv[:, 0, 1] += 9
    found = triangulate(P, uv)
    assert np.isnan(found.points).all()
    assert np.isnan(found.covariance).all()
    assert np.isnan(found.residual_px).all()
    assert not found.inliers.any()


@pytest.mark.parametrize("method", ["robust", "dlt"])
def test_missing_detections(method):
    rng = np.random.default_rng(5)
    P, X = rig(4, rng), people(4, rng)
    uv = projected(P, X)
    uv[0, 0] = np.nan
    uv[1, :3] = np.nan
    uv[2] = np.nan
    confidence = np.ones((4, 4))
    confidence[3, 2] = 0
    confidence[0, 0] = np.nan
    found = triangulate(P, uv, confidence, method=method)
    np.testing.assert_allclose(found.points[[0, 3]], X[[0, 3]], atol=1e-6)
    assert np.isnan(found.points[[1, 2]]).all()
    np.testing.assert_array_equal(found.inliers[0], [False, True, True, True])
    assert np.isnan(found.residual_px[0, 0])
    assert np.isnan(found.residual_px[3, 2])
    none = triangulate(P, uv[:0], method=method)
    assert none.points.shape == (0, 3)


def test_a_point_behind_a_camera_never_counts():
    rng = np.random.default_rng(7)
    P = rig(3, rng)
    X = np.array([[9.0, 0.5, 1]])  # behind the first camera, which stands at x = 4
    depth = np.einsum("vj,nj->nv", P[:, 2, :3], X) + P[:, 2, 3]
    assert depth[0, 0] < 0 < depth[0, 1:].min()
    uv = projected(P, X)
    found = triangulate(P, uv)
    np.testing.assert_allclose(found.points, X, atol=1e-3)
    np.testing.assert_array_equal(found.inliers[0], [False, True, True])
    assert np.isinf(found.residual_px[0, 0])
    assert np.isnan(triangulate(P[:2], uv[:, :2]).points).all()
    assert np.isnan(triangulate(P, uv, method="dlt").points).all()


def test_rays_nearly_parallel_settle_nothing():
    P = rig(2, np.random.default_rng(8))
    P = np.stack([P[0], P[0]])
    P[1, 0, 3] += 55 * 0.1  # ten centimetres to the side, four metres away
    X = np.array([[0.1, 0.2, 1]])
    assert np.isnan(triangulate(P, projected(P, X)).points).all()
    assert np.isnan(triangulate(P[[0, 0]], projected(P, X)[:, [0, 0]], method="dlt").points).all()


def test_the_refined_point_is_the_least_squares_point():
    rng = np.random.default_rng(9)
    P, X = rig(5, rng), people(20, rng)
    uv = projected(P, X) + rng.normal(0, 0.5, (20, 5, 2))
    weights = rng.uniform(0.3, 1, (20, 5))
    weights /= weights.max(1, keepdims=True)
    found = triangulate(P, uv, weights, inlier_px=1e4)  # so wide that Tukey's loss is quadratic
    for n in range(20):

        def residual(x, n=n):
            return ((projected(P, x[None])[0] - uv[n]) * np.sqrt(weights[n])[:, None]).ravel()

        best = least_squares(residual, X[n], xtol=1e-14, ftol=1e-14, gtol=1e-14)
        np.testing.assert_allclose(found.points[n], best.x, atol=1e-5)


def test_robust_is_as_accurate_as_linear_on_clean_data():
    rng = np.random.default_rng(10)
    P, X = rig(4, rng), people(1000, rng)
    uv = projected(P, X) + rng.normal(0, 0.5, (1000, 4, 2))
    rms = {
        m: np.sqrt(np.mean(np.square(triangulate(P, uv, method=m, inlier_px=4).points - X))) for m in ("robust", "dlt")
    }
    assert rms["robust"] < 1.05 * rms["dlt"] < 0.05


def test_covariance_matches_monte_carlo():
    rng = np.random.default_rng(11)
    P, X = rig(4, rng), people(1, rng)
    uv = projected(P, X) + rng.normal(0, 0.3, (4000, 4, 2))
    found = triangulate(P, uv, inlier_px=20, sigma_px=0.3)
    measured = np.cov((found.points - X).T)
    np.testing.assert_allclose(found.covariance.mean(0), measured, atol=0.08 * np.trace(measured))


def test_covariance_grows_as_confidence_falls_and_with_each_views_noise():
    rng = np.random.default_rng(12)
    P, X = rig(4, rng), people(1, rng)
    uv = projected(P, X)
    sure = np.trace(triangulate(P, uv).covariance[0])
    assert np.trace(triangulate(P, uv, np.array([[1, 0.3, 0.3, 1.0]])).covariance[0]) > sure
    assert np.trace(triangulate(P, uv, sigma_px=np.array([0.5, 1, 1, 0.5])).covariance[0]) > sure


def test_confidence_ranks_agreement():
    rng = np.random.default_rng(13)
    P, X = rig(4, rng), people(1, rng)
    uv = np.repeat(projected(P, X), 3, axis=0)
    uv[1, 3] = np.nan  # three views agree, none objects
    uv[2, 3] += 20  # three agree, one objects
    four, three, contested = triangulate(P, uv).confidence
    assert four > three > contested > 0


def test_an_unknown_method_is_a_domain_error():
    with pytest.raises(InvalidOptions, match="robust"):
        triangulate(rig(2, np.random.default_rng(0)), np.zeros((1, 2, 2)), method="guess")


def test_many_frames_fit_in_bounded_memory_and_chunks_agree():
    rng = np.random.default_rng(14)
    P, X = rig(12, rng), people(1500, rng)
    uv = projected(P, X) + rng.normal(0, 0.4, (1500, 12, 2))
    whole = triangulate(P, uv).points
    parts = np.concatenate([triangulate(P, part).points for part in np.array_split(uv, 7)])
    np.testing.assert_allclose(whole, parts, atol=1e-9)
