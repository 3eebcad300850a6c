"""The API process stays as large as it is: the benchmarks of load and of many rigs, in short."""

from collections.abc import Iterator

import pytest

from benchmarks import api_load, many_rigs
from benchmarks._api_process import ApiProcess, api_process


@pytest.fixture(scope="module")
def api() -> Iterator[ApiProcess]:
    with api_process(THREADS="1", POSE_CONCURRENCY="2", ENGINE_CACHE="4") as running:
        yield running


def test_two_hundred_requests_of_four_clients_are_all_answered_and_leave_nothing(api: ApiProcess) -> None:
    world = api_load.world_of(2)
    rig, frames = api_load.register(api, world), api_load.frames_of(world)
    api_load.run(api, rig, frames, api_load.Load(40, 40), clients=4, fusion="active")
    load = api_load.Load(200, 20)
    api_load.run(api, rig, frames, load, clients=4, fusion="active")
    assert load.statuses == {200: 200}
    assert max(load.rss_mb) - min(load.rss_mb) < 60


def test_thirty_rigs_one_after_another_take_no_more_than_those_that_are_kept(api: ApiProcess) -> None:
    result = many_rigs.measured(api, 30, 2)
    assert result["statuses"] == {"200": 30}
    assert max(result["rss_mb"][12:]) - max(result["rss_mb"][6:12]) < 25  # an engine of two cameras takes 6 MB
