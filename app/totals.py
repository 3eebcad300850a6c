"""Totals that workers add to in the transaction of what they count, and that any API process reads for Prometheus.

A histogram is kept as one row for each bucket that something fell into (not cumulated), a sum and a count.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import accumulate

from sqlalchemy import select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from app.tables import TotalRow

FAILURES = "job_failures"
"""Adaptations that failed, by cause: the code of the error, or of what ended the last attempt."""
ATTEMPTS = "job_attempts"
"""Attempts that ended, by outcome (app.adaptations.attempts.Outcome)."""
STAGE_SECONDS = "job_stage_seconds"
"""Histogram of the seconds that adaptations which succeeded spent in each stage, ``queued`` among them."""
BUCKETS_S = (0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0)

LAST_SWEEP = "last_sweep_at"
"""When a worker last swept to the end, in seconds since 1970."""

_BEYOND = "+Inf"
Amounts = Mapping[tuple[str, str], float]


@dataclass(frozen=True)
class Distribution:
    """A histogram as Prometheus wants it: (upper bound, how many are no more than that), and the sum of all."""

    buckets: tuple[tuple[str, float], ...]
    sum: float


def add(session: Session, name: str, label: str, value: float) -> None:
    """Add to one total, which begins at nothing."""
    add_all(session, {(name, label): value})


def add_all(session: Session, amounts: Amounts) -> None:
    """Add to many totals at once; their rows are locked in one order, so that two transactions never wait in a ring."""
    rows = [{"name": n, "label": label, "value": value} for (n, label), value in sorted(amounts.items())]
    if not rows:
        return
    dialect = postgresql if session.get_bind().dialect.name == "postgresql" else sqlite
    insert = dialect.insert(TotalRow).values(rows)
    raised = {"value": TotalRow.value + insert.excluded.value}
    session.execute(insert.on_conflict_do_update(index_elements=["name", "label"], set_=raised))


def put(session: Session, name: str, value: float) -> None:
    """Set a value that is no total, such as when something happened last."""
    dialect = postgresql if session.get_bind().dialect.name == "postgresql" else sqlite
    insert = dialect.insert(TotalRow).values(name=name, label="", value=value)
    session.execute(insert.on_conflict_do_update(index_elements=["name", "label"], set_={"value": value}))


def observed(name: str, seconds: Mapping[str, float]) -> dict[tuple[str, str], float]:
    """What to add to the histogram ``name`` where every label was seen once, at so many seconds."""
    amounts: dict[tuple[str, str], float] = {}
    for label, value in seconds.items():
        bound = next((f"{limit:g}" for limit in BUCKETS_S if value <= limit), _BEYOND)
        amounts |= {
            (f"{name}_bucket", f"{label}|{bound}"): 1,
            (f"{name}_sum", label): value,
            (f"{name}_count", label): 1,
        }
    return amounts


def read(session: Session, name: str) -> dict[str, float]:
    """A total by its labels."""
    rows = session.execute(select(TotalRow.label, TotalRow.value).where(TotalRow.name == name))
    return {row.label: row.value for row in rows}


def read_histogram(session: Session, name: str) -> dict[str, Distribution]:
    """A histogram by its labels."""
    found, sums = read(session, f"{name}_bucket"), read(session, f"{name}_sum")
    bounds = [*(f"{limit:g}" for limit in BUCKETS_S), _BEYOND]
    return {label: Distribution(_cumulated(label, bounds, found), total) for label, total in sorted(sums.items())}


def median(distribution: Distribution) -> float:
    """About the middle value: where the middle count falls between the bounds of its bucket."""
    bounds = [(float(bound), count) for bound, count in distribution.buckets]
    half, below, seen = bounds[-1][1] / 2, 0.0, 0.0
    for bound, count in bounds:
        if count >= half and count > seen:
            within = (half - seen) / (count - seen)
            return below + within * ((bound if bound != float("inf") else 2 * below) - below)
        below, seen = bound, count
    return 0.0


def _cumulated(label: str, bounds: Iterable[str], found: Mapping[str, float]) -> tuple[tuple[str, float], ...]:
    bounds = list(bounds)
    return tuple(zip(bounds, accumulate(found.get(f"{label}|{bound}", 0.0) for bound in bounds), strict=True))
