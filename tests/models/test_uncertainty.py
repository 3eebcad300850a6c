import numpy as np
import pytest
from model_rigs import in_units, studio

from models.heatmap import render
from models.labelled import LabelledFrames
from models.runtime import Engine
from models.triangulation import triangulate
from models.uncertainty import doubt_from_labels, measurement_covariance, point_covariance, spread
from models.worlds import Detector, make_world

CHI2_3 = {0.25: 1.213, 0.5: 2.366, 0.75: 4.108, 0.9: 6.251}


@pytest.mark.parametrize("sigma", [1.0, 1.5, 2.0])
def test_a_gaussian_has_the_spread_of_its_sigma(sigma):
    place = np.array([[30.3, 21.8]])
    np.testing.assert_allclose(spread(render(place, sigma), place)[0], sigma**2 * np.eye(2), atol=0.02 * sigma**2)


def test_a_long_peak_is_long_in_its_own_direction():
    y, x = np.mgrid[:64, :64] - 32.0
    along, across = (x + y) / np.sqrt(2), (x - y) / np.sqrt(2)
    moments = spread(np.exp(-(along**2) / 8 - across**2 / 2)[None], np.array([[32.0, 32.0]]))[0]
    values, vectors = np.linalg.eigh(moments)
    np.testing.assert_allclose(values, [1, 4], rtol=0.15)
    np.testing.assert_allclose(np.abs(vectors[:, 1]), np.sqrt([0.5, 0.5]), atol=0.01)


def test_nothing_is_as_wide_as_the_window_also_at_the_border():
    moments = spread(np.zeros((2, 64, 64), np.float32), np.array([[0.0, 0.0], [80.0, -9.0]]))
    np.testing.assert_allclose(moments, np.broadcast_to(25 * np.eye(2), (2, 2, 2)))


def test_faint_and_wide_peaks_measure_worse():
    wide, sharp = measurement_covariance(np.stack([4 * np.eye(2), np.eye(2)]), np.ones(2))
    faint = measurement_covariance(np.eye(2), np.array(0.2))
    assert wide[0, 0] > 2 * sharp[0, 0]
    assert faint[0, 0] > 2 * sharp[0, 0]


@pytest.mark.parametrize("views", [2, 3, 6])
def test_points_scatter_as_their_covariance_says(views, rng):
    """Against the truth of many trials with noise of known and differing covariance a view."""
    P, trials = studio(views).projections(), 4000
    truth = np.array([0.3, -0.2, 1.1])
    image = P @ np.append(truth, 1)
    noise = np.stack([np.diag(rng.uniform(0.02, 0.09, 2)) for _ in range(views)])
    off = np.einsum("vij,nvj->nvi", np.linalg.cholesky(noise), rng.normal(size=(trials, views, 2)))
    found = triangulate(P, image[:, :2] / image[:, 2:] + off)
    told = point_covariance(P, found, np.ones((trials, views)), np.broadcast_to(noise, (trials, views, 2, 2)))
    error = found.points - truth
    np.testing.assert_allclose(np.cov(error.T), told.mean(0), atol=0.15 * np.trace(told.mean(0)))
    distance = np.einsum("ni,nij,nj->n", error, np.linalg.inv(told), error)
    for share, quantile in CHI2_3.items():
        assert np.quantile(distance, share) == pytest.approx(quantile, rel=0.15)


def test_visible_joints_of_a_world_are_as_far_off_as_told():
    world = make_world(np.random.default_rng(5), studio(4), 30, Detector(hidden=0.0), clips=6)
    poses = Engine.unfused(world.rig).poses(world.heatmaps)
    known = np.isfinite(poses.covariance).all((2, 3))
    error = (poses.pose3d - world.joints_world)[known]
    distance = np.einsum("ni,nij,nj->n", error, np.linalg.inv(poses.covariance[known]), error)
    assert known.mean() > 0.95
    assert np.median(distance) == pytest.approx(CHI2_3[0.5], rel=0.35)
    assert np.quantile(distance, 0.9) == pytest.approx(CHI2_3[0.9], rel=0.5)


@pytest.mark.parametrize("method", ["robust", "dlt", "pictorial"])
def test_every_triangulation_tells_its_covariance_where_it_tells_a_point(world, method):
    poses = Engine.unfused(world.rig).poses(world.heatmaps[:2], method)
    known = np.isfinite(poses.covariance).all((2, 3))
    assert known.mean() > 0.5
    assert not (known & ~np.isfinite(poses.pose3d).all(-1)).any()
    assert (np.linalg.eigvalsh(poses.covariance[known]) > 0).all()


def test_covariance_is_in_the_rigs_unit_squared(world):
    metres, millimetres = (Engine.unfused(r).poses(world.heatmaps[:2]) for r in (world.rig, in_units(world.rig, "mm")))
    np.testing.assert_allclose(millimetres.covariance, 1e6 * metres.covariance, rtol=1e-4)


@pytest.mark.parametrize("noise", [0.2, 0.8])
def test_labels_tell_how_good_the_detector_is(noise, rng):
    """Wherever the detector stands, its checkpoint's covariance follows it."""
    joints = rng.uniform(15, 48, (20, 2, 17, 2))
    peaks = joints + rng.normal(0, noise, joints.shape)
    labels = joints + rng.normal(0, 0.25, joints.shape)
    names = tuple(map(str, range(20)))
    frames = LabelledFrames(names, render(peaks, 1.6), labels, np.full(joints.shape[:3], 2, np.uint8))
    doubt = doubt_from_labels(frames)
    assert doubt * measurement_covariance(1.6**2 * np.eye(2), np.array(1.0))[0, 0] == pytest.approx(noise**2, rel=0.3)
    assert doubt_from_labels(frames.subset([0])) == 1.0


def test_the_doubt_of_a_checkpoint_reaches_its_engine(rig, checkpoint, world):
    assert checkpoint.lineage["doubt"] > 0
    poses = Engine.load(rig, checkpoint).poses(world.heatmaps[:4])
    error = np.linalg.norm(poses.pose3d - world.joints_world[:4], axis=-1)
    told = np.sqrt(np.trace(poses.covariance, axis1=2, axis2=3))
    assert 0.5 < np.nanmedian(error) / np.nanmedian(told) < 2
