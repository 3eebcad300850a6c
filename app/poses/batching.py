"""Requests that wait for a turn to compute are computed together, where they ask the same of the same engine.

Nobody waits for company: a request that finds a turn free goes at once, alone. When all turns are taken, the one that
waited longest goes next and takes along what waits beside it.
"""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.poses.stages import Stages
from models.runtime import Engine, Poses

_TOGETHER = frozenset({"robust", "dlt"})
"""The pictorial model takes the lengths of limbs from all frames that it is given: those must be one request's."""


@dataclass(eq=False)
class _Turn:
    taken: bool = False
    is_done: bool = False


@dataclass(eq=False, kw_only=True)
class _Job(_Turn):
    engine: Engine
    heatmaps: NDArray[np.floating]
    triangulation: str
    keep: bool
    stages: Stages
    poses: Poses | None = None

    def goes_with(self, other: "_Job") -> bool:
        """Whether both can be computed as one; the engine is the very same, so neither sees another's checkpoint."""
        same = (self.engine is other.engine, self.triangulation == other.triangulation, self.keep == other.keep)
        return all(same) and self.triangulation in _TOGETHER


class Batcher:
    """At most ``turns`` computations at the same time, each of at most ``frames`` frames where it has company."""

    def __init__(self, turns: int, frames: int) -> None:
        self._turns, self._frames = turns, frames
        self._running = 0
        self._waiting: list[_Turn] = []
        self._changed = threading.Condition()

    def poses(
        self, engine: Engine, heatmaps: NDArray[np.floating], triangulation: str, *, keep: bool, stages: Stages
    ) -> Poses:
        """``engine.poses`` of these heatmaps, once it is their turn."""
        job = _Job(engine=engine, heatmaps=heatmaps, triangulation=triangulation, keep=keep, stages=stages)
        with self._changed:
            self._waiting.append(job)
            self._changed.wait_for(lambda: job.is_done or self._is_next(job))
            batch = [] if job.is_done else self._take(job)
        if batch:
            self._run(batch)
        if job.poses is None:  # what went wrong together is tried alone, so that nobody suffers for another
            with self.turn():
                return engine.poses(heatmaps, triangulation, keep=keep, told=stages.ended)
        return job.poses

    @contextmanager
    def turn(self) -> Iterator[None]:
        """A turn for work that goes with no other, such as a backbone's; no other turn may be asked for inside."""
        turn = _Turn()
        with self._changed:
            self._waiting.append(turn)
            self._changed.wait_for(lambda: self._is_next(turn))
            self._begin([turn])
        try:
            yield
        finally:
            self._end([turn])

    def _is_next(self, turn: _Turn) -> bool:
        return not turn.taken and self._running < self._turns and self._waiting[0] is turn

    def _take(self, first: _Job) -> list[_Job]:
        """The job and those that go with it, in the order in which they came, as far as they fit."""
        batch, frames = [first], len(first.heatmaps)
        for job in self._waiting[1:]:
            if isinstance(job, _Job) and job.goes_with(first) and frames + len(job.heatmaps) <= self._frames:
                batch.append(job)
                frames += len(job.heatmaps)
        self._begin(batch)
        return batch

    def _begin(self, turns: Sequence[_Turn]) -> None:
        for turn in turns:
            turn.taken = True
            self._waiting.remove(turn)
        self._running += 1
        self._changed.notify_all()  # another may be first now, and a turn free

    def _end(self, turns: Sequence[_Turn]) -> None:
        with self._changed:
            self._running -= 1
            for turn in turns:
                turn.is_done = True
            self._changed.notify_all()

    def _run(self, batch: Sequence[_Job]) -> None:
        first = batch[0]
        for job in batch:
            job.stages.ended("wait")
        try:
            together = first.heatmaps if len(batch) == 1 else np.concatenate([job.heatmaps for job in batch])
            stages = Stages()
            found = first.engine.poses(together, first.triangulation, keep=first.keep, told=stages.ended)
            for job, poses in zip(batch, found.split([len(job.heatmaps) for job in batch]), strict=True):
                job.poses = poses
                stages.tell(job.stages.add)  # each of them took all of that time
        except Exception:
            if len(batch) == 1:
                raise
        finally:
            self._end(batch)
