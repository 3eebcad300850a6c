"""Which checkpoint a rig serves with, and the way back.

The history only grows. Read from its beginning it is a stack: promoting or activating a checkpoint lays it on top,
rolling back takes the top away, and what lies on top is served.
"""

from collections.abc import Iterable
from enum import StrEnum

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.errors import Conflict
from app.tables import ActivationRow, RigRow


class Action(StrEnum):
    """Why the active checkpoint of a rig changed."""

    PROMOTED = "promoted"
    ACTIVATED = "activated"
    ROLLED_BACK = "rolled_back"


def activate(session: Session, rig: RigRow, checkpoint_id: str, action: Action) -> None:
    """Serve with this checkpoint from now on; nothing happens where it is the active one already."""
    if rig.active_checkpoint_id == checkpoint_id:
        return
    _change(session, rig, checkpoint_id, action)


def roll_back(session: Session, rig: RigRow) -> None:
    """Serve with what was active before, possibly without fusion; raises Conflict where there is no before."""
    history = session.execute(
        select(ActivationRow.action, ActivationRow.checkpoint_id)
        .where(ActivationRow.rig_id == rig.id)
        .order_by(ActivationRow.id)
    )
    stack = read_history((Action(action), checkpoint_id) for action, checkpoint_id in history)
    if not stack:
        raise Conflict("No checkpoint of this rig is active, so there is nothing to roll back.", code="no_rollback")
    _change(session, rig, stack[-2] if len(stack) > 1 else None, Action.ROLLED_BACK)


def read_history(history: Iterable[tuple[Action, str | None]]) -> list[str]:
    """The stack of checkpoints, the active one last."""
    stack: list[str] = []
    for action, checkpoint_id in history:
        if action is Action.ROLLED_BACK:
            stack.pop()
        elif checkpoint_id is not None:
            stack.append(checkpoint_id)
    return stack


def locked_rig(session: Session, rig_id: str) -> RigRow:
    """The rig, its row locked until the transaction ends, so that changes of its checkpoint come one by one."""
    query = select(RigRow).where(RigRow.id == rig_id).with_for_update()
    return session.scalars(query.execution_options(populate_existing=True)).one()


def _change(session: Session, rig: RigRow, checkpoint_id: str | None, action: Action) -> None:
    rig.active_checkpoint_id = checkpoint_id
    session.add(ActivationRow(rig_id=rig.id, checkpoint_id=checkpoint_id, action=action))
    session.flush()
