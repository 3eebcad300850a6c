"""The audit trail: who did what to which rig, capture, checkpoint or key, in the transaction that did it."""

from typing import Any

import structlog
from sqlalchemy.orm import Session

from app.access.principal import acting
from app.tables import AuditRow


def record(session: Session, action: str, subject: str, *, studio: str = "", **detail: Any) -> None:
    """Note ``action`` (such as ``capture.purged``) upon the row ``subject``; committed or dropped with the session.

    ``studio`` is whose the row is, so that its administrators see what others did to it.
    """
    principal = acting(session)
    session.add(
        AuditRow(
            actor=principal.key_id,
            studio=principal.studio or studio,
            action=action,
            subject=subject,
            request_id=str(structlog.contextvars.get_contextvars().get("request_id", "")),
            detail=detail,
        )
    )
