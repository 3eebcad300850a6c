"""Rows for tests of jobs, put straight into the database."""

from typing import Any

from sqlalchemy import select

from app.adaptations.states import State
from app.db import Database
from app.tables import AdaptationEventRow, AdaptationRow, CaptureRow, RigRow, new_id

NOTHING = "0" * 64


def add_rig(database: Database, document: dict[str, Any] | None = None) -> str:
    """A rig; without a document one that no engine can read."""
    row = RigRow(id=new_id("rig"), name="studio", digest=NOTHING, document=document or {})
    with database.session() as session:
        session.add(row)
    return row.id


def add_capture(database: Database, rig_id: str, **values: Any) -> str:
    """A capture; without artifacts unless they are given."""
    defaults = {
        "kind": "heatmaps", "digest": NOTHING, "frames": 1, "labelled_joints": 1, "coverage": {}, "warnings": [],
        "labels_sha256": NOTHING, "source_sha256": NOTHING,
    }  # fmt: skip
    row = CaptureRow(id=new_id("cap"), rig_id=rig_id, **{**defaults, **values})
    with database.session() as session:
        session.add(row)
    return row.id


def add_job(database: Database, rig_id: str | None = None, capture_id: str | None = None, **values: Any) -> str:
    """A queued adaptation, with a rig and a capture of its own unless they are given."""
    rig_id = rig_id or add_rig(database)
    capture_id = capture_id or add_capture(database, rig_id)
    defaults = {"method": "metafuse", "seed": 0, "options": {}, "state": State.QUEUED}
    row = AdaptationRow(id=new_id("ada"), rig_id=rig_id, capture_id=capture_id, **{**defaults, **values})
    with database.session() as session:
        session.add(row)
    return row.id


def get_job(database: Database, adaptation_id: str) -> AdaptationRow:
    """The adaptation as it stands."""
    with database.read_session() as session:
        return session.get_one(AdaptationRow, adaptation_id)


def events_of(database: Database, adaptation_id: str) -> list[AdaptationEventRow]:
    """Its events, in order."""
    query = select(AdaptationEventRow).where(AdaptationEventRow.adaptation_id == adaptation_id)
    with database.read_session() as session:
        return list(session.scalars(query.order_by(AdaptationEventRow.id)))
