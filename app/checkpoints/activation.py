"""Which checkpoint a rig serves with, and the way back.

The history only grows. Read from its beginning it is a stack: promoting or activating a checkpoint lays it on top,
rolling back takes away what lies above the checkpoint that it goes to, and what lies on top is served.
"""

from collections.abc import Collection, Iterable
from enum import StrEnum

from sqlalchemy import select
from sqlalchemy.orm import Session

from app import audit
from app.access.principal import acting
from app.errors import Conflict
from app.tables import ActivationRow, CheckpointRow, RigRow


class Action(StrEnum):
    """Why the active checkpoint of a rig changed."""

    PROMOTED = "promoted"
    ACTIVATED = "activated"
    ROLLED_BACK = "rolled_back"
    WITHDRAWN = "withdrawn"


def activate(session: Session, rig: RigRow, checkpoint_id: str, action: Action, reason: str = "") -> None:
    """Serve with this checkpoint from now on; nothing happens where it is the active one already."""
    if rig.active_checkpoint_id == checkpoint_id:
        return
    _change(session, rig, checkpoint_id, action, reason)


def roll_back(session: Session, rig: RigRow, reason: str = "") -> None:
    """Serve with what was active before and is still there, possibly without fusion; raises Conflict."""
    _change(session, rig, rollback_target(session, rig.id), Action.ROLLED_BACK, reason)


def rollback_target(session: Session, rig_id: str) -> str | None:
    """The checkpoint that rolling back leads to, None for no fusion; raises Conflict where there is no way back."""
    stack = rollback_stack(session, rig_id)
    if not stack:
        raise Conflict("No checkpoint of this rig is active, so there is nothing to roll back.", code="no_rollback")
    purged = _purged(session, stack)
    before = [id_ for id_ in stack[:-1] if id_ not in purged and id_ != stack[-1]]
    return before[-1] if before else None


def withdraw(session: Session, rig: RigRow, reason: str) -> None:
    """Serve without fusion, with no way back."""
    if rig.active_checkpoint_id is not None:
        _change(session, rig, None, Action.WITHDRAWN, reason)


def rollbacks(session: Session, rig_id: str, alive: Collection[str]) -> list[str]:
    """The checkpoints of ``alive`` that rolling back again and again would come to, the first one first."""
    way = [id_ for id_ in reversed(rollback_stack(session, rig_id)) if id_ in alive]
    return list(dict.fromkeys(way))[1:]  # the first is the active one


def rollback_stack(session: Session, rig_id: str) -> list[str]:
    """The rig's checkpoints in the order of rolling back to them, the active one last."""
    history = session.execute(
        select(ActivationRow.action, ActivationRow.checkpoint_id)
        .where(ActivationRow.rig_id == rig_id)
        .order_by(ActivationRow.id)
    )
    return read_history((Action(action), checkpoint_id) for action, checkpoint_id in history)


def read_history(history: Iterable[tuple[Action, str | None]]) -> list[str]:
    """The stack of checkpoints, the active one last."""
    stack: list[str] = []
    for action, checkpoint_id in history:
        if action is Action.WITHDRAWN:
            stack.clear()
        elif action is Action.ROLLED_BACK:
            stack.pop()
            while stack and stack[-1] != checkpoint_id:  # those between were purged
                stack.pop()
        elif checkpoint_id is not None:
            stack.append(checkpoint_id)
    return stack


def locked_rig(session: Session, rig_id: str) -> RigRow:
    """The rig, its row locked until the transaction ends, so that changes of its checkpoint come one by one."""
    query = select(RigRow).where(RigRow.id == rig_id).with_for_update()
    return session.scalars(query.execution_options(populate_existing=True)).one()


def _purged(session: Session, checkpoint_ids: Iterable[str]) -> frozenset[str]:
    query = select(CheckpointRow.id).where(CheckpointRow.id.in_(set(checkpoint_ids)))
    return frozenset(session.scalars(query.where(CheckpointRow.purged_at.is_not(None))))


def _change(session: Session, rig: RigRow, checkpoint_id: str | None, action: Action, reason: str) -> None:
    before, rig.active_checkpoint_id = rig.active_checkpoint_id, checkpoint_id
    actor = acting(session).key_id
    session.add(ActivationRow(rig_id=rig.id, checkpoint_id=checkpoint_id, action=action, actor=actor, reason=reason))
    audit.record(session, f"checkpoint.{action}", rig.id, checkpoint=checkpoint_id, before=before, **_told(reason))
    session.flush()


def _told(reason: str) -> dict[str, str]:
    return {"reason": reason} if reason else {}
