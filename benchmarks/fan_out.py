"""What it brings to adapt a large rig in parts: seconds of CPU of the whole, of each piece, and with more workers.

``python -m benchmarks.fan_out 16 metafuse``: the pieces are worked on one after another, each in a run of its own as a
worker does it, and the time of many workers is that of the longest chain: preparation, the fullest worker's pieces, the
rest. Broker and database are not in it.
"""

import argparse
import json
import time
from collections.abc import Callable, Sequence

import numpy as np
import torch

from models.adaptation import adapt
from models.checkpoint import Checkpoint
from models.fanout import Arrays, Needed, PieceDone, Replay, Spread, from_bytes, in_turn, to_bytes
from models.worlds import make_world, random_rig

_WORKERS = (1, 2, 4)


def main() -> None:
    """Measure one rig and method, and print a line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cameras", type=int)
    parser.add_argument("method")
    parser.add_argument("--frames", type=int, default=50)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    rng = np.random.default_rng(3)
    labelled = make_world(rng, rig := random_rig(rng, arguments.cameras), arguments.frames).labelled()

    def run(spread: Spread) -> Checkpoint:
        return adapt(rig, labelled, method=arguments.method, spread=spread)

    began = time.process_time()
    whole = run(in_turn)
    seconds = time.process_time() - began
    made, chain = in_pieces(run)
    times = {workers: round(chain_of(chain, workers), 1) for workers in _WORKERS}
    told = {"cameras": arguments.cameras, "method": arguments.method, "frames": arguments.frames}
    same = made.to_bytes() == whole.to_bytes()
    print(json.dumps(told | {"whole_s": round(seconds, 1), "in_parts_s": times, "chain": chain, "same_bytes": same}))


def in_pieces(run: Callable[[Spread], Checkpoint]) -> tuple[Checkpoint, list[list[float]]]:
    """The checkpoint, and the seconds of what comes one after another: lists of what may be done side by side."""
    known: dict[str, Arrays] = {}
    chain: list[list[float]] = []
    while True:
        began = time.process_time()
        try:
            made = run(Replay(known))
        except Needed as needed:
            chain += [[round(time.process_time() - began, 1)], []]
            results = {}
            for piece in needed.pieces:
                began = time.process_time()
                results[piece] = from_bytes(to_bytes(_work(run, known, piece)))
                chain[-1].append(round(time.process_time() - began, 1))
            known |= results
        else:
            return made, [*chain, [round(time.process_time() - began, 1)]]


def _work(run: Callable[[Spread], Checkpoint], known: dict[str, Arrays], piece: str) -> Arrays:
    try:
        run(Replay(known, piece))
    except PieceDone as done:
        return done.result
    raise RuntimeError(f"the adaptation has no piece {piece}")


def chain_of(chain: Sequence[Sequence[float]], workers: int) -> float:
    """How long it takes so many workers, each taking the next piece when it is free."""
    total = 0.0
    for side_by_side in chain:
        loads = [0.0] * workers
        for seconds in side_by_side:
            loads[loads.index(min(loads))] += seconds
        total += max(loads)
    return total


if __name__ == "__main__":
    main()
