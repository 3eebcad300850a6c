"""The first schema: rigs, captures, adaptations with their events, checkpoints, activations."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0001"
down_revision: str | None = None
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

IDENTIFIER = sa.String(40)
SHA256 = sa.String(64)
TIME = sa.DateTime(timezone=True)
COUNTER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Create every table, then the two references that close a circle."""
    _create_rigs()
    _create_captures()
    _create_adaptations()
    _create_checkpoints()
    _create_histories()
    with op.batch_alter_table("rigs") as batch:
        batch.create_foreign_key(
            op.f("fk_rigs_active_checkpoint_id_checkpoints"), "checkpoints", ["active_checkpoint_id"], ["id"]
        )
    with op.batch_alter_table("adaptations") as batch:
        batch.create_foreign_key(
            op.f("fk_adaptations_checkpoint_id_checkpoints"), "checkpoints", ["checkpoint_id"], ["id"]
        )


def downgrade() -> None:
    """Drop everything, the circular references first."""
    with op.batch_alter_table("adaptations") as batch:
        batch.drop_constraint(op.f("fk_adaptations_checkpoint_id_checkpoints"), type_="foreignkey")
    with op.batch_alter_table("rigs") as batch:
        batch.drop_constraint(op.f("fk_rigs_active_checkpoint_id_checkpoints"), type_="foreignkey")
    for table in ("activations", "adaptation_events", "checkpoints", "adaptations", "captures", "rigs"):
        op.drop_table(table)


def _create_rigs() -> None:
    op.create_table(
        "rigs",
        sa.Column("id", IDENTIFIER, nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("notes", sa.Text(), nullable=False),
        sa.Column("tags", sa.JSON(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("digest", SHA256, nullable=False),
        sa.Column("document", sa.JSON(), nullable=False),
        sa.Column("active_checkpoint_id", IDENTIFIER, nullable=True),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("archived_at", TIME, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_rigs")),
    )
    op.create_index(op.f("ix_rigs_created_at_id"), "rigs", ["created_at", "id"])


def _create_captures() -> None:
    op.create_table(
        "captures",
        sa.Column("id", IDENTIFIER, nullable=False),
        sa.Column("rig_id", IDENTIFIER, nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("digest", SHA256, nullable=False),
        sa.Column("frames", sa.Integer(), nullable=False),
        sa.Column("labelled_joints", sa.Integer(), nullable=False),
        sa.Column("coverage", sa.JSON(), nullable=False),
        sa.Column("warnings", sa.JSON(), nullable=False),
        sa.Column("labels_sha256", SHA256, nullable=False),
        sa.Column("source_sha256", SHA256, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_captures")),
        sa.ForeignKeyConstraint(["rig_id"], ["rigs.id"], name=op.f("fk_captures_rig_id_rigs")),
    )
    op.create_index(op.f("ix_captures_rig_id_created_at"), "captures", ["rig_id", "created_at"])


def _create_adaptations() -> None:
    op.create_table(
        "adaptations",
        sa.Column("id", IDENTIFIER, nullable=False),
        sa.Column("rig_id", IDENTIFIER, nullable=False),
        sa.Column("capture_id", IDENTIFIER, nullable=False),
        sa.Column("method", sa.String(40), nullable=False),
        sa.Column("seed", sa.BigInteger(), nullable=False),
        sa.Column("options", sa.JSON(), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("stage", sa.String(80), nullable=False),
        sa.Column("progress", sa.Double(), nullable=False),
        sa.Column("eta_s", sa.Double(), nullable=True),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("metrics", sa.JSON(), nullable=True),
        sa.Column("error", sa.JSON(), nullable=True),
        sa.Column("checkpoint_id", IDENTIFIER, nullable=True),
        sa.Column("idempotency_key", sa.String(200), nullable=True),
        sa.Column("cancel_requested", sa.Boolean(), nullable=False),
        sa.Column("lease_owner", sa.String(200), nullable=True),
        sa.Column("lease_expires_at", TIME, nullable=True),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("started_at", TIME, nullable=True),
        sa.Column("finished_at", TIME, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_adaptations")),
        sa.ForeignKeyConstraint(["rig_id"], ["rigs.id"], name=op.f("fk_adaptations_rig_id_rigs")),
        sa.ForeignKeyConstraint(["capture_id"], ["captures.id"], name=op.f("fk_adaptations_capture_id_captures")),
        sa.UniqueConstraint("idempotency_key", name=op.f("uq_adaptations_idempotency_key")),
    )
    for columns in (["created_at", "id"], ["state", "lease_expires_at"], ["rig_id", "created_at"]):
        op.create_index(op.f(f"ix_adaptations_{'_'.join(columns)}"), "adaptations", columns)


def _create_checkpoints() -> None:
    op.create_table(
        "checkpoints",
        sa.Column("id", IDENTIFIER, nullable=False),
        sa.Column("rig_id", IDENTIFIER, nullable=False),
        sa.Column("adaptation_id", IDENTIFIER, nullable=False),
        sa.Column("capture_id", IDENTIFIER, nullable=False),
        sa.Column("method", sa.String(40), nullable=False),
        sa.Column("seed", sa.BigInteger(), nullable=False),
        sa.Column("artifact_sha256", SHA256, nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("manifest", sa.JSON(), nullable=False),
        sa.Column("promoted", sa.Boolean(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_checkpoints")),
        sa.ForeignKeyConstraint(["rig_id"], ["rigs.id"], name=op.f("fk_checkpoints_rig_id_rigs")),
        sa.ForeignKeyConstraint(
            ["adaptation_id"], ["adaptations.id"], name=op.f("fk_checkpoints_adaptation_id_adaptations")
        ),
        sa.ForeignKeyConstraint(["capture_id"], ["captures.id"], name=op.f("fk_checkpoints_capture_id_captures")),
        sa.UniqueConstraint("adaptation_id", name=op.f("uq_checkpoints_adaptation_id")),
    )
    op.create_index(op.f("ix_checkpoints_rig_id_created_at"), "checkpoints", ["rig_id", "created_at"])


def _create_histories() -> None:
    op.create_table(
        "adaptation_events",
        sa.Column("id", COUNTER, autoincrement=True, nullable=False),
        sa.Column("adaptation_id", IDENTIFIER, nullable=False),
        sa.Column("kind", sa.String(40), nullable=False),
        sa.Column("data", sa.JSON(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_adaptation_events")),
        sa.ForeignKeyConstraint(
            ["adaptation_id"], ["adaptations.id"], name=op.f("fk_adaptation_events_adaptation_id_adaptations")
        ),
    )
    op.create_index(op.f("ix_adaptation_events_adaptation_id_id"), "adaptation_events", ["adaptation_id", "id"])
    op.create_table(
        "activations",
        sa.Column("id", COUNTER, autoincrement=True, nullable=False),
        sa.Column("rig_id", IDENTIFIER, nullable=False),
        sa.Column("checkpoint_id", IDENTIFIER, nullable=True),
        sa.Column("action", sa.String(16), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_activations")),
        sa.ForeignKeyConstraint(["rig_id"], ["rigs.id"], name=op.f("fk_activations_rig_id_rigs")),
        sa.ForeignKeyConstraint(
            ["checkpoint_id"], ["checkpoints.id"], name=op.f("fk_activations_checkpoint_id_checkpoints")
        ),
    )
    op.create_index(op.f("ix_activations_rig_id_id"), "activations", ["rig_id", "id"])
