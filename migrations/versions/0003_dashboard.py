"""What the dashboard sorts by, people who signed in, and frames of requests that are kept to be looked at."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import sqlalchemy as sa
from alembic import op
from alembic.operations import BatchOperations

revision: str = "0003"
down_revision: str | None = "0002"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

IDENTIFIER = sa.String(40)
SHA256 = sa.String(64)
TIME = sa.DateTime(timezone=True)
COUNTER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
SCORES = {
    f"{score}_{when}": (system, score)
    for score in ("jdr", "reprojection_px", "mpjpe_mm")
    for when, system in (("before", "no_fusion"), ("after", "fused"))
}
MEASURES = (*SCORES, "held_out_px")
NEWS = {"captures": "created_at", "rig_serving": "last_request_at"}
"""What open pages ask for again and again: whether anything is newer than what they show."""
_NEWEST = "ix_adaptations_rig_id_created_at_state"
_PROMOTED = "ix_checkpoints_promoted_adaptation_id"
_BATCH = 200


def upgrade() -> None:
    """Add the columns, fill them from the documents there are, and make the new tables."""
    with _rebuilt("rigs", ["active_checkpoint_id", "archived_at", "created_at", "document"]) as batch:
        batch.add_column(sa.Column("camera_count", sa.Integer(), nullable=False, server_default="0"))
        batch.add_column(sa.Column("search_text", sa.Text(), nullable=False, server_default=""))
        batch.add_column(sa.Column("request_frames_kept", sa.Integer(), nullable=False, server_default="0"))
    with _rebuilt("checkpoints", ["promoted", "created_at", *MEASURES, "purged_at", "manifest"]) as batch:
        for column in MEASURES:
            batch.add_column(sa.Column(column, sa.Double(), nullable=True))
    _fill("rigs", ["document", "name", "studio", "tags"], ["camera_count", "search_text"], _of_rig)
    _fill("checkpoints", ["manifest"], list(MEASURES), _scores)
    # The newest adaptation of a rig and what became of it, told by the index alone.
    op.create_index(op.f(_NEWEST), "adaptations", ["rig_id", "created_at", "state"])
    op.drop_index(op.f("ix_adaptations_rig_id_created_at"), "adaptations")
    op.create_index(op.f(_PROMOTED), "checkpoints", ["promoted", "adaptation_id"])
    for table, column in NEWS.items():
        op.create_index(op.f(f"ix_{table}_{column}"), table, [column])
    op.create_table(
        "browser_sessions",
        sa.Column("sha256", SHA256, nullable=False),
        sa.Column("key_sha256", SHA256, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("expires_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("sha256", name=op.f("pk_browser_sessions")),
    )
    op.create_index(op.f("ix_browser_sessions_expires_at"), "browser_sessions", ["expires_at"])
    op.create_table(
        "request_frames",
        sa.Column("id", COUNTER, autoincrement=True, nullable=False),
        sa.Column("rig_id", IDENTIFIER, nullable=False),
        sa.Column("checkpoint_id", IDENTIFIER, nullable=True),
        sa.Column("frame", sa.String(128), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("source_sha256", SHA256, nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_request_frames")),
        sa.ForeignKeyConstraint(["rig_id"], ["rigs.id"], name=op.f("fk_request_frames_rig_id_rigs")),
    )
    op.create_index(op.f("ix_request_frames_rig_id_id"), "request_frames", ["rig_id", "id"])
    op.create_index(op.f("ix_request_frames_source_sha256"), "request_frames", ["source_sha256"])


def downgrade() -> None:
    """Drop what came with this revision; the bytes of kept frames go with the next housekeeping."""
    op.drop_table("request_frames")
    op.drop_table("browser_sessions")
    op.create_index(op.f("ix_adaptations_rig_id_created_at"), "adaptations", ["rig_id", "created_at"])
    op.drop_index(op.f(_NEWEST), "adaptations")
    op.drop_index(op.f(_PROMOTED), "checkpoints")
    for table, column in NEWS.items():
        op.drop_index(op.f(f"ix_{table}_{column}"), table)
    with op.batch_alter_table("checkpoints") as batch:
        for column in MEASURES:
            batch.drop_column(column)
    with op.batch_alter_table("rigs") as batch:
        for column in ("camera_count", "search_text", "request_frames_kept"):
            batch.drop_column(column)


def _rebuilt(table: str, order: list[str]) -> AbstractContextManager[BatchOperations]:
    """SQLite's table anew with its large document last: what stands behind one is only reached through all of it."""
    on_sqlite = op.get_bind().dialect.name == "sqlite"
    return op.batch_alter_table(table, recreate="always" if on_sqlite else "auto", partial_reordering=[tuple(order)])


def _fill(
    table: str, sources: Sequence[str], columns: Sequence[str], read: Callable[[sa.Row[Any]], dict[str, Any]]
) -> None:
    """Write what ``read`` finds in each row, some rows at a time: the documents are large."""
    kinds = {"document": sa.JSON(), "manifest": sa.JSON(), "tags": sa.JSON()}
    rows = sa.table(table, *(sa.column(name, kinds.get(name)) for name in ("id", *sources, *columns)))
    connection, after = op.get_bind(), ""
    while True:
        query = sa.select(rows.c.id, *(rows.c[name] for name in sources)).where(rows.c.id > after)
        found = connection.execute(query.order_by(rows.c.id).limit(_BATCH)).all()
        for row in found:
            connection.execute(sa.update(rows).where(rows.c.id == row.id).values(read(row)))
        if len(found) < _BATCH:
            return
        after = found[-1].id


def _of_rig(row: sa.Row[Any]) -> dict[str, Any]:
    sought = "\n".join([row.name, row.studio, row.id, *row.tags]).casefold()
    return {"camera_count": len((row.document or {}).get("cameras", ())), "search_text": sought}


def _scores(row: sa.Row[Any]) -> dict[str, Any]:
    metrics = _object(_object(row.manifest).get("metrics"))
    fused = _object(metrics.get("fused"))
    told = {column: _number(_object(metrics.get(system)).get(score)) for column, (system, score) in SCORES.items()}
    held_out = _number(fused.get("reprojection_median_px")) or _number(fused.get("reprojection_px"))
    return {**told, "held_out_px": held_out or None}


def _object(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
