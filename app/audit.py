"""The audit trail: who did what to which rig, capture, checkpoint or key, in the transaction that did it."""

from typing import Any

import structlog
from sqlalchemy.orm import Session

from app import tables
from app.access.principal import acting

_OWNED: dict[str, Any] = {
    "rig": tables.RigRow,
    "cap": tables.CaptureRow,
    "ada": tables.AdaptationRow,
    "ckp": tables.CheckpointRow,
    "key": tables.ApiKeyRow,
}


def record(session: Session, action: str, subject: str, **detail: Any) -> None:
    """Note ``action`` (such as ``capture.purged``) upon the row ``subject``; committed or dropped with the session."""
    principal = acting(session)
    session.add(
        tables.AuditRow(
            actor=principal.key_id,
            studio=principal.studio or _owner(session, subject),
            action=action,
            subject=subject,
            request_id=str(structlog.contextvars.get_contextvars().get("request_id", "")),
            detail=detail,
        )
    )


def _owner(session: Session, subject: str) -> str:
    """Whose the row is, so that a studio's administrators see what others did to it; it is in the session mostly."""
    table = _OWNED.get(subject.partition("_")[0])
    row = session.get(table, subject) if table is not None else None
    return row.studio or "" if row is not None else ""
