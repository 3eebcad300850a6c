"""A small thread-safe cache that forgets what was used least recently and makes each value once."""

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

Key = TypeVar("Key")
Value = TypeVar("Value")


class Cache(Generic[Key, Value]):
    """At most ``size`` values; whoever holds one keeps it alive after it is forgotten here."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._values: OrderedDict[Key, Value] = OrderedDict()
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
                return self._values[key]
            self._making.add(key)
        try:
            value = make()
            with self._changed:
                self._keep(key, value)
            return value
        finally:
            with self._changed:
                self._making.discard(key)
                self._changed.notify_all()

    def _keep(self, key: Key, value: Value) -> None:
        self._values[key] = value
        while len(self._values) > self._size:
            self._values.popitem(last=False)
