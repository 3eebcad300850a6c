"""Studios, keys, usage and audit; priorities, parts and workers; retention, pins and imported checkpoints."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0002"
down_revision: str | None = "0001"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

IDENTIFIER = sa.String(40)
SHA256 = sa.String(64)
STUDIO = sa.String(64)
OWNER = sa.String(200)
TIME = sa.DateTime(timezone=True)
COUNTER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
OWNED = ("rigs", "captures", "adaptations", "checkpoints")
INDEXES = {
    "adaptations": [["state", "priority", "created_at"]],
    "rigs": [["studio", "created_at"]],
    "captures": [["labels_sha256"], ["source_sha256"]],
    "checkpoints": [["artifact_sha256"]],
}
NEW_TABLES = ("rig_serving", "adaptation_parts", "workers", "totals", "key_usage", "api_keys", "audit")


def upgrade() -> None:
    """Widen the tables there are, then make the new ones."""
    for table in OWNED:
        with op.batch_alter_table(table) as batch:
            batch.add_column(sa.Column("studio", STUDIO, nullable=False, server_default=""))
    _widen_rigs_and_captures()
    _widen_adaptations()
    _widen_checkpoints()
    for table, indexes in INDEXES.items():
        for columns in indexes:
            op.create_index(op.f(_index(table, columns)), table, columns)
    _create_serving()
    _create_work()
    _create_access()


def downgrade() -> None:
    """Drop what came with this revision.

    What the first schema cannot hold goes too: imported checkpoints, and idempotency keys that several studios used.
    """
    for table in NEW_TABLES:
        op.drop_table(table)
    for table, indexes in INDEXES.items():
        for columns in indexes:
            op.drop_index(op.f(_index(table, columns)), table)
    _narrow_checkpoints()
    shared = "SELECT idempotency_key FROM adaptations GROUP BY idempotency_key HAVING count(*) > 1"
    op.execute(f"UPDATE adaptations SET idempotency_key = NULL WHERE studio <> '' AND idempotency_key IN ({shared})")  # noqa: S608
    with op.batch_alter_table("adaptations") as batch:
        batch.drop_constraint(op.f("uq_adaptations_studio_idempotency_key"), type_="unique")
        batch.create_unique_constraint(op.f("uq_adaptations_idempotency_key"), ["idempotency_key"])
        for column in ("priority", "request_id", "traceparent", "stage_seconds"):
            batch.drop_column(column)
    with op.batch_alter_table("rigs") as batch:
        batch.drop_column("capture_retention_days")
        batch.drop_column("checkpoints_kept")
    with op.batch_alter_table("captures") as batch:
        batch.drop_column("size_bytes")
        batch.drop_column("purged_at")
    for table in OWNED:
        with op.batch_alter_table(table) as batch:
            batch.drop_column("studio")


def _index(table: str, columns: Sequence[str]) -> str:
    return f"ix_{table}_{'_'.join(columns)}"


def _widen_rigs_and_captures() -> None:
    with op.batch_alter_table("rigs") as batch:
        batch.add_column(sa.Column("capture_retention_days", sa.Integer(), nullable=True))
        batch.add_column(sa.Column("checkpoints_kept", sa.Integer(), nullable=True))
    with op.batch_alter_table("captures") as batch:
        batch.add_column(sa.Column("size_bytes", sa.BigInteger(), nullable=False, server_default="0"))
        batch.add_column(sa.Column("purged_at", TIME, nullable=True))


def _widen_adaptations() -> None:
    with op.batch_alter_table("adaptations") as batch:
        batch.add_column(sa.Column("priority", sa.String(16), nullable=False, server_default="interactive"))
        batch.add_column(sa.Column("request_id", sa.String(64), nullable=False, server_default=""))
        batch.add_column(sa.Column("traceparent", sa.String(64), nullable=True))
        batch.add_column(sa.Column("stage_seconds", sa.JSON(), nullable=True))
        batch.drop_constraint(op.f("uq_adaptations_idempotency_key"), type_="unique")
        batch.create_unique_constraint(op.f("uq_adaptations_studio_idempotency_key"), ["studio", "idempotency_key"])


def _widen_checkpoints() -> None:
    with op.batch_alter_table("checkpoints") as batch:
        batch.alter_column("adaptation_id", existing_type=IDENTIFIER, nullable=True)
        batch.alter_column("capture_id", existing_type=IDENTIFIER, nullable=True)
        batch.add_column(sa.Column("origin", sa.JSON(), nullable=True))
        batch.add_column(sa.Column("pinned", sa.Boolean(), nullable=False, server_default=sa.false()))
        batch.add_column(sa.Column("purged_at", TIME, nullable=True))
    with op.batch_alter_table("activations") as batch:
        batch.add_column(sa.Column("actor", IDENTIFIER, nullable=False, server_default=""))
        batch.add_column(sa.Column("reason", sa.Text(), nullable=False, server_default=""))


def _narrow_checkpoints() -> None:
    imported = "SELECT id FROM checkpoints WHERE adaptation_id IS NULL OR capture_id IS NULL"
    op.execute(f"UPDATE rigs SET active_checkpoint_id = NULL WHERE active_checkpoint_id IN ({imported})")  # noqa: S608
    op.execute(f"DELETE FROM activations WHERE checkpoint_id IN ({imported})")  # noqa: S608
    op.execute("DELETE FROM checkpoints WHERE adaptation_id IS NULL OR capture_id IS NULL")
    with op.batch_alter_table("activations") as batch:
        batch.drop_column("actor")
        batch.drop_column("reason")
    with op.batch_alter_table("checkpoints") as batch:
        for column in ("origin", "pinned", "purged_at"):
            batch.drop_column(column)
        batch.alter_column("adaptation_id", existing_type=IDENTIFIER, nullable=False)
        batch.alter_column("capture_id", existing_type=IDENTIFIER, nullable=False)


def _create_serving() -> None:
    op.create_table(
        "rig_serving",
        sa.Column("rig_id", IDENTIFIER, nullable=False),
        sa.Column("checkpoint_id", IDENTIFIER, nullable=True),
        sa.Column("requests", sa.BigInteger(), nullable=False),
        sa.Column("frames", sa.BigInteger(), nullable=False),
        sa.Column("reprojection_px", sa.Double(), nullable=True),
        sa.Column("views_used", sa.Double(), nullable=True),
        sa.Column("last_request_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("rig_id", name=op.f("pk_rig_serving")),
        sa.ForeignKeyConstraint(["rig_id"], ["rigs.id"], name=op.f("fk_rig_serving_rig_id_rigs")),
    )


def _create_work() -> None:
    op.create_table(
        "adaptation_parts",
        sa.Column("id", COUNTER, autoincrement=True, nullable=False),
        sa.Column("adaptation_id", IDENTIFIER, nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("work", sa.JSON(), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("owner", OWNER, nullable=True),
        sa.Column("lease_expires_at", TIME, nullable=True),
        sa.Column("artifact_sha256", SHA256, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_adaptation_parts")),
        sa.ForeignKeyConstraint(
            ["adaptation_id"], ["adaptations.id"], name=op.f("fk_adaptation_parts_adaptation_id_adaptations")
        ),
        sa.UniqueConstraint("adaptation_id", "number", name=op.f("uq_adaptation_parts_adaptation_id_number")),
    )
    op.create_table(
        "workers",
        sa.Column("id", OWNER, nullable=False),
        sa.Column("host", sa.String(200), nullable=False),
        sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column("version", sa.String(40), nullable=False),
        sa.Column("device", sa.String(200), nullable=False),
        sa.Column("memory_total", sa.BigInteger(), nullable=True),
        sa.Column("memory_free", sa.BigInteger(), nullable=True),
        sa.Column("store", sa.String(64), nullable=False),
        sa.Column("adaptation_id", IDENTIFIER, nullable=True),
        sa.Column("started_at", TIME, nullable=False),
        sa.Column("seen_at", TIME, nullable=False),
        sa.Column("stopped_at", TIME, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_workers")),
    )
    op.create_index(op.f("ix_workers_seen_at"), "workers", ["seen_at"])
    op.create_table(
        "totals",
        sa.Column("name", sa.String(80), nullable=False),
        sa.Column("label", sa.String(120), nullable=False),
        sa.Column("value", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("name", "label", name=op.f("pk_totals")),
    )


def _create_access() -> None:
    op.create_table(
        "api_keys",
        sa.Column("id", IDENTIFIER, nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("studio", STUDIO, nullable=False),
        sa.Column("scopes", sa.JSON(), nullable=False),
        sa.Column("sha256", SHA256, nullable=False),
        sa.Column("hint", sa.String(16), nullable=False),
        sa.Column("requests_per_minute", sa.Integer(), nullable=True),
        sa.Column("frames_per_day", sa.Integer(), nullable=True),
        sa.Column("stored_bytes", sa.BigInteger(), nullable=True),
        sa.Column("created_by", IDENTIFIER, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("expires_at", TIME, nullable=True),
        sa.Column("last_used_at", TIME, nullable=True),
        sa.Column("revoked_at", TIME, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_keys")),
        sa.UniqueConstraint("sha256", name=op.f("uq_api_keys_sha256")),
    )
    op.create_table(
        "key_usage",
        sa.Column("key_id", IDENTIFIER, nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("requests", sa.BigInteger(), nullable=False),
        sa.Column("frames", sa.BigInteger(), nullable=False),
        sa.Column("upload_bytes", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("key_id", "day", name=op.f("pk_key_usage")),
        sa.ForeignKeyConstraint(["key_id"], ["api_keys.id"], name=op.f("fk_key_usage_key_id_api_keys")),
    )
    op.create_table(
        "audit",
        sa.Column("id", COUNTER, autoincrement=True, nullable=False),
        sa.Column("at", TIME, nullable=False),
        sa.Column("actor", IDENTIFIER, nullable=False),
        sa.Column("studio", STUDIO, nullable=False),
        sa.Column("action", sa.String(40), nullable=False),
        sa.Column("subject", IDENTIFIER, nullable=False),
        sa.Column("request_id", sa.String(64), nullable=False),
        sa.Column("detail", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit")),
    )
    for columns in (["at"], ["subject"]):
        op.create_index(op.f(_index("audit", columns)), "audit", columns)
