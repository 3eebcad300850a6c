"""How long one frame takes in the engine, in process, side by side for every number of cameras.

``python -m benchmarks.pose_latency [--frames 30]``.
"""

import argparse
import time
from collections.abc import Callable

import numpy as np
from rich.console import Console
from rich.table import Table

from models.baselines import calibrated_theta, default_gains
from models.checkpoint import Checkpoint
from models.limbs import median_limb_lengths
from models.runtime import Engine
from models.weights import default_omega
from models.worlds import make_world, random_rig


def engines(seed: int, cameras: int) -> tuple[Engine, Engine, np.ndarray]:
    """Engines without and with a calibrated checkpoint, which is as fast as an adapted one, and frames for them."""
    rng = np.random.default_rng(seed)
    rig = random_rig(rng, cameras)
    world = make_world(rng, rig, 8)
    seen = np.ones(world.joints_world.shape[:2])
    limbs = median_limb_lengths(world.joints_world, seen, rig.skeleton, metres_per_unit=rig.metres_per_unit)
    checkpoint = Checkpoint(
        method="metafuse", seed=0, rig_digest=rig.digest, capture_digest="", omega=default_omega(),
        theta=calibrated_theta(rig), gains=np.full(len(rig.pairs), default_gains(cameras), np.float32),
        R=np.stack([c.R for c in rig.cameras]), t=np.stack([c.t for c in rig.cameras]), repaired=False, project=True,
        limbs=limbs,
    )  # fmt: skip
    return Engine.unfused(rig), Engine.load(rig, checkpoint), world.heatmaps


def milliseconds(work: Callable[[int], object], repeats: int) -> tuple[float, float]:
    """Median and 95th percentile of ``work(i)`` after one warm-up."""
    work(0)
    times = []
    for index in range(repeats):
        started = time.perf_counter()
        work(index)
        times.append(1000 * (time.perf_counter() - started))
    return float(np.median(times)), float(np.percentile(times, 95))


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=30)
    parser.add_argument("--cameras", type=int, nargs="+", default=[2, 4, 8, 16])
    arguments = parser.parse_args()
    shown = Table("cameras", "no fusion", "fused", "95%", "fused ÷ no fusion", "tables")
    for cameras in arguments.cameras:
        plain, fused, heatmaps = engines(7, cameras)
        one, _ = milliseconds(lambda i, e=plain, h=heatmaps: e.poses(h[i % 8 : i % 8 + 1]), arguments.frames)
        two, slow = milliseconds(lambda i, e=fused, h=heatmaps: e.poses(h[i % 8 : i % 8 + 1]), arguments.frames)
        shown.add_row(
            str(cameras), f"{one:.1f} ms", f"{two:.1f} ms", f"{slow:.1f} ms", f"{two / one:.1f}×",
            f"{fused.nbytes / 1e6:.0f} MB",
        )  # fmt: skip
    Console().print(shown)


if __name__ == "__main__":
    main()
