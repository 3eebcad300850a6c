"""What the learned ω_base is worth: the same θ, calibrated, with ω_base and with the best Gaussian ridges.

``python -m benchmarks.omega_base``: for each family of rigs that meta-training never saw, through several simulated
detectors, JDR at 1.6 heatmap pixels of the fused peaks, over all joints and over hidden ones. The Gaussians get the
best of several widths, and of several gains in one round or two, chosen for each family on frames of its own; ω_base
keeps its default gain everywhere. The intervals are paired bootstraps that resample takes.
"""

import argparse
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from models.baselines import default_gains, gaussian_ridge
from models.fusion import FLOOR
from models.heatmap import decode
from models.metalearning import samples
from models.metalearning.train import LIT
from models.metrics import detected
from models.pair_weights import OmegaBase
from models.rig import Rig
from models.torch_fusion import KnotWeights, PencilFusion
from models.weights import load_omega
from models.worlds import Detector, World, make_world, panoptic_dome, published_rig, random_rig

THRESHOLD_PX = 1.6
SEED = 90_000  # far from the seeds that meta-training draws from
SIGMAS_PX = (0.7, 1.0, 1.5, 2.0)
GAINS = (0.03, 0.05, 0.07, 0.1, 0.14, 0.2, 0.3)
TWO_ROUNDS = tuple(product((0.06, 0.12), (0.12, 0.2, 0.3), (2.0, 3.5)))  # g₁, g₂, κ
TAKE_FRAMES = 3
SAMPLES = 102  # fused at a time
DRAWS = 4_000
OUT = Path(__file__).parent / "results" / "omega_base.json"

SOFT = Detector(  # unlike the default and the fitted one: low, wide, ragged peaks, and mistakes rather than silence
    hidden=0.25, noise=0.5, sigma=(1.8, 2.8), height=(0.2, 0.5, 0.9), stretch=(1.0, 1.5), tails=3.0, miss=0.3,
    faded=(0.1, 0.6), ghost=0.6, ghost_height=(0.15, 0.7), clutter=0.5, clutter_height=(0.05, 0.5),
    kinds=(0.25, 0.25, 0.25, 0.25),
)  # fmt: skip
DETECTORS = {"default": Detector(), "fitted": Detector.fitted(), "soft": SOFT}


@dataclass(frozen=True)
class Family:
    """``rigs`` rigs of a kind, with ``takes`` takes to test on and ``chosen`` to choose the Gaussian by."""

    title: str
    build: Callable[[np.random.Generator, int], Rig]
    rigs: int
    takes: int
    chosen: int


FAMILIES = {
    "h36m": Family("Human3.6M's cameras", lambda _, i: published_rig(("h36m-s9", "h36m-s11")[i]), 2, 16, 2),
    "studio4": Family("random studios, 4 cameras", lambda rng, _: random_rig(rng, 4), 4, 8, 1),
    "studio8": Family("random studios, 8 cameras", lambda rng, _: random_rig(rng, 8), 2, 6, 1),
    "dome8": Family("Panoptic-like dome, 8 cameras", lambda rng, _: panoptic_dome(rng, 8), 2, 6, 1),
    "studio16": Family("random studios, 16 cameras", lambda rng, _: random_rig(rng, 16), 1, 6, 1),
}


