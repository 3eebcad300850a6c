"""Heatmaps as few bytes: each by its own maximum in 256 steps, compressed; a browser reads them as they are."""

import gzip

import numpy as np
from numpy.typing import NDArray

_LEVEL = 1  # half of what the best takes, at a tenth of its time


def pack(*stacks: NDArray[np.floating]) -> bytes:
    """Heatmaps [..., 64, 64]: the maxima of all as float32, little-endian, then all values as uint8; gzip.

    A value is its byte over 255 times its heatmap's maximum; what is negative is zero.
    """
    maps = np.concatenate([stack.reshape(-1, *stack.shape[-2:]) for stack in stacks])
    peaks = np.maximum(maps.max((1, 2), initial=0), 0).astype("<f4")
    scaled = maps * (255 / np.maximum(peaks, 1e-9))[:, None, None]
    return gzip.compress(peaks.tobytes() + np.rint(np.clip(scaled, 0, 255)).astype(np.uint8).tobytes(), _LEVEL, mtime=0)
