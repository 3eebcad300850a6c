"""Who may come in: a short queue, and bytes that are promised before they are taken.

What does not fit is refused at once with 503 ``busy`` and the seconds after which it should fit, before its body is
read. A client that goes away while it waits gives its place to the next.
"""

import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

from anyio import CapacityLimiter, WouldBlock, create_task_group, sleep
from starlette.requests import ClientDisconnect

from app.errors import ServiceUnavailable
from app.settings import Settings

IsGone = Callable[[], Awaitable[bool]]
_LOOK_S = 0.25  # how often those that wait are looked after
_FIRST_GUESS_S = 0.1
_STREAM_RETRY_S = 10.0
_SMOOTHING = 0.1
_MEMORY_PATIENCE_S = 10.0  # others finish, and free theirs, in a few seconds at most


class Admission:
    """The turns of one process, those that wait for one, and the bytes that all of them may take."""

    def __init__(self, settings: Settings) -> None:
        # More than compute at the same time come in: what waits inside is computed together (app.poses.batching).
        self.inside = settings.pose_concurrency + (settings.pose_batch if settings.pose_batch > 1 else 0)
        """Requests that may be in at the same time, each of them in a thread."""
        self._turns = CapacityLimiter(self.inside)
        self._queue = settings.pose_queue
        self._upload_bytes, self._largest_body = settings.pose_upload_bytes, settings.max_upload_bytes
        self._promised = self._streams = 0
        self._most_streams = settings.live_connections
        self._seconds = _FIRST_GUESS_S
        self.memory = Memory(settings.pose_memory)

    @property
    def waiting(self) -> int:
        """Requests that wait for a turn."""
        return self._turns.statistics().tasks_waiting

    @contextmanager
    def body(self, declared: str) -> Iterator[None]:
        """Promise room for a body of ``declared`` bytes, or of the most that may come where it is not said."""
        self._check_queue()
        size = min(int(declared), self._largest_body) if declared.isdecimal() else self._largest_body
        if self._promised and self._promised + size > self._upload_bytes:
            raise self._busy("More uploads are coming in than the service has room for")
        self._promised += size
        try:
            yield
        finally:
            self._promised -= size

    @asynccontextmanager
    async def turn(self, is_gone: IsGone) -> AsyncIterator[None]:
        """Wait for a turn; raises ServiceUnavailable where too many do, ClientDisconnect once nobody waits any more."""
        self._check_queue()
        borrower = object()
        await self._acquire(borrower, is_gone)
        started = time.perf_counter()
        try:
            yield
        finally:
            self._turns.release_on_behalf_of(borrower)
            self._seconds += _SMOOTHING * (time.perf_counter() - started - self._seconds)

    @contextmanager
    def stream(self) -> Iterator[None]:
        """A place for a stream of live frames; raises ServiceUnavailable where none is left."""
        if self._streams >= self._most_streams:
            detail = f"All {self._most_streams} places for live frames are taken; connect again later."
            raise ServiceUnavailable(detail, code="busy", retry_after_s=_STREAM_RETRY_S)
        self._streams += 1
        try:
            yield
        finally:
            self._streams -= 1

    async def _acquire(self, borrower: object, is_gone: IsGone) -> None:
        try:
            self._turns.acquire_on_behalf_of_nowait(borrower)
        except WouldBlock:
            pass
        else:
            return
        has_turn = False
        async with create_task_group() as group:

            async def leave_when_gone() -> None:
                while not await is_gone():
                    await sleep(_LOOK_S)
                group.cancel_scope.cancel()

            group.start_soon(leave_when_gone)
            await self._turns.acquire_on_behalf_of(borrower)
            has_turn = True
            group.cancel_scope.cancel()
        if not has_turn:
            raise ClientDisconnect

    def _check_queue(self) -> None:
        if self.waiting >= self._queue:
            raise self._busy("Too many pose requests wait")

    def _busy(self, why: str) -> ServiceUnavailable:
        retry_after = (self.waiting + 1) * self._seconds / self.inside
        return ServiceUnavailable(f"{why}; send this one again later.", code="busy", retry_after_s=retry_after)


class Memory:
    """Bytes that requests in progress may hold together; what needs more than all of it runs alone."""

    def __init__(self, limit: int) -> None:
        self._limit, self._held = limit, 0
        self._changed = threading.Condition()

    @contextmanager
    def hold(self, nbytes: int, patience_s: float = _MEMORY_PATIENCE_S) -> Iterator[None]:
        """Wait, in a thread, until there is room for so many bytes; raises ServiceUnavailable where none comes free."""
        need = min(nbytes, self._limit)
        with self._changed:
            if not self._changed.wait_for(lambda: self._held + need <= self._limit, patience_s):
                raise ServiceUnavailable(
                    "The memory for pose requests is taken; send this one again later.",
                    code="busy",
                    retry_after_s=patience_s,
                )
            self._held += need
        try:
            yield
        finally:
            with self._changed:
                self._held -= need
                self._changed.notify_all()