class Scene:
    """One rig with frames to test on, and what fusing them takes."""

    def __init__(self, rig: Rig, world: World, level: float) -> None:
        self.world = world
        self.fusion = PencilFusion(rig)
        self.gains = torch.full((len(rig.pairs),), default_gains(len(rig.cameras)))
        self.heatmaps, self.joints = samples(world)
        self.truth = world.labelled().joints_view
        self.pixels = self.fusion.active(self.heatmaps, level)

    def weights(self, omega: OmegaBase) -> KnotWeights:
        """Equation (2) for this rig."""
        return self.fusion.weights(torch.from_numpy(omega.values), pixels=self.pixels)

    @torch.no_grad()
    def evidence(self, weights: KnotWeights) -> NDArray[np.float32]:
        """What the other views say in one round, before its gain [F, V, J, 64, 64]."""
        return self._maps([self.fusion.evidence(weights, part, self.gains) for part in self._parts()])

    @torch.no_grad()
    def fused(self, weights: KnotWeights, omega: OmegaBase) -> NDArray[np.float32]:
        """Heatmaps [F, V, J, 64, 64] after one round or two, as models.fusion.Fuser has it."""
        if not omega.sharpness:
            return self.world.heatmaps + np.float32(omega.gains[0]) * self.evidence(weights)
        first, second, sharpness = (torch.tensor(v) for v in (*omega.gains, omega.sharpness))
        rounds = first, second, sharpness
        return self._maps([self.fusion.fuse(weights, part, self.gains, rounds) for part in self._parts()])

    def _parts(self) -> tuple[torch.Tensor, ...]:
        return torch.split(self.heatmaps, SAMPLES, 1)

    def _maps(self, parts: Sequence[torch.Tensor]) -> NDArray[np.float32]:
        frames, views, joints = self.truth.shape[:3]
        return torch.cat(list(parts), 1).numpy().reshape(views, frames, joints, 64, 64).swapaxes(0, 1)

    def found(self, heatmaps: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Which joints [F, V, J] the peaks of heatmaps detect."""
        return detected(decode(heatmaps)[0], self.truth, np.array(THRESHOLD_PX))

    def counts(self, found: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Per take, of all joints and of hidden ones, how many are found and how many there are [takes, 2, 2]."""
        labelled = np.isfinite(self.truth).all(-1)
        hidden = labelled & self.world.hidden
        rows = [[(found & which).sum((1, 2)), which.sum((1, 2))] for which in (labelled, hidden)]
        return np.array(rows).transpose(2, 0, 1).reshape(-1, TAKE_FRAMES, 2, 2).sum(1)


def scenes(family: Family, detector: Detector, *, choosing: bool) -> list[Scene]:
    """The family's rigs, with the frames to choose the Gaussian by or with those to test on."""
    made = []
    for index in range(family.rigs):
        rig = family.build(np.random.default_rng(SEED + index), index)
        takes = family.chosen if choosing else family.takes
        rng = np.random.default_rng((SEED, index, int(choosing)))
        world = make_world(rng, rig, takes * TAKE_FRAMES, detector, clips=takes)
        made.append(Scene(rig, world, LIT if choosing else FLOOR))
    return made


def best_gaussian(where: Sequence[Scene], rounds: int) -> tuple[OmegaBase, dict[str, Any]]:
    """The Gaussian ridge that finds most joints in the scenes to choose by, and what it is."""
    best: tuple[int, OmegaBase, dict[str, Any]] = (-1, gaussian_ridge(), {})
    for sigma in SIGMAS_PX:
        values = gaussian_ridge(sigma).values
        if rounds == 1:
            candidates = [OmegaBase(values, (gain, 0.0), 0.0) for gain in GAINS]
        else:
            candidates = [OmegaBase(values, (first, second), sharp) for first, second, sharp in TWO_ROUNDS]
        scores = sum(_scores(scene, candidates) for scene in where)
        for score, omega in zip(np.atleast_1d(scores), candidates, strict=True):
            if score > best[0]:
                told = {"sigma_px": sigma, "gains": omega.gains[:rounds], "sharpness": omega.sharpness}
                best = int(score), omega, told
    return best[1], best[2]


def _scores(scene: Scene, candidates: Sequence[OmegaBase]) -> NDArray[np.int64]:
    """How many joints each of several ω_base of the same map finds."""
    weights = scene.weights(candidates[0])
    if candidates[0].sharpness:
        fused = (scene.fused(weights, omega) for omega in candidates)
    else:
        evidence = scene.evidence(weights)
        fused = (scene.world.heatmaps + np.float32(omega.gains[0]) * evidence for omega in candidates)
    return np.array([int(scene.counts(scene.found(maps))[:, 0, 0].sum()) for maps in fused])


def compared(ours: NDArray[np.int64], theirs: NDArray[np.int64]) -> dict[str, list[float]]:
    """Difference of JDR in points, over all and over hidden joints, each with its paired 95% interval."""
    rng = np.random.default_rng(0)
    drawn = rng.integers(len(ours), size=(DRAWS, len(ours)))
    told = {}
    for index, name in enumerate(("all", "hidden")):
        sums = [c[drawn, index].sum(1) for c in (ours, theirs)]
        difference = 100 * np.subtract(*(s[:, 0] / s[:, 1] for s in sums))
        value = jdr(ours)[name] - jdr(theirs)[name]
        told[name] = [round(float(v), 2) for v in (value, *np.percentile(difference, [2.5, 97.5]))]
    return told


def jdr(counts: NDArray[np.int64]) -> dict[str, float]:
    """JDR in percent over all and over hidden joints."""
    total = counts.sum(0)
    return {name: round(100 * float(total[i, 0] / total[i, 1]), 2) for i, name in enumerate(("all", "hidden"))}


def measure(name: str, detector: str, omegas: dict[str, OmegaBase]) -> dict[str, Any]:
    """One family through one detector: every ω_base, the best Gaussians, and the differences from the first."""
    family = FAMILIES[name]
    choosing = scenes(family, DETECTORS[detector], choosing=True)
    chosen = {f"gaussian, {rounds} round{'s' * (rounds - 1)}": best_gaussian(choosing, rounds) for rounds in (1, 2)}
    candidates = omegas | {title: omega for title, (omega, _) in chosen.items()}
    test = scenes(family, DETECTORS[detector], choosing=False)
    counts = {
        title: np.concatenate([s.counts(s.found(s.fused(s.weights(omega), omega))) for s in test])
        for title, omega in candidates.items()
    }
    counts["no fusion"] = np.concatenate([s.counts(s.found(s.world.heatmaps)) for s in test])
    first = next(iter(omegas))
    return {
        "family": name, "detector": detector, "jdr": {title: jdr(c) for title, c in counts.items()},
        "gaussians": {title: settings for title, (_, settings) in chosen.items()},
        "difference": {title: compared(counts[first], c) for title, c in counts.items() if title != first},
    }  # fmt: skip


def table(results: list[dict[str, Any]]) -> Table:
    """JDR, and what ω_base gains over each other way, with its interval."""
    shown = Table("rigs", "detector", "way", "JDR all", "hidden", "ω_base finds more: all", "hidden")
    for row in results:
        for title, values in row["jdr"].items():
            gain = row["difference"].get(title)
            told = ["{:+.2f} [{:+.2f}, {:+.2f}]".format(*gain[k]) if gain else "" for k in ("all", "hidden")]
            shown.add_row(
                row["family"], row["detector"], title, f"{values['all']:.2f}", f"{values['hidden']:.2f}", *told
            )
    return shown


def main() -> None:
    """Run, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--families", nargs="+", default=list(FAMILIES), choices=FAMILIES)
    parser.add_argument("--detectors", nargs="+", default=list(DETECTORS), choices=DETECTORS)
    parser.add_argument("--weights", type=Path, nargs="*", default=[], help="folders of other ω_base to compare with")
    parser.add_argument("--out", type=Path, default=OUT)
    arguments = parser.parse_args()
    started = time.monotonic()
    omegas = {"ω_base": load_omega()} | {str(folder): load_omega(folder) for folder in arguments.weights}
    results = [measure(f, d, omegas) for f, d in product(arguments.families, arguments.detectors)]
    Console(width=140).print(table(results))
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    told = {
        "threshold_px": THRESHOLD_PX, "omega_sha256": load_omega().digest, "torch": torch.__version__,
        "seconds": round(time.monotonic() - started), "results": results,
    }  # fmt: skip
    arguments.out.write_text(json.dumps(told, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
