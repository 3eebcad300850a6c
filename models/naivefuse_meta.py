"""Meta-learned NaiveFuse: a dense ω₀ that all pairs start from; ``python -m models.naivefuse_meta`` rebuilds it.

The ablation of MetaFuse (CVPR 2020) that meta-learns dense weights. The two loops are those of its Algorithm 1, over
many simulated rigs: on K frames every target view adapts its weights from ω₀; on K others the adapted weights are
judged, and ω₀ is what makes that error least. Both loops go to their minimum instead of taking gradient steps:

    inner   W_b = ω₀ + αᵀX_b, the minimum of ‖Y − Σ_b X_b W_bᵀ‖² + λ Σ_b ‖W_b − ω₀‖²
    outer   min over ω₀ of Σ ‖Y' − Σ_b X'_b W_bᵀ‖² = Σ ‖(Y' − AY) − Σ_b (X'_b − AX_b) ω₀ᵀ‖²,  A = X'Xᵀ(XXᵀ + λI)⁻¹

The adapted weights are linear in ω₀, so the outer problem is least squares too, with its derivative through the inner
loop exact, and its normal equations are summed rig by rig. The error is the paper's mean squared one; heatmaps are not
sharpened by a softmax, which would end that. A mirrored world is a world, so every rig counts twice.
A new rig adapts as in the inner loop, with λ chosen on frames to choose by.
"""

import argparse
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import scipy
from numpy.typing import NDArray
from rich.progress import track
from scipy.linalg import cho_factor, cho_solve

from models import naivefuse
from models.affine import PIXELS
from models.baselines import default_gains
from models.checkpoint import CODE_VERSION
from models.heatmap import HEATMAP_SIZE
from models.learning import Learned, Task
from models.naivefuse_factors import Product, truncate
from models.naivefuse_ridge import dual
from models.naivefuse_samples import Array32, Problem, Samples
from models.pair_weights import LowRank
from models.weights import FOLDER, load_sealed, save_sealed
from models.worlds import Detector, World, make_world, random_rig

NAME = "naivefuse_base"
_EPSILONS = (1e-4, 1e-3, 1e-2, 1e-1)  # charge for ω₀² in units of the mean diagonal
_MIRROR = np.arange(PIXELS).reshape(HEATMAP_SIZE, HEATMAP_SIZE)[:, ::-1].ravel()


@dataclass(frozen=True)
class Schedule:
    """How ω₀ is made: ``frames`` K to adapt on and as many to judge on a rig, ``ridge`` λ of the inner loop."""

    rigs: int = 80
    validation_rigs: int = 10
    frames: int = 16
    cameras: tuple[int, ...] = (4, 4, 5)
    ridge: float = 3.0
    rank: int = 128
    seed: int = 0


@dataclass(frozen=True)
class Equations:
    """Normal equations of the outer loop: ``gram`` [4096, 4096], ``moment`` [4096, 4096] and the error at ω₀ = 0."""

    gram: NDArray[np.float32]
    moment: NDArray[np.float32]
    error: float

    @classmethod
    def none(cls) -> "Equations":
        """Of no rig at all."""
        return cls(np.zeros((PIXELS, PIXELS), np.float32), np.zeros((PIXELS, PIXELS), np.float32), 0.0)

    def plus(self, design: Array32, wanted: Array32) -> "Equations":
        """With more samples [S', 4096]."""
        gram: Array32 = self.gram + design.T @ design
        moment: Array32 = self.moment + design.T @ wanted
        return Equations(gram, moment, self.error + float(np.square(wanted).sum()))

    def mirrored(self) -> "Equations":
        """With every world and its mirror image."""
        image = np.ix_(_MIRROR, _MIRROR)
        return Equations(self.gram + self.gram[image], self.moment + self.moment[image], 2 * self.error)

    def solve(self, epsilon: float) -> Array32:
        """ω₀ [4096, 4096], target by source pixels."""
        charged = self.gram.copy()
        np.einsum("ii->i", charged)[:] += epsilon * max(float(np.trace(charged)) / PIXELS, 1e-12)
        factor = cho_factor(charged, lower=True, overwrite_a=True, check_finite=False)
        solved: Array32 = cho_solve(factor, self.moment, check_finite=False).T
        return solved

    def share_left(self, omega: Array32) -> float:
        """The error with ω₀ as a share of the error from zero."""
        change = np.vdot(omega @ self.gram, omega) - 2 * np.vdot(omega.T, self.moment)
        return 1 + float(change) / self.error


def outer_problem(fit: Problem, judge: Problem, ridge: float, gain: float) -> tuple[Array32, Array32]:
    """What of the samples to judge on is left for ω₀ once the inner loop has adapted: design and wanted [S', 4096]."""
    across = np.asarray(fit.products(judge), np.float32)
    alpha: Array32 = dual(replace(fit, lacking=across.T), ridge).T
    design = np.zeros_like(judge.lacking)
    for known, new in zip(fit.seen, judge.seen, strict=True):
        design += np.float32(gain) * (new - alpha @ known)
    return design, judge.lacking - alpha @ fit.lacking


