"""The log of an adaptation's events as its page shows it: newest first, in words, one line for each stage."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.adaptations import curves
from app.adaptations.states import State
from app.dashboard.adaptation.stages import Begun
from app.tables import AdaptationEventRow
from app.told import mapping, text

_MOST = 100
_TONES = {State.SUCCEEDED: "good", State.FAILED: "bad", State.CANCELLED: "quiet", "waiting": "warn"}


@dataclass(frozen=True)
class Entry:
    """One line."""

    at: datetime
    kind: str
    told: str
    tone: str = ""


def entries(session: Session, adaptation_id: str, begun: Sequence[Begun]) -> list[Entry]:
    """The newest events; of the many reports of progress only where a stage began."""
    query = (
        select(AdaptationEventRow)
        .where(
            AdaptationEventRow.adaptation_id == adaptation_id,
            AdaptationEventRow.kind.not_in(["progress", curves.KIND]),
        )
        .order_by(AdaptationEventRow.id.desc())
        .limit(_MOST)
    )
    told = [_entry(event) for event in session.scalars(query)]
    told += [Entry(one.first, "stage", f"Stage “{one.stage}” began.") for one in begun]
    return sorted(told, key=lambda entry: entry.at, reverse=True)


def _entry(event: AdaptationEventRow) -> Entry:
    data = event.data
    return Entry(event.created_at, event.kind.replace("_", " "), _words(event.kind, data), _tone(event.kind, data))


def _tone(kind: str, data: Mapping[str, Any]) -> str:
    if kind == State.QUEUED and data.get("reason"):
        return "warn"
    return _TONES.get(kind, "")


def _words(kind: str, data: Mapping[str, Any]) -> str:
    reason = text(data.get("reason")) or text(mapping(data.get("error")).get("detail"))
    promoted = ", and promoted" if data.get("promoted") else ""
    known = {
        State.QUEUED: f"Queued again: {reason}" if reason else "Asked for, and queued.",
        State.RUNNING: f"Attempt {data.get('attempt', '?')} began.",
        State.SUCCEEDED: f"Checkpoint {data.get('checkpoint', '')} was stored{promoted}.",
        "cancel_requested": "Somebody asked it to stop; it does so at its next step.",
        "fanned_out": f"Spread over the workers in {data.get('parts', 'several')} parts.",
    }
    if kind == State.QUEUED and data.get("retry_of"):
        return f"Asked for again, as {data['retry_of']} was."
    return known.get(kind) or reason or f"{kind.replace('_', ' ').capitalize()}."
