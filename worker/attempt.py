"""One attempt at an adaptation as the engine sees it: a callback that reports, and that raises when to stop."""

import contextvars
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType

import structlog
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from app import tracing
from app.adaptations import curves, leases
from app.adaptations.leases import Claim, LeaseLost
from models.curves import Point
from models.errors import Cancelled
from worker.context import WorkerContext
from worker.curves import Waiting
from worker.stageclock import StageClock

REPORT_EVERY_S = 0.5
_ETA_FROM = 0.02  # a remaining time read from less progress than this is noise

log = structlog.get_logger()


class WorkerStopping(Exception):
    """This worker has to end: the adaptation goes back into the queue."""


class Attempt:
    """Keeps a claim alive from a thread of its own while the engine computes.

    Use as a context manager, and as the engine's progress callback: ``attempt(stage, fraction)`` raises Cancelled,
    LeaseLost or WorkerStopping when the engine has to stop.
    """

    def __init__(self, context: WorkerContext, claim: Claim, spent: Mapping[str, float] | None = None) -> None:
        self._context = context
        self.claim = claim
        self._began = self._renewed = time.monotonic()
        self._reported = -REPORT_EVERY_S
        self._cancelled, self._lost, self._over = threading.Event(), threading.Event(), threading.Event()
        named = contextvars.copy_context()  # the thread's log lines tell whose they are
        self._heartbeat = threading.Thread(target=named.run, args=(self._keep,), name="heartbeat", daemon=True)
        self._stages = tracing.Stages()
        self._waiting = Waiting()
        self.clock = StageClock("load", spent or {})

    def __enter__(self) -> "Attempt":
        self._heartbeat.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._heartbeat.join()
        self._stages.end()

    def __call__(self, stage: str, fraction: float) -> None:
        """Report progress, at most twice a second."""
        self.check()
        self._stages.enter(stage)
        self.clock.enter(stage)
        now = time.monotonic()
        if now - self._reported < REPORT_EVERY_S:
            return
        self._reported = now
        self._report(stage, min(max(fraction, 0.0), 1.0), now - self._began)
        self.check()

    def observe(self, point: Point) -> None:
        """Take a point of a learning curve, which is written with the next report."""
        self._waiting.add(point)

    def tell_rest(self) -> None:
        """Write what no report has told of the learning curves."""
        told = self._waiting.curves()
        if told:
            with self._reporting() as session:
                if leases.renew(session, self.claim, self._context.settings.lease_s):
                    self._cancelled.set()
                curves.write(session, self.claim.adaptation_id, self.claim.attempt, told)

    def check(self) -> None:
        """Raise when the engine has to stop."""
        if self._cancelled.is_set():
            raise Cancelled("cancelled by request")
        if self._lost.is_set():
            raise LeaseLost(self.claim.adaptation_id)
        if self._context.stopping.is_set():
            raise WorkerStopping

    def _report(self, stage: str, fraction: float, elapsed: float) -> None:
        eta = round(elapsed * (1 - fraction) / fraction, 1) if fraction >= _ETA_FROM else None
        with self._reporting() as session:
            if self._write_report(session, stage, round(fraction, 4), eta):
                self._cancelled.set()

    @contextmanager
    def _reporting(self) -> Iterator[Session]:
        """A session for a report, which may be missed; whether the lease still holds is for the heartbeat to say."""
        try:
            with self._context.db.session() as session:
                yield session
            self._waiting.written()
        except LeaseLost:
            self._lost.set()
        except SQLAlchemyError as error:
            log.warning("progress was not written", id=self.claim.adaptation_id, error=str(error))

    def _write_report(self, session: Session, stage: str, fraction: float, eta: float | None) -> bool:
        cancel = leases.report(session, self.claim, stage, fraction, eta)
        curves.write(session, self.claim.adaptation_id, self.claim.attempt, self._waiting.curves())
        return cancel

    def _keep_lease(self, session: Session, lease_s: float) -> bool:
        return leases.renew(session, self.claim, lease_s)

    def _keep(self) -> None:
        while not self._over.wait(self._context.settings.heartbeat_s):
            self._renew()

    def _renew(self) -> None:
        lease_s = self._context.settings.lease_s
        try:
            with self._context.db.session() as session:
                if self._keep_lease(session, lease_s):
                    self._cancelled.set()
            self._renewed = time.monotonic()
        except LeaseLost:
            if not self._over.is_set():
                self._lost.set()
        except Exception as error:  # whatever it was, this thread lives: nobody else tells the engine to stop
            log.warning("the lease was not renewed", id=self.claim.adaptation_id, error=str(error))
            if time.monotonic() - self._renewed > lease_s:
                self._lost.set()  # by now another worker may rightly have taken over
