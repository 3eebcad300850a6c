"""How often something happened in the last minute, over all processes: the ``limits`` library counts it in the broker.

While the broker is away every process counts for itself, so a caller is never refused, and never kept waiting, because
of the broker: a call there gives up after 0.2 s, and after a failure the next is tried five seconds later.
"""

import math
import time
from collections.abc import Callable
from threading import Lock
from typing import Any

import structlog
from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage, storage_from_string
from limits.strategies import SlidingWindowCounterRateLimiter as Limiter
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

log = structlog.get_logger(__name__)

PATIENCE_S = 0.2
BACK_OFF_S = 5.0
_BROKERS = ("redis://", "rediss://", "redis+unix://")


class Rates:
    """Counters of one minute, each of a kind of thing and of whoever did it."""

    def __init__(self, broker_url: str) -> None:
        self._alone = Limiter(MemoryStorage())
        self._shared = _shared(broker_url.replace("redis+socket://", "redis+unix://"))
        self._again_at = 0.0
        self._lock = Lock()

    def hit(self, kind: str, whose: str, per_minute: int) -> float | None:
        """Count one more; None where that is within the rate, otherwise the seconds until there is room again."""
        item = RateLimitItemPerMinute(per_minute, namespace="rigfuse")
        return self._ask(lambda limiter: None if limiter.hit(item, kind, whose) else _wait(limiter, item, kind, whose))

    def look(self, kind: str, whose: str, per_minute: int) -> float | None:
        """The same without counting."""
        item = RateLimitItemPerMinute(per_minute, namespace="rigfuse")
        return self._ask(lambda limiter: None if limiter.test(item, kind, whose) else _wait(limiter, item, kind, whose))

    def _ask(self, question: Callable[[Limiter], float | None]) -> float | None:
        if self._shared is None or time.monotonic() < self._again_at:
            return question(self._alone)
        try:
            return question(self._shared)
        except (RedisError, OSError) as error:
            self._rest(error)
            return question(self._alone)

    def _rest(self, error: Exception) -> None:
        with self._lock:
            news = time.monotonic() >= self._again_at
            self._again_at = time.monotonic() + BACK_OFF_S
        if news:
            log.warning("rates_counted_alone", detail="The broker does not answer.", error=repr(error))


def _shared(broker_url: str) -> Limiter | None:
    if not broker_url.startswith(_BROKERS):
        return None
    options: dict[str, Any] = {
        "socket_timeout": PATIENCE_S,
        "socket_connect_timeout": PATIENCE_S,
        "retry": Retry(NoBackoff(), 0),
    }
    return Limiter(storage_from_string(broker_url, **options))


def _wait(limiter: Limiter, item: RateLimitItemPerMinute, kind: str, whose: str) -> float:
    return max(1.0, math.ceil(limiter.get_window_stats(item, kind, whose).reset_time - time.time()))
