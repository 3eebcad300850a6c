"""What a reader of the rigs page asks for: words, a condition, a studio, an order, a page."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Annotated, Literal
from urllib.parse import urlencode

from fastapi import Depends, Query
from pydantic import BaseModel, Field

PAGE = 50
_MOST_WORDS = 8


class Show(StrEnum):
    """Which rigs are shown."""

    ALL = "all"
    ATTENTION = "attention"
    FAILED = "failed"
    DRIFTING = "drifting"
    NOT_PROMOTED = "not-promoted"
    NO_CHECKPOINT = "no-checkpoint"
    ADAPTING = "adapting"
    NEVER_ASKED = "never-asked"
    WELL = "well"
    ARCHIVED = "archived"


class Sort(StrEnum):
    """What they are sorted by."""

    ATTENTION = "attention"
    NAME = "name"
    STUDIO = "studio"
    JDR = "jdr"
    GAIN = "gain"
    REPROJECTION = "reprojection"
    ERROR_3D = "3d"
    ADAPTED = "adapted"
    DRIFT = "drift"
    ASKED = "asked"


DOWN_FIRST = frozenset({Sort.JDR, Sort.GAIN, Sort.ADAPTED, Sort.DRIFT, Sort.ASKED})
"""Orders that begin with the largest unless somebody asks otherwise."""


@dataclass(frozen=True)
class Asked:
    """A view of the page; ``descending`` is as the sort's own habit where nobody says."""

    q: str = ""
    show: Show = Show.ALL
    studio: str = ""
    sort: Sort = Sort.ATTENTION
    descending: bool = False
    page: int = 1

    @property
    def words(self) -> list[str]:
        """What to look for, each word on its own; letters are compared without their case."""
        return self.q.casefold().split()[:_MOST_WORDS]

    @property
    def query(self) -> str:
        """The address of this view, without what goes without saying."""
        order = "" if self.descending == (self.sort in DOWN_FIRST) else "down" if self.descending else "up"
        told: Mapping[str, str] = {
            "q": self.q,
            "show": "" if self.show is Show.ALL else self.show,
            "studio": self.studio,
            "sort": "" if self.sort is Sort.ATTENTION else self.sort,
            "order": order,
            "page": "" if self.page == 1 else str(self.page),
        }
        said = {name: value for name, value in told.items() if value}
        return f"?{urlencode(said)}" if said else ""

    @property
    def order(self) -> str:
        """The direction as the address says it."""
        return "down" if self.descending else "up"

    @property
    def narrows(self) -> bool:
        """Whether anything but the whole list is asked for."""
        return bool(self.words or self.studio or self.show is not Show.ALL)

    def showing(self, show: Show) -> "Asked":
        """Other rigs, from their first page."""
        return replace(self, show=show, page=1)

    def sorted_by(self, sort: Sort) -> "Asked":
        """By another column, or by the same one the other way round."""
        descending = not self.descending if sort is self.sort else sort in DOWN_FIRST
        return replace(self, sort=sort, descending=descending, page=1)

    def on_page(self, page: int) -> "Asked":
        """Another page of the same."""
        return replace(self, page=page)

    def direction(self, sort: Sort) -> str:
        """``aria-sort`` of a column."""
        if sort is not self.sort:
            return "none"
        return "descending" if self.descending else "ascending"


class Address(BaseModel):
    """The query of the page's address."""

    q: str = Field("", max_length=200)
    show: Show = Show.ALL
    studio: str = Field("", max_length=64)
    sort: Sort = Sort.ATTENTION
    order: Literal["", "up", "down"] = ""
    page: int = Field(1, ge=1, le=100_000)


def asked(address: Annotated[Address, Query()]) -> Asked:
    """Read the address."""
    descending = address.order == "down" if address.order else address.sort in DOWN_FIRST
    return Asked(
        _printable(address.q), address.show, _printable(address.studio), address.sort, descending, address.page
    )


def _printable(text: str) -> str:
    # No database holds what cannot be printed in a name, and PostgreSQL takes no NUL.
    return "".join(letter for letter in text if letter.isprintable()).strip()


AskedDep = Annotated[Asked, Depends(asked)]
