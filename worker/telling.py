"""What is told of an attempt while it runs: its log lines name rig and request, its spans join the request's trace."""

from collections.abc import Iterator
from contextlib import contextmanager

import structlog

from app import tracing
from app.adaptations.leases import Claim
from app.db import Database
from app.tables import AdaptationRow


@contextmanager
def telling(database: Database, claim: Claim) -> Iterator[None]:
    """Bind the attempt's names to every line that is logged in the block, and make it a span of the request's trace."""
    with database.read_session() as session:
        job = session.get_one(AdaptationRow, claim.adaptation_id)
    names: dict[str, str | int] = {
        "adaptation": job.id,
        "rig": job.rig_id,
        "attempt": claim.attempt,
        "request_id": job.request_id,
    }
    attributes = {f"rigfuse.{name}": value for name, value in names.items()} | {"rigfuse.method": job.method}
    with (
        structlog.contextvars.bound_contextvars(**names),
        tracing.continued(job.traceparent, "adaptation", attributes),
    ):
        yield
