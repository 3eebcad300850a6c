"""What a studio could do without adapting: No-Fusion, and the heuristic sum over calibrated epipolar lines."""

import numpy as np

from models.affine import ACROSS, theta_of_pair
from models.fusion import Fuser
from models.geometry import fundamental_matrix
from models.pair_weights import OmegaBase
from models.rig import Rig
from models.views import HEATMAP_SIZE

EPIPOLAR_SIGMA_PX = 1.0
EPIPOLAR_GAIN = 0.1


def default_gains(cameras: int) -> float:
    """γ of every pair before any finetuning: all sources together weigh the same, whatever their number."""
    return 3.0 / (cameras - 1)


def gaussian_ridge(sigma_px: float = EPIPOLAR_SIGMA_PX, gain: float = EPIPOLAR_GAIN) -> OmegaBase:
    """The best ω_base that nobody had to learn: a Gaussian of ``sigma_px`` heatmap pixels across the line."""
    distance = np.linspace(-ACROSS, ACROSS, HEATMAP_SIZE, dtype=np.float32)[:, None]
    values = np.repeat(np.exp(-0.5 * np.square(distance / sigma_px)), HEATMAP_SIZE, axis=1)
    return OmegaBase(values.astype(np.float32), (gain, 0.0), 0.0)


def calibrated_theta(rig: Rig, width: float = 1.0) -> np.ndarray:
    """θ of all pairs [P, 64, 64, 2, 3] from the rig's own cameras."""
    P = rig.projections()
    return np.stack([theta_of_pair(fundamental_matrix(P[a], P[b]), width) for a, b in rig.pairs])


def epipolar_fuser(rig: Rig) -> Fuser:
    """Heuristic epipolar fusion: no labels, no learning, the cameras as they were sent."""
    gains = np.full(len(rig.pairs), default_gains(len(rig.cameras)))
    return Fuser(gaussian_ridge(), rig.pairs, calibrated_theta(rig), gains, len(rig.cameras))
