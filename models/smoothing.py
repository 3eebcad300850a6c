"""Joints in space over time: Savitzky–Golay for whole takes, a Kalman filter for streams.

Whole takes: a polynomial fitted to each joint's neighbours in time (Savitzky & Golay, Analytical Chemistry 1964), here
by weighted least squares, so that gaps need no filling first and a doubtful joint counts little. Streams: a Kalman
filter of position and velocity with white acceleration (Bar-Shalom, Li & Kirubarajan, Estimation with Applications to
Tracking and Navigation, 2001, section 6.2). It uses each joint's own covariance, so that it follows a sure joint
at once and an unsure one slowly; a one-euro filter has one lag for both.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from models.errors import InvalidOptions

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

METHODS = ("none", "savgol", "causal")
_ORDER = 3
_HALF_WINDOW_S = 0.12  # movements of people are below about 6 Hz (Winter, Biomechanics, section 2.4)
_MAX_GAP_S = 0.2  # longer gaps stay gaps
_RIDGE = 1e-4  # of a window's weight, on all but the constant
_BRIDGE = 0.05  # of the median weight: what a straight line over a gap counts, which settles the cubic there
_MOST = 10.0  # times the median weight is the most that a frame gets
_ACCELERATION = 20.0  # m/s², standard deviation: of the wrists in a brisk walk, and more than the rest of the body has
_SPEED = 2.0  # m/s, of a joint of which nothing is known yet
_SIGMA = 0.02  # m, of a joint that comes without a covariance
_GATE = 30.0  # squared Mahalanobis distance (3 degrees of freedom) beyond which a joint is taken for a mistake
_MIN_FPS, _MAX_FPS = 1.0, 1000.0


def smooth(
    points: Array, fps: float, method: str, *, covariance: Array | None = None, metres_per_unit: float = 1.0
) -> Array:
    """Smoothed joints [F, J, 3] of frames in the order of time, ``fps`` a second.

    ``points`` [F, J, 3] in world units, NaN where missing; ``covariance`` [F, J, 3, 3] in units². ``savgol`` looks at
    frames before and after, ``causal`` never ahead. Gaps of up to 0.2 s are filled, longer ones stay NaN. Raises
    InvalidOptions.
    """
    if method not in METHODS:
        raise InvalidOptions(f"Smoothing is one of {', '.join(METHODS)}.", at="smoothing")
    if not _MIN_FPS <= fps <= _MAX_FPS:
        raise InvalidOptions(f"fps must lie between {_MIN_FPS:g} and {_MAX_FPS:g}.", at="fps")
    if method == "none" or not len(points):
        return points
    doubt = doubts(points, covariance, metres_per_unit)
    if method == "savgol":
        return savitzky_golay(points, fps, variance=np.einsum("fjii->fj", doubt))
    tracker = CausalFilter.start(points.shape[1], fps, metres_per_unit)
    smoothed = np.empty_like(points)
    for frame in range(len(points)):
        tracker, smoothed[frame] = tracker.step(points[frame], doubt[frame])
    return smoothed


def doubts(points: Array, covariance: Array | None, metres_per_unit: float) -> Array:
    """Covariances [F, J, 3, 3] for all joints, those unknown as they commonly are."""
    usual = np.eye(3) * (_SIGMA / metres_per_unit) ** 2
    if covariance is None:
        return np.broadcast_to(usual, (*points.shape, 3)).copy()
    return np.where(np.isfinite(covariance).all((2, 3), keepdims=True), covariance, usual)


def savitzky_golay(points: Array, fps: float, *, variance: Array) -> Array:
    """The value at each frame of a cubic fitted to the frames within 0.12 s of it, weighted by 1/variance [F, J].

    At low rates it is two frames before and after, however far they reach.
    Twice: the second time what is far from the first fit counts little (Cauchy's weights), or one mistake would bend
    the take around it. Where there are too few frames for a cubic the polynomial tends to a lower degree.
    """
    half = max(2, round(_HALF_WINDOW_S * fps))
    seen = _seen(points)
    if not seen.any():
        return points
    gaps = _short_gaps(seen, fps)
    bridged = _bridged(points, seen)
    weight = np.where(seen, 1 / variance, 0)
    weight = np.minimum(weight / np.median(weight[seen]), _MOST) + _BRIDGE * gaps
    fitted = _fitted(bridged, weight, half)
    off = np.where(seen, np.linalg.norm(bridged - fitted, axis=-1), 0)
    usual = 1.4826 * np.median(off[seen])
    if usual > 0:
        fitted = _fitted(bridged, weight / (1 + np.square(off / (3 * usual))), half)
    return np.where((seen | gaps)[..., None], fitted, np.nan)


def _seen(points: Array) -> Mask:
    return np.asarray(np.isfinite(points).all(-1))


def _bridged(points: Array, seen: Mask) -> Array:
    """Joints [F, J, 3] with straight lines over gaps, and zeros where a joint was never seen."""
    frames, bridged = np.arange(len(points)), np.zeros_like(points)
    for joint in np.flatnonzero(seen.any(0)):
        here = seen[:, joint]
        for axis in range(3):
            bridged[:, joint, axis] = np.interp(frames, frames[here], points[here, joint, axis])
    return bridged


def _fitted(points: Array, weight: Array, half: int) -> Array:
    """Cubics fitted about every frame to points [F, J, 3] with weights [F, J], at that frame."""
    powers = (np.arange(-half, half + 1)[:, None] / half) ** np.arange(_ORDER + 1)
    padded = np.pad(points, ((half, half), (0, 0), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * half + 1, axis=0)
    weights = np.lib.stride_tricks.sliding_window_view(np.pad(weight, ((half, half), (0, 0))), 2 * half + 1, axis=0)
    normal = np.einsum("fjw,wa,wb->fjab", weights, powers, powers, optimize=True)
    right = np.einsum("fjw,wa,fjcw->fjac", weights, powers, windows, optimize=True)
    ridge = _RIDGE * np.maximum(normal[..., :1, :1], 1e-12) * np.eye(_ORDER + 1)
    ridge[..., 0, 0] = np.maximum(1e-9 * normal[..., 0, 0], 1e-12)
    return np.asarray(np.linalg.solve(normal + ridge, right)[..., 0, :])


def _short_gaps(seen: Mask, fps: float) -> Mask:
    """The frames [F, J] that are missing between two that are not, if not too many one after another."""
    frames = np.arange(len(seen))[:, None]
    before = np.maximum.accumulate(np.where(seen, frames, -len(seen)), axis=0)
    after = np.minimum.accumulate(np.where(seen, frames, 2 * len(seen))[::-1], axis=0)[::-1]
    inside = (before >= 0) & (after < len(seen))
    short: Mask = ~seen & inside & (after - before - 1 <= _longest_gap(fps))
    return short


def _longest_gap(fps: float) -> int:
    return max(1, int(_MAX_GAP_S * fps + 1e-6))


@dataclass(frozen=True)
class CausalFilter:
    """The Kalman filter of J joints at one moment; each ``step`` takes a frame and gives the filter at the next.

    ``state`` [J, 6] position and velocity in world units and seconds, NaN where nothing is known; ``covariance``
    [J, 6, 6]; ``missing`` [J] frames since the joint was last seen.
    """

    state: Array
    covariance: Array
    missing: NDArray[np.intp]
    dt: float
    metres_per_unit: float

    @classmethod
    def start(cls, joints: int, fps: float, metres_per_unit: float = 1.0) -> "CausalFilter":
        """A filter that has seen nothing yet."""
        unknown, none = np.full((joints, 6), np.nan), np.zeros(joints, np.intp)
        return cls(unknown, np.tile(np.eye(6), (joints, 1, 1)), none, 1 / fps, metres_per_unit)

    def skip(self, frames: int) -> "CausalFilter":
        """The filter after so many frames of which nothing came; after 0.2 s of them nothing is known any more."""
        if not frames:
            return self
        joints, longest = len(self.state), _longest_gap(1 / self.dt)
        nothing, doubt = np.full((joints, 3), np.nan), np.tile(np.eye(3), (joints, 1, 1))
        tracker = self
        for _ in range(min(frames, longest + 1)):
            tracker, _predicted = tracker.step(nothing, doubt)
        return tracker

    def step(self, points: Array, doubt: Array) -> tuple["CausalFilter", Array]:
        """Take joints [J, 3] with covariances [J, 3, 3], and give them smoothed.

        A joint that is missing, or too far off to be true, is predicted for 0.2 s, then NaN until it is seen again.
        """
        state, covariance = self._predicted()
        seen, known = _seen(points), _seen(state)
        off = np.where((seen & known)[:, None], points - state[:, :3], 0)
        innovation = covariance[:, :3, :3] + doubt
        likely = np.einsum("ji,jik,jk->j", off, np.linalg.inv(innovation), off) < _GATE
        used = seen & known & likely
        gain = covariance[:, :, :3] @ np.linalg.inv(innovation) * used[:, None, None]
        state = state + np.einsum("jik,jk->ji", gain, off)
        covariance = covariance - gain @ covariance[:, :3]
        missing = np.where(used, 0, self.missing + 1)
        lost = missing > _longest_gap(1 / self.dt)
        born = seen & (~known | lost)
        state[lost] = np.nan
        state[born, :3], state[born, 3:], missing[born] = points[born], 0, 0
        covariance[born] = self._first(doubt[born])
        return replace(self, state=state, covariance=covariance, missing=missing), state[:, :3].copy()

    def _predicted(self) -> tuple[Array, Array]:
        """Where joints are one frame later, if only white acceleration changes their velocity."""
        dt, push = self.dt, _ACCELERATION / self.metres_per_unit
        F = np.kron([[1.0, dt], [0, 1]], np.eye(3))
        Q = push**2 * np.kron([[dt**4 / 4, dt**3 / 2], [dt**3 / 2, dt**2]], np.eye(3))
        return self.state @ F.T, F @ self.covariance @ F.T + Q

    def _first(self, doubt: Array) -> Array:
        """Covariances [N, 6, 6] of joints seen for the first time."""
        covariance = np.zeros((len(doubt), 6, 6))
        covariance[:, :3, :3] = doubt
        covariance[:, 3:, 3:] = np.eye(3) * (_SPEED / self.metres_per_unit) ** 2
        return covariance
