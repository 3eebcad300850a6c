"""The inference engine: heatmaps of synchronised frames in, fused heatmaps, 2D and 3D joints out. No torch."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from models import geometry
from models.baselines import epipolar_fuser
from models.body import Body, triangulate_body
from models.checkpoint import Checkpoint
from models.errors import InvalidHeatmaps, InvalidOptions
from models.fusion import Fuser
from models.heatmap import HEATMAP_SIZE, decode, decode_near
from models.limbs import median_limb_lengths
from models.manner import Manner
from models.pictorial import pictorial
from models.poses import Poses, Told, quiet
from models.rig import Rig
from models.tolerance import Tolerance
from models.triangulation import INLIER_PX, Triangulation
from models.uncertainty import measurement_covariance, point_covariance, spread
from models.views import View

__all__ = ["METHODS", "Engine", "Manner", "Poses"]

Array = NDArray[np.float64]
METHODS = ("robust", "dlt", "pictorial")
_CHUNK = 8  # frames fused at a time, so that memory does not grow with the request
_OWN_REACH_PX = 3.5  # how far from the fused peak a view's own peak may lie to count as the same joint


class Engine:
    """One rig with one way of fusing it, ready for any number of frames."""

    def __init__(self, sent: Rig, cameras: Rig, fuser: Fuser | None, manner: Manner | None = None) -> None:
        self.rig, self.cameras, self.fuser = sent, cameras, fuser
        self.manner = manner or Manner()
        self._body, self._heard = self._known_body(), ~np.isin(np.arange(len(sent.cameras)), self.manner.alone)
        self._projections = cameras.projections()
        self._tolerance = Tolerance(self._projections, np.stack([np.eye(3)] * len(sent.cameras)))
        self._pixel = np.array(
            [geometry.image_pixels_per_heatmap_pixel(c, v) for c, v in zip(sent.cameras, sent.views, strict=True)]
        )

    @classmethod
    def unfused(cls, rig: Rig) -> "Engine":
        """No-Fusion: each view's own peak, triangulated with the cameras as sent."""
        return cls(rig, rig, None)

    @classmethod
    def triangulated(cls, rig: Rig) -> "Engine":
        """Robust triangulation without fusion, its joints in space projected back into every view."""
        return cls(rig, rig, None, Manner(project=True))

    @classmethod
    def epipolar(cls, rig: Rig) -> "Engine":
        """Heuristic epipolar fusion with the cameras as sent."""
        return cls(rig, rig, epipolar_fuser(rig))

    @classmethod
    def load(cls, rig: Rig, checkpoint: Checkpoint) -> "Engine":
        """A rig's own checkpoint; raises CheckpointMismatch for a checkpoint of another rig."""
        cameras = checkpoint.rig(rig)
        fuser = Fuser(checkpoint.omega, rig.pairs, checkpoint.weights(), checkpoint.gains, len(rig.cameras))
        doubt = float(checkpoint.lineage.get("doubt", 1.0))
        alone = tuple(rig.camera_index(camera) for camera in checkpoint.alone)
        return cls(rig, cameras, fuser, Manner(True, checkpoint.project, checkpoint.limbs, doubt, alone))

    def reading(self, *, project: bool, limbs: Array | None = None) -> "Engine":
        """The same fusion, read in another manner."""
        return Engine(self.rig, self.cameras, self.fuser, replace(self.manner, project=project, limbs=limbs))

    @property
    def follows(self) -> bool:
        """Whether it may see through other views than the rig's."""
        return self.fuser is None or self.fuser.follows

    def seeing(self, views: Sequence[View]) -> "Engine":
        """The same engine for frames that were seen through other views than the rig's, such as crops of a person.

        Raises InvalidOptions where the weights of its fusion belong to the rig's own pixels.
        """
        pairs = zip(self.rig.views, views, strict=True)
        crops = np.stack([fixed.K @ np.linalg.inv(view.K) for fixed, view in pairs])
        fuser = None if self.fuser is None else self.fuser.carried(crops)
        other = Engine(self.rig.with_views(views), self.cameras.with_views(views), fuser, self.manner)
        if not self.manner.measure:  # nobody has held these cameras against labels: a closer look makes them no better
            other._tolerance = Tolerance(self._projections, crops)
        return other

    def _known_body(self) -> Body | None:
        """The body whose limbs help to triangulate, where enough of them are known."""
        if self.manner.limbs is None:
            return None
        body = Body(self.rig.skeleton, self.manner.limbs, self.rig.metres_per_unit)
        return body if body.known else None

    @property
    def nbytes(self) -> int:
        """Memory that the engine holds, but for the rig, which others hold too."""
        return self.fuser.nbytes if self.fuser else 0

    def poses(
        self, heatmaps: NDArray[np.floating], triangulation: str = "robust", *, keep: bool = True, told: Told = quiet
    ) -> Poses:
        """Fuse, decode and triangulate heatmaps [F, V, J, 64, 64].

        The fused heatmaps are the most of an answer: without ``keep`` none are, and only a few frames' are ever held.
        ``told`` hears when all is fused, and when it is triangulated.
        """
        self._check(heatmaps, triangulation)
        fused = self._room(heatmaps, keep=keep or triangulation == "pictorial")
        parts = []
        for start in range(0, max(len(heatmaps), 1), _CHUNK):
            some, *read = self._peaks(heatmaps[start : start + _CHUNK])
            parts.append(read)
            if len(fused) and self.fuser is not None:
                fused[start : start + _CHUNK] = some
        peaks, height, measured, trust, moments = (np.concatenate(part) for part in zip(*parts, strict=True))
        told("fuse")
        seen, trust = self._witnesses(heatmaps, np.maximum(trust, 0))
        points = self._triangulate((fused, seen), measured, trust, triangulation)
        if triangulation == "robust" and self._body is not None and len(heatmaps):
            points = self._as_body(self._body, seen, peaks, points)
        points = self._with_covariance(points, trust, moments, triangulation)
        found = self._result(fused if keep else fused[:0], peaks, height, points)
        told("triangulate")
        return found

    def _room(self, heatmaps: NDArray[np.floating], *, keep: bool) -> NDArray[np.float32]:
        """Where the fused heatmaps go, if anywhere; without fusion they are those that came."""
        some = heatmaps if keep else heatmaps[:0]
        return np.asarray(some, np.float32) if self.fuser is None else np.empty(some.shape, np.float32)

    def _peaks(self, heatmaps: NDArray[np.floating]) -> tuple[NDArray[np.float32], Array, Array, Array, Array, Array]:
        """Fused heatmaps, their peaks and heights, and where, how high and how wide each view's own shows the joint."""
        fused = np.asarray(heatmaps, np.float32) if self.fuser is None else self.fuser.fuse(heatmaps)
        peaks, height = decode(fused)
        own = decode_near(heatmaps, peaks, _OWN_REACH_PX) if self.manner.measure else (peaks, height)
        return fused, peaks, height, *own, spread(heatmaps, own[0])

    def _witnesses(self, heatmaps: NDArray[np.floating], trust: Array) -> tuple[NDArray[np.floating], Array]:
        """The heatmaps, and the trust in their peaks, zero for views that bear no witness in space."""
        heard = self._heard[:, None, None, None]
        return (heatmaps * heard, trust * heard[..., 0, 0]) if self.manner.alone else (heatmaps, trust)

    def contributions(self, heatmaps: NDArray[np.floating]) -> NDArray[np.float32]:
        """What each source view adds to each target view [F, target, source, J, 64, 64]; zeros without fusion."""
        if self.fuser is None:
            frames, views, *rest = heatmaps.shape
            return np.zeros((frames, views, views, *rest), np.float32)
        return self.fuser.contributions(heatmaps)

    def _check(self, heatmaps: NDArray[np.floating], triangulation: str) -> None:
        expected = (len(self.rig.cameras), len(self.rig.skeleton.joints), HEATMAP_SIZE, HEATMAP_SIZE)
        if heatmaps.ndim != 5 or heatmaps.shape[1:] != expected:
            raise InvalidHeatmaps(
                f"Heatmaps have shape {heatmaps.shape}; expected (frames, {expected}).", at="heatmaps"
            )
        if not np.isfinite(heatmaps).all():
            raise InvalidHeatmaps("Heatmaps hold a value that is not a finite number.", at="heatmaps")
        if triangulation not in METHODS:
            raise InvalidOptions(f"Triangulation is one of {', '.join(METHODS)}.", at="triangulation")

    def _triangulate(
        self, maps: tuple[NDArray[np.float32], NDArray[np.floating]], points: Array, trust: Array, method: str
    ) -> Triangulation:
        """Joints in space, the flat index running over frames, then joints; ``maps`` are fused, and as they came."""
        views = points.shape[1]
        flat, weights = points.swapaxes(1, 2).reshape(-1, views, 2), trust.swapaxes(1, 2).reshape(-1, views)
        robust = self._tolerance.triangulate(flat, weights, "dlt" if method == "dlt" else "robust")
        return robust if method != "pictorial" else self._pictorial(*maps, flat, robust)

    def _as_body(self, body: Body, heatmaps: NDArray[np.floating], peaks: Array, alone: Triangulation) -> Triangulation:
        """Joints in space, all of a body together, where ``alone`` has them one by one."""
        points = alone.points.reshape(len(heatmaps), -1, 3)
        parts = [
            triangulate_body(self._projections, np.asarray(heatmaps[at], np.float32), peaks[at], points[at], body)
            for at in (slice(start, start + _CHUNK) for start in range(0, len(heatmaps), _CHUNK))
        ]
        return Triangulation(**{name: np.concatenate([getattr(part, name) for part in parts]) for name in vars(alone)})

    def _with_covariance(self, points: Triangulation, trust: Array, moments: Array, method: str) -> Triangulation:
        """The points with covariances from the heatmaps' own spread, moments [F, V, J, 2, 2]."""
        views, weights = trust.shape[1], trust.swapaxes(1, 2).reshape(-1, trust.shape[1])
        measured = self.manner.doubt * measurement_covariance(moments, trust).swapaxes(1, 2).reshape(-1, views, 2, 2)
        reach = np.inf if method == "dlt" else INLIER_PX * self._tolerance.zoom.max()
        covariance = point_covariance(self._projections, points, weights, measured, inlier_px=reach)
        return replace(points, covariance=covariance)

    def _pictorial(
        self, fused: NDArray[np.float32], own: NDArray[np.floating], flat: Array, robust: Triangulation
    ) -> Triangulation:
        """The pictorial model's joints, started from the robust ones, its limb lengths their median over the frames."""
        skeleton, metres = self.rig.skeleton, self.rig.metres_per_unit
        initial = robust.points.reshape(len(fused), len(skeleton.joints), 3)
        trust = robust.confidence.reshape(initial.shape[:2])
        limbs = median_limb_lengths(initial, trust, skeleton, metres_per_unit=metres)
        poses = [
            pictorial(self._projections, frame, skeleton, start, limb_lengths=limbs, metres_per_unit=metres, own=seen)
            for frame, seen, start in zip(fused, own, initial, strict=True)
        ]
        points = np.reshape(poses, (-1, 3))
        residual = np.linalg.norm(geometry.project(self._projections, points) - flat, axis=-1)
        inliers = residual <= INLIER_PX
        return replace(robust, points=points, residual_px=residual, inliers=inliers)

    def _joints(self, points: Triangulation, peaks: Array, height: Array) -> tuple[Array, NDArray[np.bool_]]:
        """The 2D joints [F, V, J, 2], and which of them were found: a heatmap without any peak shows none."""
        found = height > 0
        if not self.manner.project:
            return peaks, found
        frames, views, joints = peaks.shape[:3]
        seen = geometry.project(self._projections, points.points).reshape(frames, joints, views, 2).swapaxes(1, 2)
        known = np.isfinite(seen) & self._heard[:, None, None]
        return np.where(known, seen, peaks), found | known.all(-1)

    def _result(self, fused: NDArray[np.float32], peaks: Array, height: Array, points: Triangulation) -> Poses:
        joints, found = self._joints(points, peaks, height)
        frames, count = joints.shape[0], joints.shape[2]
        used = points.inliers.sum(1)
        pixels = np.where(points.inliers, points.residual_px * self._pixel, 0).sum(1) / np.maximum(used, 1)
        missing = ~np.isfinite(points.points).all(1)
        cameras = enumerate(zip(self.rig.cameras, self.rig.views, strict=True))
        image = [geometry.view_to_image(camera, view, joints[:, index]) for index, (camera, view) in cameras]
        return Poses(
            heatmaps=fused,
            joints_view=joints,
            poses2d=np.where(found[..., None], np.stack(image, axis=1), np.nan),
            confidence2d=np.clip(height, 0, 1),
            pose3d=points.points.reshape(frames, count, 3),
            confidence=np.clip(points.confidence, 0, 1).reshape(frames, count),
            reprojection_px=np.where(missing, np.nan, pixels).reshape(frames, count),
            views_used=np.where(missing, 0, used).reshape(frames, count),
            view=np.broadcast_to(np.stack([view.K for view in self.rig.views]), (frames, joints.shape[1], 3, 3)),
            covariance=points.covariance.reshape(frames, count, 3, 3),
        )
