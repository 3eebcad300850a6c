"""Finetuning θ for a new rig with ω_base frozen, from about 50 labelled frames.

Frames are held out first. The labels repair the extrinsics by bundle adjustment, and θ of every pair starts as the
canonical form of the repaired epipolar geometry. Then few numbers are learned by the smooth detection loss: how wide
the ridges are, and how much each pair is trusted. Whatever does not help on frames it was not fitted to is dropped.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models import evaluation, metrics
from models.affine import HALF, PIXELS
from models.baselines import calibrated_theta, default_gains
from models.bundle import repair_extrinsics
from models.checkpoint import Checkpoint
from models.errors import InsufficientLabels
from models.fusion import OmegaBase
from models.labelled import LabelledFrames, check_enough
from models.metalearning import PencilFusion, detection_loss
from models.methods import AdaptationOptions, validate_options
from models.rig import Rig
from models.runtime import Engine
from models.weights import default_omega

Progress = Callable[[str, float], None]
_LABEL_SIGMA_PX = 0.25
_WIDTHS = (0.8, 1.0, 1.25)
_LEARNING_RATE = 0.05
_PRIOR = 0.02  # weight of the squared log-gains: a pair is trusted like any other until the frames say otherwise
_SAMPLE_BUDGET = 6_000  # samples × pairs that are kept in memory for learning
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
    progress("repair cameras", 0.02)
    cameras, repaired = _repair(rig, parts, chosen)
    progress("finetune", 0.08)
    omega = default_omega()
    problem = _Problem.build(cameras, parts, omega, rng, device)
    width, gains = _finetune(cameras, problem, chosen.steps, rng, progress)
    draft = Checkpoint(
        method=method, seed=seed, rig_digest=rig.digest, capture_digest=capture_digest, omega=omega,
        theta=calibrated_theta(cameras, width).astype(np.float32), gains=gains.astype(np.float32),
        R=np.stack([c.R for c in cameras.cameras]), t=np.stack([c.t for c in cameras.cameras]),
        repaired=repaired, project=True,
        lineage={"frames": len(labelled.frames), "ridge_width": width, "device": device, "torch": torch.__version__},
    )  # fmt: skip
    progress("evaluate", 0.7)
    return _judge(rig, cameras, parts, draft, progress)


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


def _repair(rig: Rig, parts: _Parts, options: AdaptationOptions) -> tuple[Rig, bool]:
    """The rig with cameras repaired by the labels, where that is better on held-out labels; else as it was sent."""
    if not options.repair_cameras:
        return rig, False
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
    return (repaired, True) if after < before else (rig, False)


def _finetune(
    cameras: Rig, problem: "_Problem", steps: int, rng: np.random.Generator, progress: Progress
) -> tuple[float, NDArray[np.float64]]:
    """The ridge width and γ [P] that find most joints of the frames to choose by."""
    device = problem.omega.device
    fusions = {width: PencilFusion(cameras, np.full(len(cameras.pairs), width), device) for width in _WIDTHS}
    losses = {width: problem.loss_to_choose_by(fusion, problem.start) for width, fusion in fusions.items()}
    width = min(_WIDTHS, key=lambda w: losses[w])
    learned = problem.learn(fusions[width], steps, rng, progress)
    better = problem.loss_to_choose_by(fusions[width], learned) < losses[width]
    return width, (learned if better else problem.start).exp().double().cpu().numpy()


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
    def loss_to_choose_by(self, fusion: PencilFusion, log_gains: Tensor) -> float:
        weights = fusion.weights(self.omega)
        heatmaps, joints = self.choose
        size = self.batch
        chunks = zip(torch.split(heatmaps, size, 1), torch.split(joints, size, 1), strict=True)
        losses = [self.loss(fusion, weights, log_gains, chunk) * chunk[1].shape[1] for chunk in chunks]
        return float(sum(losses)) / joints.shape[1]

    def learn(self, fusion: PencilFusion, steps: int, rng: np.random.Generator, progress: Progress) -> Tensor:
        """Logarithms of γ [P] by Adam on batches of the frames to fit to, averaged over the later half of the steps."""
        weights = fusion.weights(self.omega)
        log_gains, average = self.start.clone().requires_grad_(), torch.zeros_like(self.start)
        optimiser = torch.optim.Adam([log_gains], lr=_LEARNING_RATE)
        heatmaps, joints = self.fit
        for step in range(steps):
            index = torch.from_numpy(rng.integers(heatmaps.shape[1], size=self.batch)).to(heatmaps.device)
            loss = self.loss(fusion, weights, log_gains, (heatmaps[:, index], joints[:, index]))
            loss = loss + _PRIOR * (log_gains - self.start).square().mean()
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            if step >= steps // 2:
                average += log_gains.detach() / (steps - steps // 2)
            progress("finetune", 0.1 + 0.6 * (step + 1) / steps)
        return average if steps else self.start


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
    candidates = {False: direct, True: direct.with_projection()}
    rates = {project: _jdr(engine, parts.choose) for project, engine in candidates.items()}
    project = rates[True] >= rates[False]
    progress("evaluate", 0.8)
    engines = {
        "no_fusion": Engine.unfused(rig),
        "robust_triangulation": Engine.triangulated(rig),
        "epipolar": Engine.epipolar(rig),
        "fused": candidates[project],
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