def worlds(schedule: Schedule, rng: np.random.Generator, count: int) -> Iterator[World]:
    """Simulated rigs, each with a detector of its own."""
    for _ in range(count):
        rig = random_rig(rng, int(rng.choice(schedule.cameras)))
        yield make_world(rng, rig, 2 * schedule.frames, Detector.random(rng), clips=4)


def with_world(equations: Equations, world: World, schedule: Schedule) -> Equations:
    """The equations with all target views of a world, adapted on its first frames and judged on the others."""
    frames, views = world.labelled(), range(len(world.rig.cameras))
    gain, left = default_gains(len(views)), []
    parts = [Samples.of(frames.subset(part)) for part in np.array_split(np.arange(len(frames.frames)), 2)]
    for target in views:
        fit, judge = (part.problem(target, [b for b in views if b != target]) for part in parts)
        if len(fit) and len(judge):
            left.append(outer_problem(fit, judge, schedule.ridge, gain))
    if not left:
        return equations
    design, wanted = (np.concatenate(parts) for parts in zip(*left, strict=True))
    return equations.plus(design, wanted)


def train(schedule: Schedule, report: Callable[[int], None]) -> tuple[LowRank, dict[str, Any]]:
    """ω₀ and how it was found; ``report(rigs)`` is called after every rig."""
    rng = np.random.default_rng(schedule.seed)
    validation, equations = Equations.none(), Equations.none()
    for world in worlds(schedule, rng, schedule.validation_rigs):
        validation = with_world(validation, world, schedule)
    curve, best = [], (np.zeros((0, 0), np.float32), 0.0, np.inf)
    for index, world in enumerate(worlds(schedule, rng, schedule.rigs)):
        equations = with_world(equations, world, schedule)
        report(index + 1)
        if (index + 1) % max(1, schedule.rigs // 6) == 0 or index + 1 == schedule.rigs:
            both = equations.mirrored()
            found = [(omega, e, validation.share_left(omega)) for e in _EPSILONS for omega in [both.solve(e)]]
            best = min(found, key=lambda one: one[2])
            curve.append({"rigs": index + 1, "epsilon": best[1], "validation_error_of_zero_start": round(best[2], 5)})
    identity = np.eye(PIXELS, dtype=np.float32)
    left, right = truncate([Product(best[0], identity)], schedule.rank, rng)
    omega = LowRank(left.astype(np.float16), right.astype(np.float16))
    kept = validation.share_left(omega.lookup() @ omega.rows())
    return omega, {"curve": curve, "epsilon": best[1], "validation_error_at_rank": round(kept, 5)}


def save_start(omega: LowRank, folder: Path, provenance: dict[str, Any]) -> str:
    """Write ω₀ and its manifest; returns its SHA-256."""
    return save_sealed({"left": omega.left, "right": omega.right}, folder, NAME, {"rank": omega.size, **provenance})


@cache
def load_start(folder: Path = FOLDER) -> tuple[LowRank, str]:
    """ω₀ and its SHA-256; raises CorruptArtifact where its bytes are not those of the manifest."""
    tensors, digest = load_sealed(folder, NAME)
    return LowRank(tensors["left"], tensors["right"]), digest


def start_for(cameras: int) -> tuple[LowRank, str]:
    """What the weights of every pair are drawn to on a rig of so many cameras, and the SHA-256 of ω₀."""
    omega, digest = load_start()
    return LowRank(np.float32(default_gains(cameras)) * omega.lookup(), omega.right), digest


def learn(task: Task) -> Learned:
    """The method: naivefuse, drawn to ω₀ instead of to zero."""
    start, digest = start_for(len(task.rig.cameras))
    learned = naivefuse.learn(task, start)
    return replace(learned, lineage={**learned.lineage, "naivefuse_base": digest})


def main() -> None:
    """Rebuild ω₀ and write it with its provenance."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=FOLDER)
    parser.add_argument("--rigs", type=int, default=Schedule.rigs)
    parser.add_argument("--seed", type=int, default=Schedule.seed)
    arguments = parser.parse_args()
    schedule = Schedule(rigs=arguments.rigs, seed=arguments.seed)
    started = time.monotonic()
    ticks = iter(track(range(schedule.rigs), description="Meta-training ω₀"))
    omega, found = train(schedule, lambda _: (next(ticks, None), None)[1])
    provenance = {
        "method": "naivefuse_meta: inner and outer loop solved exactly",
        "loss": "mean squared error",
        "schedule": asdict(schedule),
        **found,
        "seconds": round(time.monotonic() - started, 1),
        "code_version": CODE_VERSION,
        "numpy": np.__version__,
        "scipy": scipy.__version__,
    }
    print(save_start(omega, arguments.out, provenance), json.dumps(found))  # noqa: T201 - a command's output


if __name__ == "__main__":
    main()
