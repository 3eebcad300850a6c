"""The endpoints of adaptations."""

from typing import Annotated

from fastapi import APIRouter, Header, Query, Request, Response, status
from fastapi.responses import StreamingResponse
from sqlalchemy import select
from sqlalchemy.orm import Session

from app import auth
from app.adaptations import events, service
from app.adaptations.attempts import History, histories
from app.adaptations.priority import Priority
from app.adaptations.schemas import Adaptation, AdaptationRequest
from app.adaptations.states import State
from app.deps import DatabaseDep, DrainingDep, QueueDep, ReadSessionDep, SessionDep
from app.pagination import Page, PageDep, fetch_page
from app.problems import responses
from app.tables import AdaptationRow
from app.wire import Id

router = APIRouter(tags=["adaptations"])

IdempotencyKey = Annotated[
    str | None,
    Header(min_length=1, max_length=200, description="a retry with the same key answers the same adaptation"),
]


@router.post(
    "/rigs/{rig_id}/adaptations",
    status_code=status.HTTP_202_ACCEPTED,
    summary="Start an adaptation",
    responses=responses(401, 404, 409, 422),
)
def create_adaptation(
    rig_id: Id,
    request: AdaptationRequest,
    *,
    response: Response,
    session: SessionDep,
    queue: QueueDep,
    idempotency_key: IdempotencyKey = None,
) -> Adaptation:
    """Learn a fusion checkpoint for the rig from a capture, in the background."""
    row = service.create(session, queue, rig_id, request, idempotency_key)
    response.headers["Location"] = f"/v1/adaptations/{row.id}"
    return _told(session, row)


@router.get("/adaptations", summary="List adaptations", responses=responses(401, 422))
def list_adaptations(
    session: ReadSessionDep,
    page: PageDep,
    state: Annotated[State | None, Query(description="only those in this state")] = None,
    rig: Annotated[str | None, Query(description="only those of this rig")] = None,
    priority: Annotated[Priority | None, Query(description="only those of this priority")] = None,
) -> Page[Adaptation]:
    """Adaptations, the newest first."""
    statement = select(AdaptationRow)
    if state is not None:
        statement = statement.where(AdaptationRow.state == state)
    if rig is not None:
        statement = statement.where(AdaptationRow.rig_id == rig)
    if priority is not None:
        statement = statement.where(AdaptationRow.priority == priority)
    rows, next_cursor = fetch_page(session, statement, page, table=AdaptationRow)
    told = histories(session, [row.id for row in rows])
    items = [Adaptation.of(row, told.get(row.id, History())) for row in rows]
    return Page[Adaptation](items=items, next_cursor=next_cursor)


@router.get("/adaptations/{adaptation_id}", summary="Read an adaptation", responses=responses(401, 404))
def get_adaptation(adaptation_id: Id, session: ReadSessionDep) -> Adaptation:
    """How an adaptation stands, and when it has finished, what it measured."""
    return _told(session, service.find(session, adaptation_id))


@router.post(
    "/adaptations/{adaptation_id}/cancel",
    status_code=status.HTTP_202_ACCEPTED,
    summary="Cancel an adaptation",
    responses=responses(401, 404, 409),
)
def cancel_adaptation(adaptation_id: Id, session: SessionDep) -> Adaptation:
    """Stop an adaptation: at once where it waits, at its next step where it runs."""
    return _told(session, service.cancel(session, adaptation_id))


@router.post(
    "/adaptations/{adaptation_id}/retry",
    status_code=status.HTTP_202_ACCEPTED,
    summary="Try an adaptation again",
    responses=responses(401, 404, 409, 422),
)
def retry_adaptation(
    adaptation_id: Id,
    *,
    response: Response,
    session: SessionDep,
    queue: QueueDep,
    idempotency_key: IdempotencyKey = None,
) -> Adaptation:
    """Start a new adaptation with the request of one that failed or was cancelled; asking twice starts one."""
    row = service.retry(session, queue, adaptation_id, idempotency_key)
    response.headers["Location"] = f"/v1/adaptations/{row.id}"
    return _told(session, row)


@router.get(
    "/adaptations/{adaptation_id}/events",
    summary="Follow an adaptation",
    response_class=StreamingResponse,
    responses={
        200: {"content": {"text/event-stream": {}}},
        204: {"description": "Nothing follows the last event"},
        **responses(401, 404),
    },
)
def follow_adaptation(
    adaptation_id: Id,
    database: DatabaseDep,
    draining: DrainingDep,
    request: Request,
    last_event_id: Annotated[str | None, Header(description="go on after this event")] = None,
) -> Response:
    """Follow an adaptation as server-sent events; the stream ends when the adaptation has.

    Each is named by what it tells: a state (`queued`, `running`, `succeeded`, `failed`, `cancelled`), `progress`, or
    `curve`: new points of the learning curves, `{"attempt", "phase", "loss": [[step, value], …], "held_back": …}`, each
    list only where it has new points, and all anew after each `running`. More kinds may come; ignore what you do not
    know.
    """
    with database.read_session() as session:
        service.find(session, adaptation_id)
    after = int(last_event_id) if last_event_id and last_event_id.isdecimal() and len(last_event_id) < 19 else 0
    if after and events.is_over(database, adaptation_id, after):
        # 204 tells a browser's EventSource to stop connecting again.
        return Response(status_code=status.HTTP_204_NO_CONTENT)
    return StreamingResponse(
        events.stream(database, adaptation_id, after, draining, lambda: auth.is_still_good(request)),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


def _told(session: Session, row: AdaptationRow) -> Adaptation:
    return Adaptation.of(row, histories(session, [row.id]).get(row.id, History()))
