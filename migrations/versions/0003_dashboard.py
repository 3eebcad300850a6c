"""What the dashboard sorts by, people who signed in, and frames of requests that are kept to be looked at."""

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from alembic import op

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
_BATCH = 200


def upgrade() -> None:
    """Add the columns, fill them from the documents there are, and make the new tables."""
    with op.batch_alter_table("rigs") as batch:
        batch.add_column(sa.Column("camera_count", sa.Integer(), nullable=False, server_default="0"))
        batch.add_column(sa.Column("request_frames_kept", sa.Integer(), nullable=False, server_default="0"))
    with op.batch_alter_table("checkpoints") as batch:
        for column in SCORES:
            batch.add_column(sa.Column(column, sa.Double(), nullable=True))
    _fill("rigs", "document", ["camera_count"], lambda document: {"camera_count": len(document.get("cameras", ()))})
    _fill("checkpoints", "manifest", list(SCORES), _scores)
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
    with op.batch_alter_table("checkpoints") as batch:
        for column in SCORES:
            batch.drop_column(column)
    with op.batch_alter_table("rigs") as batch:
        batch.drop_column("camera_count")
        batch.drop_column("request_frames_kept")


def _fill(table: str, document: str, columns: Sequence[str], read: Any) -> None:
    """Write what ``read`` finds in each row's document, some rows at a time: the documents are large."""
    rows = sa.table(table, sa.column("id"), sa.column(document, sa.JSON()), *(sa.column(name) for name in columns))
    connection, after = op.get_bind(), ""
    while True:
        query = sa.select(rows.c.id, rows.c[document]).where(rows.c.id > after).order_by(rows.c.id).limit(_BATCH)
        found = connection.execute(query).all()
        for key, value in found:
            connection.execute(sa.update(rows).where(rows.c.id == key).values(read(value or {})))
        if len(found) < _BATCH:
            return
        after = found[-1][0]


def _scores(manifest: Mapping[str, Any]) -> dict[str, Any]:
    metrics = manifest.get("metrics") or {}
    return {column: (metrics.get(system) or {}).get(score) for column, (system, score) in SCORES.items()}
