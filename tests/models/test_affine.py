import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from model_rigs import studio

from models.affine import (
    ACROSS,
    GRID,
    NORMALISED,
    lines_of_theta,
    theta_of_lines,
    theta_of_pair,
    transform,
    width_of_theta,
)  # fmt: skip
from models.geometry import epipolar_lines, fundamental_matrix

ANGLE, OFFSET, WIDTH = st.floats(0, 6.3), st.floats(-60, 60), st.floats(0.3, 3)


def line_at(angle, offset):
    """A line at ``offset`` pixels from the view's centre."""
    normal = np.array([np.cos(angle), np.sin(angle)])
    return np.array([*normal, offset - 31.5 * normal.sum()])


@given(angle=ANGLE, offset=OFFSET, width=WIDTH)
def test_a_line_is_read_back_from_its_theta(angle, offset, width):
    theta = theta_of_lines(line_at(angle, offset), width)
    np.testing.assert_allclose(lines_of_theta(theta), line_at(angle, offset), atol=1e-4)
    assert width_of_theta(theta) == pytest.approx(width, rel=1e-5)


@given(angle=ANGLE, offset=OFFSET, width=WIDTH)
def test_theta_measures_across_and_along_the_line(angle, offset, width):
    """The rows of ω_base are distance from the line, its columns the place along it, whichever the line."""
    theta = theta_of_lines(line_at(angle, offset), width).astype(float)
    read = NORMALISED @ theta[:, :2].T + theta[:, 2]
    distance = GRID @ line_at(angle, offset)[:2] + line_at(angle, offset)[2]
    np.testing.assert_allclose(read[:, 1] * ACROSS * width, distance, atol=1e-3)
    place = (GRID - 31.5) @ [np.sin(angle), -np.cos(angle)]
    np.testing.assert_allclose(read[:, 0] * 31.5 * np.sqrt(2), place, atol=1e-3)


def test_transform_is_the_spatial_transformers_sampling(rng):
    omega = rng.normal(size=(64, 64)).astype(np.float32)
    theta = rng.normal(0, 0.8, (20, 2, 3)).astype(np.float32)
    grid = torch.nn.functional.affine_grid(torch.from_numpy(theta), [20, 1, 64, 64], align_corners=True)
    image = torch.from_numpy(omega)[None, None].expand(20, 1, 64, 64)
    sampled = torch.nn.functional.grid_sample(image, grid, padding_mode="zeros", align_corners=True)
    np.testing.assert_allclose(transform(omega, theta), sampled.reshape(20, -1).numpy(), atol=5e-3)


def test_the_identity_reads_omega_itself(rng):
    omega = rng.normal(size=(64, 64)).astype(np.float32)
    np.testing.assert_allclose(transform(omega, np.eye(2, 3)), omega.ravel(), atol=1e-4)


def test_far_from_the_line_the_weights_are_zero():
    weights = transform(np.ones((64, 64), np.float32), theta_of_lines(line_at(0.4, 5.0)))
    distance = np.abs(GRID @ line_at(0.4, 5.0)[:2] + line_at(0.4, 5.0)[2])
    assert weights[distance > ACROSS * 65 / 63 + 1e-3].max() == 0
    assert weights[(distance < ACROSS) & (np.hypot(*(GRID - 31.5).T) < 40)].min() == pytest.approx(1)


def test_theta_of_a_pair_follows_its_epipolar_lines():
    P = studio(2).projections()
    F = fundamental_matrix(P[0], P[1])
    lines = lines_of_theta(theta_of_pair(F)).reshape(-1, 3)
    np.testing.assert_allclose(lines, epipolar_lines(F, GRID), atol=1e-3)


@pytest.mark.parametrize("epipole", [(20.0, 30.0), (0.0, 0.0), (63.0, 63.0)])
def test_a_pixel_on_the_epipole_takes_a_line_of_the_pencil(epipole):
    x, y = epipole
    cross = np.array([[0, -1, y], [1, 0, -x], [-y, x, 0]])
    theta = theta_of_pair(cross / np.linalg.norm(cross))
    lines = lines_of_theta(theta)
    np.testing.assert_allclose(np.hypot(lines[..., 0], lines[..., 1]), 1, atol=1e-5)
    np.testing.assert_allclose(lines @ [x, y, 1], 0, atol=1e-3)  # all pass through the source's epipole


def test_lines_at_infinity_leave_no_theta_that_is_not_finite():
    F = np.array([[0, 0, 0], [1.0, 0, -32], [0, -1, 20]])  # the line of (32, y) has no normal
    theta = theta_of_pair(F / np.linalg.norm(F))
    assert np.isfinite(theta).all()
    assert np.linalg.norm(theta[..., 1, :2], axis=-1).min() > 3
