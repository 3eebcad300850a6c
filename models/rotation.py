"""Rotation vectors and matrices (Rodrigues), in batches."""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def skew(vectors: Array) -> Array:
    """The matrices [..., 3, 3] of the cross product with vectors [..., 3]."""
    x, y, z = np.moveaxis(vectors, -1, 0)
    zero = np.zeros_like(x)
    rows = [[zero, -z, y], [z, zero, -x], [-y, x, zero]]
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)


def rotation_matrix(vectors: Array) -> Array:
    """Rotations [..., 3, 3] about vectors [..., 3] by their length in radians."""
    angle = np.linalg.norm(vectors, axis=-1)[..., None, None]
    cross = skew(vectors)
    sine, versine = np.sinc(angle / np.pi), 0.5 * np.square(np.sinc(angle / (2 * np.pi)))
    matrix: Array = np.eye(3) + sine * cross + versine * (cross @ cross)
    return matrix


def rotation_vector(R: Array) -> Array:
    """The vectors [..., 3] of rotations [..., 3, 3] by less than a half turn."""
    axis = 0.5 * np.stack(
        [R[..., 2, 1] - R[..., 1, 2], R[..., 0, 2] - R[..., 2, 0], R[..., 1, 0] - R[..., 0, 1]], axis=-1
    )
    sine = np.linalg.norm(axis, axis=-1, keepdims=True)
    cosine = (np.trace(R, axis1=-2, axis2=-1)[..., None] - 1) / 2
    angle = np.arctan2(sine, cosine)
    return axis * np.where(sine > 1e-12, angle / np.maximum(sine, 1e-12), 1)
