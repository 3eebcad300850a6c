"""The free numbers of ω_base, and the map made from them."""

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import conv1d, interpolate

from models.affine import ACROSS
from models.heatmap import HEATMAP_SIZE
from models.pair_weights import OmegaBase

_KERNEL = torch.exp(-0.5 * torch.arange(-4.0, 5.0).square() / 1.5**2)[None, None]
_KERNEL /= _KERNEL.sum()


def start(columns: int) -> tuple[Tensor, Tensor]:
    """Before any learning: a Gaussian ridge of one heatmap pixel [64, columns], and log (g₁, g₂, κ)."""
    distance = torch.linspace(-ACROSS, ACROSS, HEATMAP_SIZE)[:, None].expand(-1, columns)
    return 0.1 * torch.exp(-0.5 * distance.square()), torch.tensor([1.2, 2.6, 3.5]).log()


def ridge(raw: Tensor) -> Tensor:
    """ω_base [64, 64] from its free numbers [64, columns]: smooth, and symmetric, since a line has no direction.

    Along the line it changes slowly: fewer free numbers there are less noise.
    """
    both = (raw + raw.flip(0) + raw.flip(1) + raw.flip(0, 1)) / 4
    smooth = conv1d(both.T[:, None], _KERNEL.to(both), padding=len(_KERNEL[0, 0]) // 2)[:, 0].T
    shape = (HEATMAP_SIZE, HEATMAP_SIZE)
    return interpolate(smooth[None, None], shape, mode="bilinear", align_corners=True)[0, 0]


def omega_base(raw: Tensor, log_rounds: Tensor) -> OmegaBase:
    """What models.fusion reads."""
    first, second, sharpness = log_rounds.double().exp().tolist()
    return OmegaBase(ridge(raw.cpu()).numpy().astype(np.float32), (first, second), sharpness)
