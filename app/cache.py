"""A small thread-safe cache that forgets what was used least recently and makes each value once."""

import math
import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

Key = TypeVar("Key")
Value = TypeVar("Value")


class Cache(Generic[Key, Value]):
    """At most ``size`` values, and at most ``weight`` of what ``weigh`` says of them, but always the newest.

    Whoever holds a value keeps it alive after it is forgotten here.
    """

    def __init__(
        self, size: int, *, weight: float = math.inf, weigh: Callable[[Value], float] = lambda _value: 0
    ) -> None:
        self._size, self._weight, self._weigh = size, weight, weigh
        self._values: OrderedDict[Key, tuple[Value, float]] = OrderedDict()
        self._making: set[Key] = set()
        self._changed = threading.Condition()

    def __len__(self) -> int:
        return len(self._values)

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
                self._keep(key, value, weight)
            return value
        finally:
            with self._changed:
                self._making.discard(key)
                self._changed.notify_all()

    def _keep(self, key: Key, value: Value, weight: float) -> None:
        self._values[key] = value, weight
        while len(self._values) > 1 and (len(self._values) > self._size or self._total() > self._weight):
            self._values.popitem(last=False)

    def _total(self) -> float:
        return sum(weight for _, weight in self._values.values())
