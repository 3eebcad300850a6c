"""A database of the first schema keeps every row on its way to the newest one, and back."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import MetaData, select, text

from app.checkpoints.activation import Action, activate, locked_rig, rollback_stack
from app.db import Database
from app.settings import Settings
from app.tables import (
    ActivationRow,
    AdaptationEventRow,
    AdaptationRow,
    CaptureRow,
    CheckpointRow,
    RigRow,
)

WHEN = datetime(2026, 5, 4, 3, 2, 1, 500_000, UTC)
DIGEST = "a" * 64
FIRST: dict[str, dict[str, Any]] = {
    "rigs": {
        "id": "rig_1", "name": "Halle »A«", "notes": "n", "tags": ["x"], "revision": 1, "digest": DIGEST,
        "document": {"joints": "coco17", "cameras": [{}, {}]}, "created_at": WHEN,
    },
    "captures": {
        "id": "cap_1", "rig_id": "rig_1", "kind": "images", "digest": DIGEST, "frames": 7, "labelled_joints": 70,
        "coverage": {"cam01": 0.5}, "warnings": ["w"], "labels_sha256": DIGEST, "source_sha256": DIGEST,
        "created_at": WHEN,
    },
    "adaptations": {
        "id": "ada_1", "rig_id": "rig_1", "capture_id": "cap_1", "method": "metafuse", "seed": 5,
        "options": {"steps": 1},
        "state": "succeeded", "stage": "done", "progress": 1.0, "attempt": 2, "metrics": {"fused": {"jdr": 0.9}},
        "idempotency_key": "monday", "cancel_requested": False, "created_at": WHEN, "finished_at": WHEN,
    },
    "checkpoints": {
        "id": "ckp_1", "rig_id": "rig_1", "adaptation_id": "ada_1", "capture_id": "cap_1", "method": "metafuse",
        "seed": 5, "artifact_sha256": DIGEST, "size_bytes": 9, "promoted": True,
        "manifest": {"metrics": {
            "no_fusion": {"jdr": 0.7, "mpjpe_mm": None}, "fused": {"jdr": 0.9, "reprojection_median_px": 4},
        }},
        "reason": "better", "created_at": WHEN,
    },
    "adaptation_events": {"adaptation_id": "ada_1", "kind": "queued", "data": {"state": "queued"}, "created_at": WHEN},
    "activations": {"rig_id": "rig_1", "checkpoint_id": "ckp_1", "action": "promoted", "created_at": WHEN},
}  # fmt: skip


@pytest.fixture
def database(empty_url: str) -> Iterator[Database]:
    """At the first schema, with a row in every table."""
    made = Database(Settings(database_url=empty_url).database_url)
    made.upgrade("0001")
    tables = reflected(made)
    assert set(tables) - {"alembic_version"} == set(FIRST)
    with made.engine.begin() as connection:
        for name, values in FIRST.items():
            connection.execute(tables[name].insert().values(values))
        connection.execute(text("UPDATE rigs SET active_checkpoint_id = 'ckp_1'"))
        connection.execute(text("UPDATE adaptations SET checkpoint_id = 'ckp_1'"))
    yield made
    made.dispose()


def reflected(database: Database) -> dict[str, Any]:
    metadata = MetaData()
    metadata.reflect(database.engine)
    return dict(metadata.tables)


def rows(database: Database) -> dict[str, list[dict[str, Any]]]:
    tables = reflected(database)
    with database.engine.connect() as connection:
        return {name: [dict(row) for row in connection.execute(tables[name].select()).mappings()] for name in FIRST}


def test_every_row_is_there_after_the_upgrade(database: Database) -> None:
    database.upgrade()
    with database.read_session() as session:
        found = {
            row.__tablename__: row
            for table in (RigRow, CaptureRow, AdaptationRow, CheckpointRow, AdaptationEventRow, ActivationRow)
            for row in session.scalars(select(table)).all()
        }
    for name, values in FIRST.items():
        assert {field: getattr(found[name], field) for field in values} == values
    rig, capture, checkpoint = found["rigs"], found["captures"], found["checkpoints"]
    assert (rig.studio, rig.active_checkpoint_id, rig.capture_retention_days) == ("", "ckp_1", None)
    assert (capture.studio, capture.size_bytes, capture.purged_at) == ("", 0, None)
    assert (rig.camera_count, rig.request_frames_kept) == (2, 0)
    assert rig.search_text == "halle »a«\n\nrig_1\nx"
    scores = (checkpoint.jdr_before, checkpoint.jdr_after, checkpoint.mpjpe_mm_before, checkpoint.reprojection_px_after)
    assert scores == (0.7, 0.9, None, None)
    assert checkpoint.held_out_px == 4.0
    assert (checkpoint.pinned, checkpoint.purged_at, checkpoint.origin) == (False, None, None)
    assert (found["adaptations"].priority, found["adaptations"].checkpoint_id) == ("interactive", "ckp_1")
    assert (found["activations"].actor, found["activations"].reason) == ("", "")


def test_going_back_gives_the_first_rows_again(database: Database) -> None:
    before = rows(database)
    database.upgrade()
    with database.session() as session:
        imported = CheckpointRow(
            id="ckp_2", rig_id="rig_1", origin={"key": DIGEST}, method="metafuse", seed=0, artifact_sha256=DIGEST,
            size_bytes=1, manifest={},
        )  # fmt: skip
        theirs = AdaptationRow(
            id="ada_2", studio="north", rig_id="rig_1", capture_id="cap_1", method="metafuse", seed=0,
            idempotency_key="monday",
        )  # fmt: skip
        session.add_all([imported, theirs])
        session.flush()
        activate(session, locked_rig(session, "rig_1"), "ckp_2", Action.ACTIVATED, "try it")
        assert rollback_stack(session, "rig_1") == ["ckp_1", "ckp_2"]
    database.downgrade("0001")
    after = rows(database)
    # What was imported cannot be held there, and so nothing serves the rig that it served.
    assert after.pop("rigs") == [{**before.pop("rigs")[0], "active_checkpoint_id": None}]
    # Two studios had one key, of which the first schema holds one.
    keys = {row["id"]: row["idempotency_key"] for row in after["adaptations"]}
    assert keys == {"ada_1": "monday", "ada_2": None}
    after["adaptations"] = [row for row in after["adaptations"] if row["id"] == "ada_1"]
    assert after == before
    database.upgrade()
    with database.read_session() as session:
        assert session.get_one(CaptureRow, "cap_1").frames == 7
