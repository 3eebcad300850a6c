"""Many rigs, each registered and then served once, so that every request loads an engine: is memory bounded?

Run ``python -m benchmarks.many_rigs --rigs 1000 --out benchmarks/results/many_rigs.json``; it starts the API in a
process of its own.
"""

import argparse
import json
import time
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from benchmarks._api_process import ApiProcess, api_process, checkpoint_of, heatmaps_npz, store_checkpoint
from models.rig import Rig
from models.worlds import make_world, random_rig


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rigs", type=int, default=100)
    parser.add_argument("--cameras", type=int, default=4)
    parser.add_argument("--engine-cache", type=int, default=8)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    with api_process(ENGINE_CACHE=str(arguments.engine_cache)) as api:
        result = measured(api, arguments.rigs, arguments.cameras)
    result = {"rigs": arguments.rigs, "cameras": arguments.cameras, "engine_cache": arguments.engine_cache, **result}
    print(json.dumps(result))
    if arguments.out is not None:
        arguments.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


def measured(api: ApiProcess, rigs: int, cameras: int) -> dict[str, Any]:
    """Register, activate and serve rig after rig; none is the same as another, though all see the same heatmaps."""
    statuses: Counter[int] = Counter()
    seconds, rss = [], [api.rss_mb]
    every = max(rigs // 20, 1)
    rng = np.random.default_rng(0)
    sent = heatmaps_npz(make_world(rng, random_rig(rng, cameras), 1), 0)
    with httpx.Client(base_url=api.url, timeout=60) as client:
        for index in range(1, rigs + 1):
            status, took = _serve_cold(api, client, random_rig(rng, cameras), sent)
            statuses[status] += 1
            seconds.append(took)
            if index % every == 0:
                rss.append(api.rss_mb)
                print(f"{index:6d} rigs  {rss[-1]:7.1f} MB", flush=True)
    half = rss[len(rss) // 2 :]
    slope = float(np.polyfit(np.arange(len(half)), half, 1)[0]) / every * 1000
    return {
        "statuses": {str(status): count for status, count in statuses.items()},
        "cold_ms_median": round(1000 * float(np.median(seconds)), 1),
        "cold_ms_p99": round(1000 * float(np.percentile(seconds, 99)), 1),
        "rss_mb": [round(mb, 1) for mb in rss],
        "rss_slope_mb_per_1000_rigs": round(slope, 2),
    }


def _serve_cold(api: ApiProcess, client: httpx.Client, rig: Rig, sent: bytes) -> tuple[int, float]:
    """Register a rig with a checkpoint, and ask for one frame's poses."""
    answer = client.post("/v1/rigs", json={"name": "one of many", **rig.to_dict()})
    rig_id = str(answer.raise_for_status().json()["id"])
    store_checkpoint(api.settings, rig_id, checkpoint_of(rig))
    started = time.perf_counter()
    answer = client.post(f"/v1/rigs/{rig_id}/poses", files={"heatmaps": ("h.npz", sent)})
    return answer.status_code, time.perf_counter() - started


if __name__ == "__main__":
    main()
