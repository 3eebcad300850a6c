"""Adapting a new rig to about 50 labelled frames: the door to all methods, and ``metafuse``, the default.

Frames are held out first, and every method is judged on them in the same way.

In ``metafuse`` ω_base is frozen. The labels repair the extrinsics by bundle adjustment, and θ of every pair starts as
the canonical form of the repaired epipolar geometry. Then few numbers are learned by the smooth detection loss: how
wide the ridges are, and how much each pair is trusted. What does not help on frames it was not fitted to is dropped.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models import affinefuse, evaluation, metrics, naivefuse
from models.affine import HALF, PIXELS
from models.baselines import calibrated_theta, default_gains
from models.bundle import repair_extrinsics
from models.checkpoint import Checkpoint
from models.errors import InsufficientLabels
from models.fusion import PLAIN_SUM, OmegaBase
from models.labelled import LabelledFrames, check_enough
from models.metalearning import PencilFusion, detection_loss
from models.methods import AdaptationOptions, validate_options
from models.rig import Rig
from models.runtime import Engine
from models.weights import affine_omega, default_omega

Progress = Callable[[str, float], None]
_LABEL_SIGMA_PX = 0.25
_WIDTHS = (0.8, 1.0, 1.25)
_SCALES = (0.5, 0.7, 1.0)
_LEARNING_RATE = 0.03
_PRIOR = 0.1  # weight of the squared log-gains: a pair is trusted like any other until the frames say otherwise
_SAMPLE_BUDGET = 3_000  # samples × pairs that are kept in memory for learning
_BATCH_BUDGET = 300  # samples × pairs of one step
_BLOCKS = 10


@dataclass(frozen=True)
class _Parts:
    """The frames to learn from, those to choose by, and those to judge on."""

    fit: LabelledFrames
    choose: LabelledFrames
    held_out: LabelledFrames


def adapt(
    rig: Rig,
    labelled: LabelledFrames,
    *,
    method: str = "metafuse",
    seed: int = 0,
    options: Mapping[str, Any] | None = None,
    progress: Progress = lambda _stage, _fraction: None,
    capture_digest: str = "",
    device: str = "cpu",
) -> Checkpoint:
    """Adapt a rig to its labelled frames.

    ``progress(stage, fraction of the whole)`` may raise to stop. The result is deterministic for a seed and device.
    Raises InvalidOptions, and InsufficientLabels where the frames left after holding some out are too few.
    """
    chosen = validate_options(method, options or {})
    check_enough(labelled.visibility)
    rng = np.random.default_rng(seed)
    torch.manual_seed(seed)
    progress("split", 0.0)
    parts = _split(labelled, chosen.holdout, rng)
    learned = _LEARN[method](_Task(rig, parts, chosen, rng, progress, device))
    cameras = learned.cameras
    draft = Checkpoint(
        method=method, seed=seed, rig_digest=rig.digest, capture_digest=capture_digest, omega=learned.omega,
        theta=learned.theta, left=learned.left, right=learned.right, gains=learned.gains.astype(np.float32),
        R=np.stack([c.R for c in cameras.cameras]), t=np.stack([c.t for c in cameras.cameras]),
        repaired=cameras is not rig, project=learned.may_project,
        lineage={"frames": len(labelled.frames), **learned.lineage, "device": device, "torch": str(torch.__version__)},
    )  # fmt: skip
    progress("evaluate", 0.7)
    return _judge(rig, cameras, parts, draft, progress)


@dataclass(frozen=True)
class _Task:
    """What every method is given."""

    rig: Rig
    parts: _Parts
    options: AdaptationOptions
    rng: np.random.Generator
    progress: Progress
    device: str


@dataclass(frozen=True)
class _Learned:
    """What a method answers: the weights of all pairs, and the cameras to triangulate with.

    ``may_project`` lets the frames to choose by decide whether 2D joints are projections of the joints in space.
    """

    cameras: Rig
    omega: OmegaBase
    gains: NDArray[np.floating]
    theta: NDArray[np.float32] | None = None
    left: NDArray[np.float16] | None = None
    right: NDArray[np.float16] | None = None
    may_project: bool = False
    lineage: Mapping[str, Any] = field(default_factory=dict)


def _metafuse(task: _Task) -> _Learned:
    task.progress("repair cameras", 0.02)
    cameras = _repair(task.rig, task.parts, task.options)
    task.progress("finetune", 0.08)
    omega = default_omega()
    problem = _Problem.build(cameras, task.parts, omega, task.rng, task.device)
    width, gains = _finetune(cameras, problem, task.options.steps, task.rng, task.progress)
    theta = calibrated_theta(cameras, width).astype(np.float32)
    return _Learned(cameras, omega, gains, theta, may_project=True, lineage={"ridge_width": width})


def _affinefuse(task: _Task) -> _Learned:
    """The cameras, as sent, give the start of θ; then every θ is free."""
    task.progress("finetune", 0.02)
    rig, omega = task.rig, affine_omega()
    theta = affinefuse.learn(
        calibrated_theta(rig).astype(np.float32), omega, task.parts.fit, rig.pairs,
        steps=task.options.steps, rng=task.rng, device=task.device,
        progress=lambda share: task.progress("finetune", 0.02 + 0.66 * share),
    )  # fmt: skip
    return _Learned(rig, omega, np.full(len(rig.pairs), default_gains(len(rig.cameras))), theta)


def _naivefuse(task: _Task) -> _Learned:
    """No camera takes part in fusing; those sent triangulate."""
    task.progress("finetune", 0.02)
    pairs, parts = task.rig.pairs, task.parts
    factors = naivefuse.learn(
        parts.fit, parts.choose, pairs, task.rng, lambda share: task.progress("finetune", 0.02 + 0.66 * share)
    )
    lineage = {"ridges": list(factors.ridges), "rank": factors.right.shape[1]}
    return _Learned(task.rig, PLAIN_SUM, np.ones(len(pairs)), left=factors.left, right=factors.right, lineage=lineage)


_LEARN: Mapping[str, Callable[[_Task], _Learned]] = {
    "metafuse": _metafuse,
    "affinefuse": _affinefuse,
    "naivefuse": _naivefuse,
}


def _split(labelled: LabelledFrames, holdout: float, rng: np.random.Generator) -> _Parts:
    """Hold whole runs of neighbouring frames out, since neighbours in time are nearly the same picture."""
    blocks = np.array_split(np.arange(len(labelled.frames)), min(_BLOCKS, len(labelled.frames)))
    order = rng.permutation(len(blocks))
    held = max(1, round(holdout * len(blocks)))
    choose = max(1, round(0.25 * (len(blocks) - held)))
    groups = np.split(order, [held, held + choose])
    held_out, chosen, fit = (labelled.subset(np.concatenate([blocks[i] for i in sorted(group)])) for group in groups)
    return _Parts(fit, chosen, held_out)


def _joined(a: LabelledFrames, b: LabelledFrames) -> LabelledFrames:
    return LabelledFrames(
        a.frames + b.frames,
        np.concatenate([a.heatmaps, b.heatmaps]),
        np.concatenate([a.joints_view, b.joints_view]),
        np.concatenate([a.visibility, b.visibility]),
    )


def _repair(rig: Rig, parts: _Parts, options: AdaptationOptions) -> Rig:
    """The rig with cameras repaired by the labels, where that is better on held-out labels; else as it was sent."""
    if not options.repair_cameras:
        return rig
    learn = _joined(parts.fit, parts.choose)
    views = len(rig.cameras)
    rays = np.stack([view.invert(learn.joints_view[:, v]) for v, view in enumerate(rig.views)], axis=2)
    sigma = np.array([_LABEL_SIGMA_PX / view.scale for view in rig.views])
    repair = repair_extrinsics(
        np.stack([c.R for c in rig.cameras]), np.stack([c.t for c in rig.cameras]), rays.reshape(-1, views, 2), sigma
    )
    repaired = rig.with_poses(repair.R, repair.t)
    before = evaluation.label_reprojection_px(rig, parts.held_out)
    after = evaluation.label_reprojection_px(repaired, parts.held_out)
    return repaired if after < before else rig


def _finetune(
    cameras: Rig, problem: "_Problem", steps: int, rng: np.random.Generator, progress: Progress
) -> tuple[float, NDArray[np.float64]]:
    """The ridge width and γ [P] that find most joints.

    Width and common gain are two numbers, searched on all frames to learn from; what single pairs deserve beyond that
    is many, so it is learned on some frames and must prove itself on the others.
    """
    fusion = PencilFusion(cameras, problem.omega.device)
    best, least = (1.0, problem.start), np.inf
    for index, width in enumerate(_WIDTHS):
        weights = fusion.weights(problem.omega, width)
        for scale in _SCALES:
            start = problem.start + float(np.log(scale))
            loss = problem.loss_over(fusion, weights, start, problem.fit, problem.choose)
            best, least = ((width, start), loss) if loss < least else (best, least)
        progress("finetune", 0.1 + 0.3 * (index + 1) / len(_WIDTHS))
    width, start = best
    weights = fusion.weights(problem.omega, width)
    learned = problem.learn(fusion, weights, start=start, steps=steps, rng=rng, progress=progress)
    rates = [problem.loss_over(fusion, weights, gains, problem.choose) for gains in (learned, start)]
    return width, (learned if rates[0] < rates[1] else start).exp().double().cpu().numpy()


@dataclass(frozen=True)
class _Problem:
    """Samples on the device: heatmaps [V, S, 4096] and labels [V, S, 2] to fit to and to choose by."""

    omega: Tensor
    rounds: tuple[Tensor, Tensor, Tensor]
    start: Tensor
    fit: tuple[Tensor, Tensor]
    choose: tuple[Tensor, Tensor]
    batch: int

    @classmethod
    def build(cls, cameras: Rig, parts: _Parts, omega: OmegaBase, rng: np.random.Generator, device: str) -> "_Problem":
        pairs = len(cameras.pairs)
        limit = max(32, _SAMPLE_BUDGET // pairs)
        first, second, sharpness = (torch.tensor(v, device=device) for v in (*omega.gains, omega.sharpness))
        return cls(
            omega=torch.from_numpy(omega.values).to(device),
            rounds=(first, second, sharpness),
            start=torch.full((pairs,), float(np.log(default_gains(len(cameras.cameras)))), device=device),
            fit=_samples(parts.fit, limit, rng, device),
            choose=_samples(parts.choose, limit, rng, device),
            batch=max(4, _BATCH_BUDGET // pairs),
        )

    def loss(self, fusion: PencilFusion, weights: Tensor, log_gains: Tensor, batch: tuple[Tensor, Tensor]) -> Tensor:
        heatmaps, joints = batch
        return detection_loss(fusion.fuse(weights, heatmaps, log_gains.exp(), self.rounds), joints)

    @torch.no_grad()
    def loss_over(
        self, fusion: PencilFusion, weights: Tensor, log_gains: Tensor, *parts: tuple[Tensor, Tensor]
    ) -> float:
        """The mean loss over all samples of ``parts``."""
        total, count = 0.0, 0
        for heatmaps, joints in parts:
            for chunk in zip(torch.split(heatmaps, self.batch, 1), torch.split(joints, self.batch, 1), strict=True):
                size = chunk[1].shape[1]
                total += float(self.loss(fusion, weights, log_gains, chunk)) * size
                count += size
        return total / count

    def learn(
        self,
        fusion: PencilFusion,
        weights: Tensor,
        *,
        start: Tensor,
        steps: int,
        rng: np.random.Generator,
        progress: Progress,
    ) -> Tensor:
        """Logarithms of γ [P] by Adam on batches of the frames to fit to, averaged over the later half of the steps."""
        log_gains, average = start.clone().requires_grad_(), torch.zeros_like(start)
        optimiser = torch.optim.Adam([log_gains], lr=_LEARNING_RATE)
        heatmaps, joints = self.fit
        for step in range(steps):
            index = torch.from_numpy(rng.integers(heatmaps.shape[1], size=self.batch)).to(heatmaps.device)
            loss = self.loss(fusion, weights, log_gains, (heatmaps[:, index], joints[:, index]))
            loss = loss + _PRIOR * (log_gains - start).square().mean()
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            if step >= steps // 2:
                average += log_gains.detach() / (steps - steps // 2)
            progress("finetune", 0.4 + 0.3 * (step + 1) / steps)
        return average if steps else start


def _samples(frames: LabelledFrames, limit: int, rng: np.random.Generator, device: str) -> tuple[Tensor, Tensor]:
    views = frames.heatmaps.shape[1]
    joints = frames.joints_view.swapaxes(0, 1).reshape(views, -1, 2)
    inside = np.abs(joints - HALF).max(-1) < HALF + 0.5
    usable = np.flatnonzero(inside.sum(0) >= 2)
    if not len(usable):
        raise InsufficientLabels("No joint is labelled inside two views or more.", at="labels")
    kept = np.sort(rng.permutation(usable)[:limit])
    frame, joint = np.divmod(kept, frames.heatmaps.shape[2])
    heatmaps = np.ascontiguousarray(frames.heatmaps[frame, :, joint].swapaxes(0, 1)).reshape(views, -1, PIXELS)
    labels = np.where(inside[..., None], joints, np.nan)[:, kept]
    return torch.from_numpy(heatmaps).float().to(device), torch.from_numpy(labels).float().to(device)


def _judge(rig: Rig, cameras: Rig, parts: _Parts, draft: Checkpoint, progress: Progress) -> Checkpoint:
    """Fill in the metrics on held-out frames, and decide."""
    direct = Engine.load(rig, replace(draft, project=False))
    projected = direct.with_projection()
    project = draft.project and _jdr(projected, parts.choose) >= _jdr(direct, parts.choose)
    progress("evaluate", 0.8)
    engines = {
        "no_fusion": Engine.unfused(rig),
        "robust_triangulation": Engine.triangulated(rig),
        "epipolar": Engine.epipolar(rig),
        "fused": projected if project else direct,
    }
    held_out = parts.held_out
    truth = evaluation.labels_in_space(cameras, held_out)
    report: dict[str, Any] = {
        "jdr_threshold": evaluation.threshold_summary(rig, held_out),
        "held_out_frames": list(held_out.frames),
    }
    for index, (name, engine) in enumerate(engines.items()):
        report[name] = evaluation.scores(engine, evaluation.run(engine, held_out), held_out, truth)
        progress("evaluate", 0.8 + 0.19 * (index + 1) / len(engines))
    report["fused"]["per_pair"] = _pair_rows(rig, cameras, held_out, draft.gains)
    report["label_agreement"] = evaluation.rounded(evaluation.label_agreement(held_out, truth))
    report["promoted"], report["reason"] = evaluation.verdict(report)
    return replace(draft, project=project, metrics=report)


def _jdr(engine: Engine, frames: LabelledFrames) -> float:
    threshold = metrics.half_head_px(engine.rig.skeleton, frames.joints_view)[..., None]
    return metrics.jdr(evaluation.run(engine, frames).joints_view, frames.joints_view, threshold)


def _pair_rows(rig: Rig, cameras: Rig, frames: LabelledFrames, gains: NDArray[np.float32]) -> list[dict[str, Any]]:
    sent, used = evaluation.epipolar_error_px(rig, frames), evaluation.epipolar_error_px(cameras, frames)
    hidden, seen = frames.visibility == 1, frames.visibility == 2
    rows = []
    for p, (target, source) in enumerate(rig.pairs):
        lost = hidden[:, target]
        found = float(seen[:, source][lost].mean()) if lost.any() else None
        rows.append(
            {
                "target": rig.cameras[target].id,
                "source": rig.cameras[source].id,
                "gain": round(float(gains[p]), 4),
                "epipolar_error_px_sent": evaluation.rounded(sent[p], 3),
                "epipolar_error_px": evaluation.rounded(used[p], 3),
                "hidden_in_target_seen_by_source": None if found is None else round(found, 4),
            }
        )
    return rows
