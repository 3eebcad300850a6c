"""A small thread-safe cache that forgets what was used least recently and makes each value once."""

import math
import threading
from collections import OrderedDict
from collections.abc import Callable, Collection
from typing import Generic, TypeVar

Key = TypeVar("Key")
Value = TypeVar("Value")


class Cache(Generic[Key, Value]):
    """At most ``size`` values, and at most ``weight`` of what ``weigh`` says of them, but always the newest.

    Pinned values do not count towards ``size`` and stay as long as the pinned alone are not too heavy; where they are,
    the one of them used least recently goes too. Whoever holds a value keeps it alive after it is forgotten here.
    """

    def __init__(
        self, size: int, *, weight: float = math.inf, weigh: Callable[[Value], float] = lambda _value: 0
    ) -> None:
        self._size, self._weight, self._weigh = size, weight, weigh
        self._values: OrderedDict[Key, tuple[Value, float]] = OrderedDict()
        self._pinned: frozenset[Key] = frozenset()
        self._making: set[Key] = set()
        self._changed = threading.Condition()

    def __len__(self) -> int:
        return len(self._values)

    def __contains__(self, key: Key) -> bool:
        return key in self._values

    @property
    def weight(self) -> float:
        """What all values weigh together."""
        with self._changed:
            return self._total(self._values)

    @property
    def is_full(self) -> bool:
        """Whether one more may push another out."""
        with self._changed:
            loose = sum(key not in self._pinned for key in self._values)
            return loose >= self._size or self._total(self._values) >= self._weight

    def keys(self) -> list[Key]:
        """The keys of all values, the one used last at the end."""
        with self._changed:
            return list(self._values)

    def get(self, key: Key, make: Callable[[], Value]) -> Value:
        """The value of ``key``; only one thread makes it while others that want it wait, and no one else does.

        Where making it fails, the next of those that wait tries.
        """
        with self._changed:
            self._changed.wait_for(lambda: key not in self._making)
            if key in self._values:
                self._values.move_to_end(key)
                return self._values[key][0]
            self._making.add(key)
        try:
            value = make()
            weight = self._weigh(value)  # it may take a while too
            with self._changed:
                self._values[key] = value, weight
                self._forget(newest=key)
            return value
        finally:
            with self._changed:
                self._making.discard(key)
                self._changed.notify_all()

    def drop(self, key: Key) -> None:
        """Forget a value; no error where it is not here."""
        with self._changed:
            self._values.pop(key, None)

    def pin(self, keys: Collection[Key]) -> None:
        """Keep the values of these keys, and no longer of others; they need not be here yet."""
        with self._changed:
            self._pinned = frozenset(keys)
            if self._values:
                self._forget(newest=next(reversed(self._values)))

    def _forget(self, newest: Key) -> None:
        """Forget until the rest is few and light enough; never the newest."""
        while (victim := self._victim(newest)) is not None:
            del self._values[victim]

    def _victim(self, newest: Key) -> Key | None:
        """What has to go first, if anything."""
        pinned = [key for key in self._values if key in self._pinned]
        loose = [key for key in self._values if key not in self._pinned]
        candidates = [key for key in loose if key != newest]
        if candidates and (len(loose) > self._size or self._total(self._values) > self._weight):
            return candidates[0]
        candidates = [key for key in pinned if key != newest]
        return candidates[0] if candidates and self._total(pinned) > self._weight else None

    def _total(self, keys: Collection[Key]) -> float:
        return sum(self._values[key][1] for key in keys)
