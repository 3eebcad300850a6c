"""How far an adaptation is: the stages in their order, which of them is at work, and the seconds that each took."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.adaptations.states import State
from app.tables import AdaptationEventRow, AdaptationRow, utc_now

_ORDER = ("queued", "load", "repair", "finetune", "parts", "evaluate", "store", "done")
_OF = {"starting": "load", "heatmaps": "load", "split": "load", "repair cameras": "repair"}
_WORDS = {"parts": "in parts", "repair": "repair cameras"}


@dataclass(frozen=True)
class Step:
    """A stage: ``state`` is done, now, ahead, or how it ended here."""

    name: str
    state: str
    seconds: float | None


@dataclass(frozen=True)
class Begun:
    """When an attempt's stage was first and last told."""

    stage: str
    first: datetime
    last: datetime


def begun(session: Session, job: AdaptationRow) -> list[Begun]:
    """The stages that the last attempt told of, in the order in which they began."""
    event = AdaptationEventRow
    began = select(func.max(event.id)).where(event.adaptation_id == job.id, event.kind == State.RUNNING)
    since = session.scalar(began) or 0  # an attempt's number may come again, where a worker gave it back
    stage = event.data["stage"].as_string()
    query = (
        select(stage, func.min(event.created_at), func.max(event.created_at))
        .where(event.adaptation_id == job.id, event.kind == "progress", event.id > since)
        .group_by(stage)
    )
    found = [Begun(*row) for row in session.execute(query).all() if row[0]]
    return sorted(found, key=lambda one: one.first)


def steps(job: AdaptationRow, told: Sequence[Begun]) -> list[Step]:
    """The stepper of an adaptation."""
    seconds = _seconds(job, told)
    here = _here(job, told, seconds)
    shown = [name for name in _ORDER if _shown(name, job, seconds, here)]
    at = shown.index(here) if here in shown else 0
    ended = {State.FAILED: "failed", State.CANCELLED: "cancelled"}.get(State(job.state), "now")
    return [
        Step(_WORDS.get(name, name), _state(index, at, ended, job), seconds.get(name))
        for index, name in enumerate(shown)
    ]


def _state(index: int, at: int, ended: str, job: AdaptationRow) -> str:
    if job.state == State.SUCCEEDED or index < at:
        return "done"
    return ended if index == at else "ahead"


def _here(job: AdaptationRow, told: Sequence[Begun], seconds: Mapping[str, float]) -> str:
    """The stage at work, or where it ended."""
    if job.state == State.SUCCEEDED:
        return "done"
    if job.state == State.QUEUED or job.started_at is None:
        return "queued"
    if job.state == State.RUNNING:
        return _named(job.stage)
    spent = [name for name in _ORDER if name in seconds and name != "queued"]
    return _named(told[-1].stage) if told else spent[-1] if spent else "load"


def _shown(name: str, job: AdaptationRow, seconds: Mapping[str, float], here: str) -> bool:
    if name == "parts":
        return name in seconds or here == name
    if name == "repair":
        return name in seconds or here == name or (job.method == "metafuse" and job.state in {"queued", "running"})
    return True


def _seconds(job: AdaptationRow, told: Sequence[Begun]) -> dict[str, float]:
    """As the attempt told at its end; while it runs, by when its stages began."""
    seconds: dict[str, float] = {}
    if job.state == State.QUEUED and not job.attempt:
        seconds["queued"] = (utc_now() - job.created_at).total_seconds()
    elif job.started_at is not None:
        seconds["queued"] = max(0.0, (job.started_at - job.created_at).total_seconds())
    spent: Mapping[str, Any] = job.stage_seconds or {}
    if job.state == State.RUNNING or not spent:
        ends = [*(one.first for one in told[1:]), utc_now() if job.state == State.RUNNING else None]
        pairs = zip(told, ends, strict=False)
        spent = {one.stage: ((end or one.last) - one.first).total_seconds() for one, end in pairs}
    for stage, value in spent.items():
        if isinstance(value, int | float) and job.state != State.QUEUED:
            seconds[_named(stage)] = seconds.get(_named(stage), 0.0) + float(value)
    return seconds


def _named(stage: str) -> str:
    name = _OF.get(stage, stage)
    return name if name in _ORDER else "load"
