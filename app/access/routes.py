"""The endpoints of keys and of the audit trail; all need the scope ``admin``."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response, status
from starlette.requests import HTTPConnection

from app.access import repository, service
from app.access.keyring import KeyRing
from app.access.schemas import AuditEntry, Key, KeyDetail, KeyIn, KeyMade, day_of_use, key_fields
from app.auth import ADMIN
from app.db import after_commit
from app.deps import ReadSessionDep, SessionDep
from app.pagination import Page, PageDep
from app.problems import responses
from app.tables import utc_now
from app.wire import Id

router = APIRouter(tags=["access"])


def get_keys(connection: HTTPConnection) -> KeyRing:
    """The keys that the application knows."""
    return connection.app.state.keys


@router.post(
    "/keys",
    status_code=status.HTTP_201_CREATED,
    summary="Make a key",
    openapi_extra=ADMIN,
    responses=responses(401, 403, 422),
)
def create_key(sent: KeyIn, session: SessionDep, response: Response) -> KeyMade:
    """`key` is shown in this answer and never again. A key of a studio makes keys of its studio only."""
    row, secret = service.create_key(session, sent)
    response.headers["Location"] = f"/v1/keys/{row.id}"
    return KeyMade(**key_fields(row), key=secret)


@router.get("/keys", summary="List keys", openapi_extra=ADMIN, responses=responses(401, 403, 422))
def list_keys(session: ReadSessionDep, page: PageDep) -> Page[Key]:
    """Newest first, those revoked among them."""
    rows, cursor = repository.list_keys(session, page)
    return Page[Key](items=[Key(**key_fields(row)) for row in rows], next_cursor=cursor)


@router.get("/keys/{key_id}", summary="Read a key and its use", openapi_extra=ADMIN, responses=responses(401, 403, 404))
def read_key(key_id: Id, session: ReadSessionDep) -> KeyDetail:
    """What is still to be written of the last seconds is not in it yet."""
    row = repository.get_key(session, key_id)
    days = repository.usage_of(session, key_id, utc_now().date())
    return KeyDetail(
        **key_fields(row),
        usage=[day_of_use(day) for day in days],
        stored_bytes_used=repository.stored_bytes(session, row.studio),
    )


@router.delete(
    "/keys/{key_id}",
    status_code=status.HTTP_204_NO_CONTENT,
    summary="Revoke a key",
    openapi_extra=ADMIN,
    responses=responses(401, 403, 404),
)
def revoke_key(key_id: Id, session: SessionDep, keys: Annotated[KeyRing, Depends(get_keys)]) -> None:
    """From now on it opens nothing; other API processes notice within two seconds."""
    service.revoke(session, key_id)
    after_commit(session, keys.forget)


@router.get("/audit", summary="Read what was done", openapi_extra=ADMIN, responses=responses(401, 403, 422))
def list_audit(
    session: ReadSessionDep,
    page: PageDep,
    subject: Annotated[str | None, Query(max_length=40, description="only what was done to this id")] = None,
    action: Annotated[str | None, Query(max_length=40, description="only this, such as `rig.archived`")] = None,
) -> Page[AuditEntry]:
    """Who did what, the newest first."""
    rows, cursor = repository.list_audit(session, page, subject=subject, action=action)
    return Page[AuditEntry](items=[AuditEntry.of(row) for row in rows], next_cursor=cursor)
