"""Requests that wait are computed together, and get what they would have got alone."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from stored import checkpoint_of

from app.poses.batching import Batcher
from app.poses.stages import Stages
from models.errors import InvalidHeatmaps
from models.poses import Poses, Told, quiet
from models.runtime import Engine
from models.worlds import World

TIMEOUT_S = 20.0


class Watched:
    """A real engine that tells how many frames it is given at a time, and can be held up."""

    def __init__(self, engine: Engine) -> None:
        self._engine, self.frames = engine, list[int]()
        self.may_go_on, self.is_busy = threading.Event(), threading.Event()
        self.may_go_on.set()

    def poses(self, heatmaps: NDArray[np.floating], triangulation: str, *, keep: bool, told: Told = quiet) -> Poses:
        self.frames.append(len(heatmaps))
        self.is_busy.set()
        assert self.may_go_on.wait(TIMEOUT_S)
        return self._engine.poses(heatmaps, triangulation, keep=keep, told=told)


@pytest.fixture(scope="module")
def engine(world: World) -> Engine:
    return Engine.load(world.rig, checkpoint_of(world.rig))


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(8) as executor:
        yield executor


def together(
    batcher: Batcher, pool: ThreadPoolExecutor, watched: Watched, asked: list[tuple[NDArray[np.floating], str]]
) -> list[Any]:
    """The answers to requests of which all but the first wait, in this order."""
    watched.may_go_on.clear()
    futures = []
    for index, (heatmaps, triangulation) in enumerate(asked):
        futures.append(
            pool.submit(batcher.poses, watched, heatmaps, triangulation, keep=False, stages=Stages())  # type: ignore[arg-type]
        )
        if not index:
            assert watched.is_busy.wait(TIMEOUT_S)
        while len(batcher._waiting) < index:
            assert not futures[-1].done()
    watched.may_go_on.set()
    return [future.exception(TIMEOUT_S) or future.result() for future in futures]


@pytest.mark.parametrize("triangulation", ["robust", "dlt"])
def test_what_waits_goes_together_and_gets_what_it_would_get_alone(
    engine: Engine, world: World, pool: ThreadPoolExecutor, triangulation: str
) -> None:
    watched, runs = Watched(engine), [slice(0, 1), slice(1, 2), slice(2, 5), slice(5, 6)]
    asked = [(world.heatmaps[run], triangulation) for run in runs]
    answers = together(Batcher(1, 8), pool, watched, asked)
    assert watched.frames == [1, 5]
    for run, answer in zip(runs, answers, strict=True):
        alone = engine.poses(world.heatmaps[run], triangulation, keep=False)
        np.testing.assert_allclose(answer.pose3d, alone.pose3d, atol=1e-6)
        np.testing.assert_allclose(answer.poses2d, alone.poses2d, atol=1e-3)
        np.testing.assert_allclose(answer.covariance, alone.covariance, rtol=1e-4, atol=1e-12)
        np.testing.assert_array_equal(answer.views_used, alone.views_used)


def test_no_more_frames_go_together_than_are_allowed_and_the_order_is_kept(
    engine: Engine, world: World, pool: ThreadPoolExecutor
) -> None:
    watched = Watched(engine)
    together(Batcher(1, 3), pool, watched, [(world.heatmaps[:count], "robust") for count in (1, 2, 2, 1, 4)])
    assert watched.frames == [1, 3, 2, 4]  # 2 + 1 fit, then the other 2, then what is too many alone


def test_the_pictorial_model_sees_one_request_at_a_time(engine: Engine, world: World, pool: ThreadPoolExecutor) -> None:
    watched = Watched(engine)
    together(Batcher(1, 8), pool, watched, [(world.heatmaps[:1], "dlt"), *[(world.heatmaps[:1], "pictorial")] * 2])
    assert watched.frames == [1, 1, 1]


def test_nobody_suffers_for_another(engine: Engine, world: World, pool: ThreadPoolExecutor) -> None:
    watched, broken = Watched(engine), np.full_like(world.heatmaps[:1], np.nan)
    first, second, third = together(
        Batcher(1, 8),
        pool,
        watched,
        [(world.heatmaps[:1], "robust"), (broken, "robust"), (world.heatmaps[1:2], "robust")],
    )
    assert isinstance(second, InvalidHeatmaps)
    for answer, index in ((first, 0), (third, 1)):
        expected = engine.poses(world.heatmaps[index : index + 1])
        np.testing.assert_allclose(answer.pose3d, expected.pose3d, atol=1e-6)


def test_a_turn_of_its_own_is_one_of_the_turns(engine: Engine, world: World, pool: ThreadPoolExecutor) -> None:
    batcher, watched = Batcher(1, 8), Watched(engine)
    with batcher.turn():
        future = pool.submit(
            batcher.poses,
            watched,
            world.heatmaps[:1],
            "dlt",
            keep=False,
            stages=Stages(),  # type: ignore[arg-type]
        )
        assert not watched.is_busy.wait(0.05)
    assert len(future.result(TIMEOUT_S).pose3d) == 1
