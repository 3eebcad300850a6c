"""How long one pose request takes over HTTP, warm: heatmaps of one frame, by number of cameras and way of fusing.

Run ``python -m benchmarks.api_latency``; it starts the API in a process of its own and prints a table.
"""

import argparse
import time

import httpx
import numpy as np

from app.settings import Settings
from benchmarks._api_process import api_process, checkpoint_of, heatmaps_npz, store_checkpoint
from models.worlds import make_world, random_rig


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cameras", type=int, nargs="+", default=[2, 4, 8])
    parser.add_argument("--requests", type=int, default=50)
    arguments = parser.parse_args()
    with api_process() as api, httpx.Client(base_url=api.url, timeout=60) as client:
        print(f"{'cameras':>7}  {'fusion':10}  {'first ms':>8}  {'median ms':>9}  {'95% ms':>7}")
        for cameras in arguments.cameras:
            _measure(client, api.settings, cameras, arguments.requests)


def _measure(client: httpx.Client, settings: Settings, cameras: int, requests: int) -> None:
    rng = np.random.default_rng(cameras)
    rig = random_rig(rng, cameras)
    created = client.post("/v1/rigs", json={"name": "bench", **rig.to_dict()}).raise_for_status().json()["id"]
    data = heatmaps_npz(make_world(rng, rig, 1), 0)
    stored = store_checkpoint(settings, created, checkpoint_of(rig), activate=False)  # it is asked for by its id
    for name, checkpoint in (("none", "none"), ("epipolar", "epipolar"), ("checkpoint", stored)):
        times = []
        for _ in range(requests + 1):
            started = time.perf_counter()
            answer = client.post(
                f"/v1/rigs/{created}/poses", params={"checkpoint": checkpoint}, files={"heatmaps": ("h.npz", data)}
            )
            answer.raise_for_status()
            times.append(1000 * (time.perf_counter() - started))
        first, *warm = times
        median, high = np.median(warm), np.percentile(warm, 95)
        print(f"{cameras:7d}  {name:10}  {first:8.1f}  {median:9.1f}  {high:7.1f}")


if __name__ == "__main__":
    main()
