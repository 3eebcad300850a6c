"""What is done on the page of a rig: the same functions as behind the API, answered to a form."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Depends, Form, Response, status
from fastapi.responses import HTMLResponse, RedirectResponse
from pydantic import AfterValidator
from sqlalchemy.orm import Session

from app.adaptations import service as adaptations
from app.adaptations.schemas import AdaptationRequest
from app.artifacts import Artifacts
from app.checkpoints import activation, purging, service
from app.dashboard.pages import Page, PageDep
from app.dashboard.rig.reading import read_rig
from app.db import Database
from app.deps import ArtifactsDep, DatabaseDep, QueueDep, SessionDep
from app.errors import Conflict
from app.keeping import let_go
from app.rigs import service as rigs_service
from app.rigs.cache import RigCache
from app.rigs.repository import get_rig, get_usable_rig
from app.rigs.routes import RigsDep
from app.rigs.schemas import RigPatch
from app.tables import CheckpointRow
from app.wire import Id, Name, Notes, printable
from models.errors import InvalidInput

router = APIRouter(include_in_schema=False)
Reason = Annotated[str, Form(max_length=1000), AfterValidator(printable)]
Seen = Annotated[str, Form(max_length=40, description="the active checkpoint that the person was asked about")]
_MOST_TAGS, _LONGEST_TAG = 32, 64


@dataclass(frozen=True)
class Act:
    """What every act needs to be done and answered."""

    page: Page
    database: Database
    artifacts: Artifacts
    rigs: RigCache

    def check_serving(self, checkpoint_id: str) -> None:
        """Raise where the checkpoint cannot serve."""
        engines = self.page.request.app.state.engines
        service.check_serving(self.database, self.artifacts, self.rigs, engines, checkpoint_id)

    def answer(self, rig_id: str) -> Response:
        """The page again, or for htmx what changes on it."""
        if not self.page.wants_part:
            return RedirectResponse(f"/rigs/{rig_id}", status.HTTP_303_SEE_OTHER)
        with self.database.read_session() as session:
            view = read_rig(session, self.artifacts, rig_id)
        return HTMLResponse(self.page.part("_rig.html", view=view, show=""))


def get_act(page: PageDep, database: DatabaseDep, artifacts: ArtifactsDep, rigs: RigsDep) -> Act:
    """What this request's act needs."""
    return Act(page, database, artifacts, rigs)


ActDep = Annotated[Act, Depends(get_act)]


@router.post("/rigs/{rig_id}/checkpoints/{checkpoint_id}/activate")
def activate(rig_id: Id, checkpoint_id: Id, act: ActDep, seen: Seen = "", reason: Reason = "") -> Response:
    """Serve with a checkpoint, whether it was promoted or not."""
    with act.database.read_session() as session:
        _of_rig(session, rig_id, checkpoint_id)
    act.check_serving(checkpoint_id)
    with act.database.session() as session:
        _check_unchanged(session, rig_id, seen)
        service.activate(session, checkpoint_id, reason)
    return act.answer(rig_id)


@router.post("/rigs/{rig_id}/rollback")
def roll_back(rig_id: Id, act: ActDep, seen: Seen = "", reason: Reason = "") -> Response:
    """Serve as before."""
    target = service.rollback_target(act.database, rig_id)
    if target is not None:
        act.check_serving(target)
    with act.database.session() as session:
        _check_unchanged(session, rig_id, seen)
        service.roll_back(session, rig_id, reason)
    return act.answer(rig_id)


@router.post("/rigs/{rig_id}/checkpoints/{checkpoint_id}/pin")
def pin(rig_id: Id, checkpoint_id: Id, act: ActDep) -> Response:
    """Keep a checkpoint."""
    with act.database.session() as session:
        purging.set_pinned(session, _of_rig(session, rig_id, checkpoint_id), pinned=True)
    return act.answer(rig_id)


@router.post("/rigs/{rig_id}/checkpoints/{checkpoint_id}/unpin")
def unpin(rig_id: Id, checkpoint_id: Id, act: ActDep) -> Response:
    """Let go of a checkpoint."""
    with act.database.session() as session:
        purging.set_pinned(session, _of_rig(session, rig_id, checkpoint_id), pinned=False)
    return act.answer(rig_id)


@router.post("/rigs/{rig_id}/captures/{capture_id}/adapt")
def adapt(rig_id: Id, capture_id: Id, session: SessionDep, queue: QueueDep) -> Response:
    """Start an adaptation with the default method, and go to watch it."""
    row = adaptations.create(session, queue, rig_id, AdaptationRequest(capture=capture_id), None)
    return RedirectResponse(f"/adaptations/{row.id}", status.HTTP_303_SEE_OTHER)


@router.post("/rigs/{rig_id}/describe")
def describe(
    rig_id: Id,
    act: ActDep,
    name: Annotated[Name, Form()],
    notes: Annotated[Notes, Form()] = "",
    tags: Annotated[str, Form(max_length=2400), AfterValidator(printable)] = "",
) -> Response:
    """Name, tags (separated by commas) and notes."""
    patch = RigPatch(name=name, notes=notes.replace("\r\n", "\n"), tags=_tags(tags))
    with act.database.session() as session:
        rigs_service.change(session, rig_id, patch)
    return act.answer(rig_id)


@router.post("/rigs/{rig_id}/keep-frames")
def keep_frames(rig_id: Id, act: ActDep, frames: Annotated[int, Form(ge=0, le=1000)]) -> Response:
    """How many frames of pose requests are kept to be looked at; 0 is none."""
    with act.database.session() as session:
        _, surplus = rigs_service.change(session, rig_id, RigPatch(request_frames_kept=frames))
    let_go(act.database, act.artifacts, surplus)
    return act.answer(rig_id)


@router.post("/rigs/{rig_id}/archive")
def archive(rig_id: Id, act: ActDep) -> Response:
    """Take the rig out of use; all of it stays readable."""
    with act.database.session() as session:
        rigs_service.archive(session, rig_id)
    return act.answer(rig_id)


def _of_rig(session: Session, rig_id: str, checkpoint_id: str) -> CheckpointRow:
    row, rig = service.find(session, checkpoint_id)
    if rig.id != rig_id:
        get_rig(session, rig_id)
        raise Conflict(f"The checkpoint {checkpoint_id!r} is of another rig.", at="path.checkpoint_id")
    return row


def _check_unchanged(session: Session, rig_id: str, seen: str) -> None:
    """Raise Conflict where another checkpoint serves by now than the one that the person was asked about."""
    get_usable_rig(session, rig_id)
    active = activation.locked_rig(session, rig_id).active_checkpoint_id or ""
    if active != seen:
        raise Conflict(
            f"Nothing was changed: meanwhile the rig is served with {active or 'no checkpoint'}. Look again.",
            at="seen",
            code="changed_meanwhile",
        )


def _tags(text: str) -> list[str]:
    tags = [tag for part in text.split(",") if (tag := part.strip())]
    if len(tags) > _MOST_TAGS or any(len(tag) > _LONGEST_TAG for tag in tags):
        raise InvalidInput(f"At most {_MOST_TAGS} tags, each of at most {_LONGEST_TAG} characters.", at="tags")
    return tags
