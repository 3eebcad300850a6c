"""Pose requests by several clients at once, for long: answers by status, latency, and whether memory stays flat.

Run ``python -m benchmarks.api_load --requests 10000 --out benchmarks/results/api_load.json``; it starts the API in a
process of its own. ``--compare`` measures clients 1, 4 and 8, with and without computing waiting requests together.
"""

import argparse
import json
import os
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from benchmarks._api_process import ApiProcess, api_process, checkpoint_of, heatmaps_npz, store_checkpoint
from models.worlds import World, make_world, random_rig

_WARM_UP = 40


@dataclass
class Load:
    """What came back, filled by several threads."""

    wanted: int
    every: int
    seconds: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    rss_mb: list[float] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)
    begun: int = 0

    def next(self) -> bool:
        """Whether another request is to be sent."""
        with self.lock:
            self.begun += 1
            return self.begun <= self.wanted

    def note(self, status: int, seconds: float, api: ApiProcess) -> None:
        """One answer."""
        with self.lock:
            self.statuses[status] += 1
            self.seconds.append(seconds)
            if len(self.seconds) % self.every == 0:
                self.rss_mb.append(api.rss_mb)
                print(f"{len(self.seconds):6d} requests  {self.rss_mb[-1]:7.1f} MB", flush=True)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--requests", type=int, default=1000)
    parser.add_argument("--cameras", type=int, default=4)
    parser.add_argument("--fusion", default="active", choices=["active", "none"])
    parser.add_argument("--compare", action="store_true")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    results = _compared(arguments) if arguments.compare else [_measured(arguments, arguments.clients, {})]
    if arguments.out is not None:
        about = {"cores": os.cpu_count(), "cameras": arguments.cameras, "frames_a_request": 1, "runs": results}
        arguments.out.write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")


def _compared(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    return [
        _measured(arguments, clients, {"POSE_BATCH": batch}) for clients in (1, 4, 8) for batch in ("1", "8", "1", "8")
    ]


def _measured(arguments: argparse.Namespace, clients: int, environment: dict[str, str]) -> dict[str, Any]:
    world = world_of(arguments.cameras)
    with api_process(**environment) as api:
        rig, frames = register(api, world), frames_of(world)
        run(api, rig, frames, Load(_WARM_UP, _WARM_UP), clients=clients, fusion=arguments.fusion)
        load, started = Load(arguments.requests, max(arguments.requests // 20, 1)), time.perf_counter()
        run(api, rig, frames, load, clients=clients, fusion=arguments.fusion)
        wall = time.perf_counter() - started
    result = {"clients": clients, **environment, "fusion": arguments.fusion, **summary(load, wall)}
    print(json.dumps(result), flush=True)
    return result


def summary(load: Load, wall_s: float) -> dict[str, Any]:
    """The figures of one run; the slope of memory is over its second half."""
    half = load.rss_mb[len(load.rss_mb) // 2 :]
    slope = float(np.polyfit(np.arange(len(half)), half, 1)[0]) / load.every * 1000 if len(half) > 2 else None
    p50, p95, p99 = (1000 * float(np.percentile(load.seconds, share)) for share in (50, 95, 99))
    return {
        "requests": len(load.seconds), "statuses": {str(key): n for key, n in load.statuses.items()},
        "requests_a_second": round(len(load.seconds) / wall_s, 1), "p50_ms": round(p50, 1), "p95_ms": round(p95, 1),
        "p99_ms": round(p99, 1), "p99_over_p50": round(p99 / p50, 2), "rss_mb": [round(mb, 1) for mb in load.rss_mb],
        "rss_slope_mb_per_1000_requests": None if slope is None else round(slope, 3),
    }  # fmt: skip


def run(api: ApiProcess, rig: str, frames: Sequence[bytes], load: Load, *, clients: int, fusion: str) -> None:
    """Send the frames over and over, by so many clients, until enough have been answered."""

    def ask() -> None:
        with httpx.Client(base_url=api.url, timeout=60) as client:
            while load.next():
                sent, started = {"heatmaps": ("h.npz", frames[load.begun % len(frames)])}, time.perf_counter()
                answer = client.post(f"/v1/rigs/{rig}/poses", params={"checkpoint": fusion}, files=sent)
                load.note(answer.status_code, time.perf_counter() - started, api)

    threads = [threading.Thread(target=ask) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def world_of(cameras: int) -> World:
    """A small seeded world."""
    rng = np.random.default_rng(cameras)
    return make_world(rng, random_rig(rng, cameras), 8)


def frames_of(world: World) -> list[bytes]:
    """Its frames as they are sent, one a request."""
    return [heatmaps_npz(world, index) for index in range(len(world.heatmaps))]


def register(api: ApiProcess, world: World) -> str:
    """Register the world's rig, with a checkpoint that serves it."""
    answer = httpx.post(f"{api.url}/v1/rigs", json={"name": "load", **world.rig.to_dict()}, timeout=60)
    rig = str(answer.raise_for_status().json()["id"])
    store_checkpoint(api.settings, rig, checkpoint_of(world.rig))
    return rig


if __name__ == "__main__":
    main()
