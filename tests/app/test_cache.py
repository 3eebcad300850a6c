"""The cache: bounded, and each value made once however many threads want it."""

import threading
import time

import pytest

from app.cache import Cache


def test_what_was_used_least_recently_goes_first() -> None:
    cache: Cache[int, int] = Cache(2)
    made: list[int] = []

    def get(key: int) -> int:
        return cache.get(key, lambda: made.append(key) or key)

    for key in (1, 2, 1, 3, 1, 2):
        assert get(key) == key
    assert made == [1, 2, 3, 2]
    assert len(cache) == 2


def test_a_value_is_made_once_and_nobody_else_waits() -> None:
    cache: Cache[str, int] = Cache(4)
    made: list[str] = []
    started, go = threading.Event(), threading.Event()

    def slow() -> int:
        made.append("slow")
        started.set()
        assert go.wait(5)
        return 1

    threads = [threading.Thread(target=cache.get, args=("slow", slow)) for _ in range(4)]
    for thread in threads:
        thread.start()
    assert started.wait(5)
    begun = time.monotonic()
    assert cache.get("quick", lambda: 2) == 2
    assert time.monotonic() - begun < 1
    go.set()
    for thread in threads:
        thread.join()
    assert made == ["slow"]


def test_a_failure_is_not_kept() -> None:
    cache: Cache[str, int] = Cache(1)
    with pytest.raises(ZeroDivisionError):
        cache.get("x", lambda: 1 // 0)
    assert cache.get("x", lambda: 7) == 7


def test_after_a_failure_those_who_waited_and_newcomers_make_it_once() -> None:
    cache: Cache[str, int] = Cache(1)
    made: list[str] = []
    at_once: list[int] = []
    making = threading.Semaphore(1)
    started, fail = threading.Event(), threading.Event()

    def failing() -> int:
        started.set()
        assert fail.wait(5)
        raise ZeroDivisionError

    def working() -> int:
        at_once.append(making.acquire(blocking=False))
        time.sleep(0.1)
        made.append("made")
        making.release()
        return 7

    def first() -> None:
        with pytest.raises(ZeroDivisionError):
            cache.get("x", failing)

    threads = [threading.Thread(target=first)]
    threads[0].start()
    assert started.wait(5)
    threads += [threading.Thread(target=cache.get, args=("x", working)) for _ in range(3)]
    for thread in threads[1:]:
        thread.start()
    time.sleep(0.05)  # they wait by now
    fail.set()
    threads[0].join()
    assert cache.get("x", working) == 7
    for thread in threads[1:]:
        thread.join()
    assert (made, at_once) == (["made"], [True])


def test_what_weighs_too_much_together_goes_but_never_the_newest() -> None:
    weights = {"a": 4, "b": 5, "c": 2, "huge": 99}
    cache: Cache[str, str] = Cache(8, weight=10, weigh=weights.__getitem__)
    made: list[str] = []

    def get(key: str) -> str:
        return cache.get(key, lambda: made.append(key) or key)

    for key in ("a", "b", "a", "c"):
        get(key)
    assert len(cache) == 2  # b, used least recently, went
    get("a")
    assert made == ["a", "b", "c"]
    get("huge")
    get("huge")
    assert len(cache) == 1
    assert made == ["a", "b", "c", "huge"]


def filled(weights: dict[str, int], pinned: set[str]) -> Cache[str, str]:
    cache: Cache[str, str] = Cache(2, weight=10, weigh=weights.__getitem__)
    cache.pin(pinned)
    for key in weights:
        cache.get(key, lambda key=key: key)
    return cache


@pytest.mark.parametrize(
    ("weights", "pinned", "kept"),
    [
        ({"a": 1, "b": 1, "c": 1, "d": 1}, {"a"}, ["a", "c", "d"]),  # pins do not count towards the two
        ({"a": 1, "b": 1, "c": 1, "d": 1}, {"a", "b", "c"}, ["a", "b", "c", "d"]),
        ({"a": 6, "b": 3, "c": 2}, {"a"}, ["a", "c"]),  # too heavy together: what is not pinned goes
        ({"a": 6, "b": 3, "c": 5}, {"a", "b"}, ["a", "b", "c"]),  # the newest stays besides
        ({"a": 6, "b": 5, "c": 2}, {"a", "b", "c"}, ["b", "c"]),  # pins too heavy: the first of them goes
    ],
)
def test_pinned_values_stay_as_long_as_they_alone_fit(
    weights: dict[str, int], pinned: set[str], kept: list[str]
) -> None:
    assert filled(weights, pinned).keys() == kept


def test_what_is_no_longer_pinned_goes_with_the_others() -> None:
    cache = filled(dict.fromkeys("abcd", 1), set("abcd"))
    cache.pin({"a"})
    assert cache.keys() == ["a", "c", "d"]
    assert cache.weight == 3
    assert "b" not in cache


def test_what_is_dropped_is_made_again() -> None:
    cache: Cache[str, object] = Cache(2)
    first = cache.get("a", object)
    cache.drop("a")
    cache.drop("b")
    assert "a" not in cache
    assert cache.get("a", object) is not first
