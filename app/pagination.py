"""Cursor pagination: an opaque cursor over (created_at, id), newest first, stable while rows are added."""

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Generic, TypeVar

from fastapi import Depends, Query
from pydantic import BaseModel
from sqlalchemy import Select, and_, or_
from sqlalchemy.orm import Session

from models.errors import InvalidInput

MAX_PAGE = 200
Item = TypeVar("Item", bound=BaseModel)
Row = TypeVar("Row")


class Page(BaseModel, Generic[Item]):
    """One page of a list; ``next_cursor`` is null on the last."""

    items: list[Item]
    next_cursor: str | None = None


@dataclass(frozen=True)
class PageRequest:
    """How many rows, and after which one."""

    limit: int
    after: tuple[datetime, str] | None


def page_request(
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE, description="rows in a page")] = 50,
    cursor: Annotated[str | None, Query(max_length=400, description="next_cursor of the page before")] = None,
) -> PageRequest:
    """Read ``?limit=&cursor=``."""
    return PageRequest(limit, None if cursor is None else _decode(cursor))


PageDep = Annotated[PageRequest, Depends(page_request)]


def fetch_page(
    session: Session, statement: Select[Row], page: PageRequest, *, table: Any
) -> tuple[Sequence[Row], str | None]:
    """The page's rows of ``statement`` (over the mapped class ``table``) and the cursor to the next page."""
    if page.after is not None:
        created_at, identifier = page.after
        older = and_(table.created_at == created_at, table.id < identifier)
        statement = statement.where(or_(table.created_at < created_at, older))
    statement = statement.order_by(table.created_at.desc(), table.id.desc()).limit(page.limit + 1)
    rows: Sequence[Any] = session.scalars(statement).all()
    if len(rows) <= page.limit:
        return rows, None
    last = rows[page.limit - 1]
    return rows[: page.limit], encode_cursor(last.created_at, last.id)


def encode_cursor(moment: datetime, identifier: str) -> str:
    """The cursor to what comes after the row of that time and id."""
    text = json.dumps([moment.isoformat(), identifier], separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _decode(cursor: str) -> tuple[datetime, str]:
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        created_at, identifier = json.loads(base64.urlsafe_b64decode(padded))
        moment = datetime.fromisoformat(created_at)
        in_utc = moment.astimezone(UTC)
    except (ValueError, TypeError, OverflowError) as error:
        raise not_ours() from error
    if (
        moment.tzinfo is None
        or not isinstance(identifier, str)
        or not (identifier.isascii() and identifier.isprintable())
    ):
        raise not_ours()
    return in_utc, identifier


def not_ours() -> InvalidInput:
    """What is raised for a cursor that nobody gave out."""
    return InvalidInput(
        "The cursor is not one that this service gave out; start again without it.",
        at="query.cursor",
        code="invalid_cursor",
    )
