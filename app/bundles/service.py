"""Making a bundle of a checkpoint, and taking one in: everything is checked before anything is kept."""

import json
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError
from sqlalchemy import select
from sqlalchemy.orm import Session

from app import audit
from app.access.principal import acting
from app.artifacts import Artifacts
from app.bundles.format import Bundle, fingerprint, read, write
from app.bundles.keys import signing_key, trusted_keys
from app.checkpoints import activation
from app.checkpoints.service import find_whole
from app.db import Database
from app.errors import Conflict
from app.keeping import keep, lock
from app.rigs import service as rigs
from app.rigs.repository import get_usable_rig
from app.rigs.schemas import RigIn
from app.settings import Settings
from app.tables import CheckpointRow, RigRow, new_id, utc_now
from models.checkpoint import Checkpoint
from models.errors import CheckpointMismatch, InvalidInput, InvalidRig
from models.rig import Rig
from models.runtime import Engine
from models.weights import default_omega

_IN_QUERY = "query.rig"


@dataclass(frozen=True)
class Checked:
    """A bundle that can be taken: its rig as it would be registered, and its checkpoint."""

    bundle: Bundle
    rig: RigIn
    checkpoint: Checkpoint

    @property
    def rig_digest(self) -> str:
        """SHA-256 of the calibration."""
        return self.bundle.statement.digests.rig


@dataclass(frozen=True)
class Taken:
    """The rows that a bundle became, and which of them are new."""

    rig: RigRow
    checkpoint: CheckpointRow
    rig_is_new: bool
    checkpoint_is_new: bool


def export(database: Database, artifacts: Artifacts, settings: Settings, checkpoint_id: str) -> bytes:
    """The signed bundle of a checkpoint and its rig."""
    with database.read_session() as session:
        row, rig = find_whole(session, checkpoint_id)
    artifact = artifacts.read(row.artifact_sha256)
    said: dict[str, Any] = {
        "exported_at": utc_now().isoformat(),
        "rig": {"name": rig.name, "document": rig.document},
        "manifest": Checkpoint.from_bytes(artifact).manifest(),
        "digests": {"rig": rig.digest, "artifact": row.artifact_sha256},
    }
    return write(said, artifact, signing_key(settings))


def check(data: bytes, settings: Settings) -> Checked:
    """Verify a bundle wholly; every fault is an InvalidInput, InvalidRig or CheckpointMismatch with its own code."""
    bundle = read(data, trusted_keys(settings))
    statement = bundle.statement
    sent, rig = _rig(statement.rig.name, statement.rig.document)
    if rig.digest != statement.digests.rig:
        raise _refused("bundle_rig_digest", "The calibration is not the one that its digest names.")
    checkpoint = Checkpoint.from_bytes(bundle.artifact)
    if json.loads(json.dumps(checkpoint.manifest())) != statement.manifest:
        raise _refused("bundle_manifest", "Its manifest is not that of its checkpoint.")
    known = default_omega()
    if checkpoint.omega.digest != known.digest:
        raise CheckpointMismatch(
            f"The checkpoint was made with the ω_base {checkpoint.omega.digest[:12]}…; this service has "
            f"{known.digest[:12]}…. Adapt the rig here instead, or run the version that made it.",
            at="bundle.manifest.digests.omega_base",
            code="bundle_omega_base",
        )
    Engine.load(rig, checkpoint)  # refuses what cannot serve this rig
    return Checked(bundle, sent, checkpoint)


def check_target(session: Session, checked: Checked, rig_id: str) -> None:
    """Raise Conflict unless the rig that was asked for has the bundle's calibration."""
    if get_usable_rig(session, rig_id, _IN_QUERY).digest != checked.rig_digest:
        raise Conflict(
            "The bundle is of another calibration than this rig's.", at=_IN_QUERY, code="bundle_of_another_rig"
        )


def take(session: Session, artifacts: Artifacts, checked: Checked, rig_id: str | None, *, activate: bool) -> Taken:
    """Register the rig and the checkpoint, or find them where they are; the bytes are stored already."""
    lock(session, [checked.rig_digest])  # so that two who import the same do not both register it
    rig = get_usable_rig(session, rig_id, _IN_QUERY) if rig_id else _same_rig(session, checked)
    rig_is_new = rig is None
    rig = rig or rigs.register(session, checked.rig)
    rig = activation.locked_rig(session, rig.id)
    row = _same_checkpoint(session, rig, checked)
    checkpoint_is_new = row is None
    row = row or _register(session, artifacts, rig, checked)
    if activate:
        activation.activate(session, rig, row.id, activation.Action.ACTIVATED, "Imported with a bundle.")
    return Taken(rig, row, rig_is_new, checkpoint_is_new)


def _register(session: Session, artifacts: Artifacts, rig: RigRow, checked: Checked) -> CheckpointRow:
    bundle, checkpoint = checked.bundle, checked.checkpoint
    statement, sha256 = bundle.statement, bundle.statement.digests.artifact
    origin = {
        "key": fingerprint(statement.key),
        "exported_at": statement.exported_at.isoformat(),
        "bundle_sha256": bundle.sha256,
    }
    row = CheckpointRow(
        id=new_id("ckp"),
        studio=rig.studio,
        rig_id=rig.id,
        origin=origin,
        method=checkpoint.method,
        seed=checkpoint.seed,
        artifact_sha256=sha256,
        size_bytes=len(bundle.artifact),
        manifest=statement.manifest,
        promoted=checkpoint.promoted,
        reason=str(checkpoint.metrics.get("reason", "")),
        created_at=utc_now(),
    )
    session.add(row)
    session.flush()
    keep(session, artifacts, {sha256: lambda: artifacts.put_bytes(bundle.artifact)})
    audit.record(session, "bundle.imported", row.id, rig=rig.id, **origin)
    return row


def _same_rig(session: Session, checked: Checked) -> RigRow | None:
    query = select(RigRow).where(
        RigRow.digest == checked.rig_digest, RigRow.archived_at.is_(None), RigRow.studio == acting(session).studio
    )
    return session.scalars(query.order_by(RigRow.created_at, RigRow.id).limit(1)).one_or_none()


def _same_checkpoint(session: Session, rig: RigRow, checked: Checked) -> CheckpointRow | None:
    query = select(CheckpointRow).where(
        CheckpointRow.rig_id == rig.id,
        CheckpointRow.artifact_sha256 == checked.bundle.statement.digests.artifact,
        CheckpointRow.purged_at.is_(None),
    )
    return session.scalars(query.order_by(CheckpointRow.created_at, CheckpointRow.id).limit(1)).one_or_none()


def _rig(name: str, document: dict[str, Any]) -> tuple[RigIn, Rig]:
    """The rig as POST /v1/rigs would take it; raises InvalidRig with the place in the bundle."""
    try:
        sent = RigIn.model_validate({**document, "name": name})
        return sent, rigs.build(sent)
    except ValidationError as error:
        fault = error.errors(include_input=False, include_url=False)[0]
        place = ".".join(str(step) for step in fault["loc"])
        raise InvalidRig(f"The bundle's rig is not one: {fault['msg']}.", at=f"bundle.rig.{place}") from error
    except InvalidRig as error:
        raise InvalidRig(error.message, at=f"bundle.rig.{error.at}", code=error.code) from error


def _refused(code: str, why: str) -> InvalidInput:
    return InvalidInput(f"The bundle cannot be taken. {why}", at="bundle", code=code)
