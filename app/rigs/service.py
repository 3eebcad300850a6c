"""What can be done with rigs; the caller's edge commits."""

from collections.abc import Sequence

import numpy as np
from sqlalchemy.orm import Session

from app import audit
from app.access.principal import Scope, acting
from app.access.tenancy import studio_of_new
from app.errors import Forbidden
from app.request_frames.repository import trim
from app.rigs import repository
from app.rigs.cache import RigCache
from app.rigs.schemas import RigIn, RigOut, RigPatch, RigStatus
from app.tables import RigRow, new_id, utc_now
from models.errors import InvalidRig
from models.plausibility import check_plausible
from models.rig import Rig

_RETENTION = ("capture_retention_days", "checkpoints_kept")
_KEPT = (*_RETENTION, "request_frames_kept")


def register(session: Session, sent: RigIn) -> RigRow:
    """Register a rig whose calibration can be right; raises InvalidRig with the field that is wrong."""
    rig = build(sent)
    row = RigRow(
        id=new_id("rig"),
        studio=studio_of_new(session, sent.studio),
        name=sent.name,
        notes=sent.notes,
        tags=_unique(sent.tags),
        revision=1,
        digest=rig.digest,
        document=rig.to_dict(),
        created_at=utc_now(),
    )
    session.add(row)
    session.flush()
    audit.record(session, "rig.registered", row.id, name=row.name, digest=row.digest)
    return row


def change(session: Session, rig_id: str, patch: RigPatch) -> tuple[RigRow, list[str]]:
    """Change name, notes, tags or, with the scope ``admin``, how long things are kept; what is left out stays.

    So does what is null, but for how long things are kept: there null is to follow the deployment again. Answers the
    row, and the digests of frames that it keeps no longer, for ``keeping.let_go`` once this is committed.
    """
    row = repository.get_usable_rig(session, rig_id)
    sent = patch.model_dump(exclude_unset=True)
    changes = {field: value for field, value in sent.items() if value is not None or field in _RETENTION}
    retention = {field: changes[field] for field in _KEPT if field in changes}
    if retention:
        if not acting(session).may(Scope.ADMIN):
            raise Forbidden("To say how long things are kept needs the scope 'admin'.", at=next(iter(retention)))
        audit.record(session, "rig.retention", row.id, **retention)
    if described := sorted(set(changes) - set(_KEPT)):
        audit.record(session, "rig.changed", row.id, fields=described)
    for field, value in changes.items():
        setattr(row, field, _unique(value) if field == "tags" else value)
    session.flush()
    return row, trim(session, row.id, row.request_frames_kept) if "request_frames_kept" in changes else []


def archive(session: Session, rig_id: str) -> None:
    """Archive a rig: it stays readable, takes nothing new and serves no poses. Doing it twice is no error."""
    row = repository.get_rig(session, rig_id)
    if row.archived_at is None:
        row.archived_at = utc_now()
        audit.record(session, "rig.archived", row.id, name=row.name)


def describe(session: Session, rows: Sequence[RigRow], rigs: RigCache) -> list[RigOut]:
    """The rows as they are answered, with views and status."""
    adapting = repository.adapting(session, [row.id for row in rows])
    return [_describe(row, rigs.get(row), row.id in adapting) for row in rows]


def status_of(row: RigRow, *, is_adapting: bool) -> RigStatus:
    """The one word for a rig's state."""
    if row.archived_at is not None:
        return "archived"
    if is_adapting:
        return "adapting"
    return "adapted" if row.active_checkpoint_id else "registered"


def build(sent: RigIn) -> Rig:
    """The rig that was sent; raises InvalidRig where its calibration cannot be right."""
    with np.errstate(all="ignore"):  # absurd numbers are judged by their result
        rig = Rig.from_dict(sent.model_dump())
        check_plausible(rig)
        for index, view in enumerate(rig.views):
            if not np.isfinite(view.K).all():
                raise InvalidRig(
                    "This camera's view cannot be computed: K or dist is absurd.", at=f"cameras[{index}].K"
                )
    return rig


def _describe(row: RigRow, rig: Rig, is_adapting: bool) -> RigOut:
    document = row.document
    cameras = [
        {**camera, "view": {"K": view.K.tolist()}} for camera, view in zip(document["cameras"], rig.views, strict=True)
    ]
    return RigOut.model_validate(
        {
            **document,
            "id": row.id,
            "studio": row.studio,
            "name": row.name,
            "notes": row.notes,
            "tags": row.tags,
            "status": status_of(row, is_adapting=is_adapting),
            "revision": row.revision,
            "digest": row.digest,
            "active_checkpoint": row.active_checkpoint_id,
            "cameras": cameras,
            "up": document.get("up"),
            "volume": document.get("volume"),
            "capture_retention_days": row.capture_retention_days,
            "checkpoints_kept": row.checkpoints_kept,
            "request_frames_kept": row.request_frames_kept,
            "created_at": row.created_at,
            "archived_at": row.archived_at,
        }
    )


def _unique(tags: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(tags))
