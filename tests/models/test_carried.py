"""θ carried to crops: the composition formula, and for canonical θ the crops' own epipolar geometry."""

import numpy as np
import pytest
from model_rigs import studio

from models.affine import ACROSS, GRID, HALF, lines_of_theta, theta_of_pair, transform, width_of_theta
from models.baselines import calibrated_theta, epipolar_fuser, gaussian_ridge
from models.fusion import Fuser
from models.geometry import fundamental_matrix
from models.heatmap import render
from models.pencil import PencilWeights, pencil_of, pencil_of_pair

WIDTH = 1.25


def crop(size, x, y, degrees=0.0):
    """Crop pixel → view pixel [3, 3]: ``size`` of the view about (x, y), turned."""
    angle = np.radians(degrees)
    turn = size * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    C = np.eye(3)
    C[:2, :2], C[:2, 2] = turn, np.array([x, y]) - turn @ [HALF, HALF]
    return C


CROPS = [crop(0.3, 24, 40, 12), crop(0.45, 40, 25, -20), crop(0.2, 12, 50), crop(0.7, 33, 30, 5)]


def per_pixel(pencil):
    """θ's row across the line, of every target pixel, up to its sign [4096, 3]."""
    rows = pencil.lookup() @ pencil.knots[:, 1]
    return rows * np.sign(rows[:, :1] + 1e-12)


@pytest.fixture(scope="module")
def rig():
    return studio(4, rolls=(0, 15))


def test_carried_canonical_theta_is_that_of_the_crops_own_cameras(rig):
    P = rig.projections()
    for p, (a, b) in enumerate(rig.pairs):
        carried = pencil_of(theta_of_pair(fundamental_matrix(P[a], P[b]), WIDTH)).carried(CROPS[a], CROPS[b])
        cropped = [np.linalg.inv(CROPS[v]) @ P[v] for v in (a, b)]
        recomputed = pencil_of(theta_of_pair(fundamental_matrix(*cropped), WIDTH))
        np.testing.assert_allclose(per_pixel(carried), per_pixel(recomputed), atol=2e-4, err_msg=str(rig.pairs[p]))


def test_carried_canonical_theta_is_the_composition_formula(rig):
    """Row 2 of θ(C¹·i) ∘ C², rescaled by the crop's size: the same line at the same distance in crop pixels."""
    P = rig.projections()
    F = fundamental_matrix(P[0], P[1])
    rows = per_pixel(pencil_of(theta_of_pair(F, WIDTH)).carried(CROPS[0], CROPS[1]))
    points = np.column_stack([GRID, np.ones(4096)])
    lines = points @ CROPS[0].T @ F.T
    lines /= np.linalg.norm(lines[:, :2], axis=1, keepdims=True)
    in_crop = lines @ CROPS[1] / np.sqrt(np.linalg.det(CROPS[1][:2, :2]))
    across = np.column_stack([in_crop[:, :2], (in_crop @ [HALF, HALF, 1])[:, None] / HALF]) * HALF / (ACROSS * WIDTH)
    np.testing.assert_allclose(rows, across * np.sign(across[:, :1] + 1e-12), atol=2e-3)


def test_a_free_field_carries_the_same_lines_as_the_pencil(rig):
    """Free θ go by the formula alone; made from a canonical field, they must give its lines and its width."""
    field = calibrated_theta(rig, WIDTH)[0]
    a, b = rig.pairs[0]
    exact = pencil_of(field).carried(CROPS[a], CROPS[b])
    noise = np.random.default_rng(0).normal(0, 0.01, field.shape)
    free = pencil_of((field + noise).astype(np.float32))
    assert free.F is None
    loose = free.carried(CROPS[a], CROPS[b])
    assert np.median(np.abs(per_pixel(loose) - per_pixel(exact))) < 0.02
    assert np.median(width_of_theta(loose.knots)) == pytest.approx(WIDTH, rel=0.02)


def test_carrying_a_free_field_nowhere_changes_nothing(rig):
    field = calibrated_theta(rig)[0] + np.random.default_rng(0).normal(0, 0.1, (64, 64, 2, 3)).astype(np.float32)
    np.testing.assert_allclose(pencil_of(field).carried(np.eye(3), np.eye(3)).knots, field.reshape(-1, 2, 3), atol=1e-5)


@pytest.mark.parametrize("size", [0.15, 0.5, 1.0])
def test_the_ridge_keeps_its_width_in_crop_pixels(rig, size):
    weights = PencilWeights(gaussian_ridge(1.5).values, pencil_of(calibrated_theta(rig)[0]))
    there = weights.carried(crop(0.4, 30, 34), crop(size, 33, 31, 25))
    knot = int(np.abs(lines_of_theta(there.pencil.knots) @ [HALF, HALF, 1]).argmin())
    profile, line = there.rows()[knot], lines_of_theta(there.pencil.knots)[knot]
    distance = np.abs(GRID @ line[:2] + line[2])
    assert profile[distance < 0.4].min() > 0.9
    np.testing.assert_allclose(profile[np.abs(distance - 1.5) < 0.2], np.exp(-0.5), atol=0.15)
    assert profile[distance > 6].max() < 0.01


def test_the_pencil_of_a_matrix_is_that_of_its_field(rig):
    P = rig.projections()
    F = fundamental_matrix(P[0], P[2])
    one, two = pencil_of_pair(F, WIDTH), pencil_of(theta_of_pair(F, WIDTH))
    np.testing.assert_allclose(per_pixel(one), per_pixel(two), atol=1e-5)
    np.testing.assert_allclose(np.abs(two.F / np.linalg.norm(two.F)), np.abs(F / np.linalg.norm(F)), atol=1e-6)


def test_weights_of_some_pixels_are_those_among_all(rig):
    pencil = pencil_of(calibrated_theta(rig)[0])
    weights, pixels = PencilWeights(gaussian_ridge().values, pencil), np.array([5, 700, 701, 4000])
    np.testing.assert_array_equal(weights.rows(pixels), weights.rows()[:, pixels])
    np.testing.assert_array_equal(
        transform(gaussian_ridge().values, pencil.knots, pixels),
        transform(gaussian_ridge().values, pencil.knots)[:, pixels],
    )


def test_fusing_between_crops_is_fusing_with_the_crops_cameras(rig):
    """Carried for one frame, without tables, or rebuilt from the crops' projections: the same fused heatmaps."""
    views = [type(v)(np.linalg.inv(C) @ v.K) for v, C in zip(rig.views, CROPS, strict=True)]
    maps = render(np.random.default_rng(0).uniform(10, 54, (2, 4, 3, 2)), 1.6)
    carried = epipolar_fuser(rig).carried(np.stack(CROPS))
    assert carried.nbytes < 0.15 * epipolar_fuser(rig).nbytes  # no tables
    np.testing.assert_allclose(carried.fuse(maps), epipolar_fuser(rig.with_views(views)).fuse(maps), atol=2e-3)


def test_one_use_fusers_fuse_as_lasting_ones(rig):
    maps, theta = render(np.random.default_rng(0).uniform(10, 54, (2, 4, 3, 2)), 1.6), calibrated_theta(rig)
    one, two = (Fuser(gaussian_ridge(), rig.pairs, theta, np.ones(12), 4, lasting=kind) for kind in (True, False))
    np.testing.assert_allclose(one.fuse(maps), two.fuse(maps), atol=1e-3)
    np.testing.assert_allclose(one.contributions(maps), two.contributions(maps), atol=3e-3)
