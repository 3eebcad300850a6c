"""Leases are watched by a steady clock of the watcher's own."""

from datetime import UTC, datetime, timedelta

from app.adaptations.leases import Lease
from worker.watch import Watch

NOON = datetime(2026, 1, 6, 12, tzinfo=UTC)


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_lease_is_silent_once_it_has_not_changed_for_as_long_as_it_lasts() -> None:
    clock = Clock()
    watch, lease = Watch(clock), ("ada_1", Lease("a", NOON))
    assert watch.silent([lease], 60) == set()
    clock.now += 59
    assert watch.silent([lease], 60) == set()
    clock.now += 1
    assert watch.silent([lease], 60) == {"ada_1"}


def test_a_heartbeat_counts_whichever_way_the_holder_s_clock_jumps() -> None:
    clock = Clock()
    watch = Watch(clock)
    for hours in (0, 5, -5, 1):
        assert watch.silent([("ada_1", Lease("a", NOON + timedelta(hours=hours)))], 60) == set()
        clock.now += 59


def test_another_holder_of_the_same_job_starts_anew() -> None:
    clock = Clock()
    watch = Watch(clock)
    watch.silent([("ada_1", Lease("a", NOON))], 60)
    clock.now += 90
    assert watch.silent([("ada_1", Lease("b", NOON)), ("ada_2", Lease("c", NOON))], 60) == set()


def test_what_is_held_no_longer_is_forgotten() -> None:
    clock = Clock()
    watch, lease = Watch(clock), ("ada_1", Lease("a", NOON))
    watch.silent([lease], 60)
    watch.silent([], 60)
    clock.now += 90
    assert watch.silent([lease], 60) == set()
