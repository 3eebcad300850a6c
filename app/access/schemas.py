"""Keys and the audit trail on the wire."""

from datetime import UTC, date, datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field

from app.access.principal import Scope
from app.tables import ApiKeyRow, AuditRow, KeyUsageRow, utc_now
from app.wire import Name, NoText, Studio, Time

MOST = 2_000_000_000
Count = Annotated[int, Field(ge=1, le=MOST), NoText]


def _ahead(moment: datetime) -> datetime:
    try:
        moment = moment.astimezone(UTC)
    except OverflowError as error:
        raise ValueError("it is beyond the calendar") from error
    if moment <= utc_now():
        raise ValueError("it must lie ahead")
    return moment


class KeyIn(BaseModel):
    """A key to make. What is left out is bounded as the key that asks is."""

    model_config = ConfigDict(extra="forbid")

    name: Name = Field(description="who or what it is for")
    scopes: list[Scope] = Field(
        default=[Scope.READ, Scope.WRITE], min_length=1, max_length=8, description="none implies another"
    )
    studio: Studio = Field(default="", description="whose rigs it sees; empty: all, or those of the key that asks")
    expires_at: Annotated[AwareDatetime, AfterValidator(_ahead)] | None = None
    requests_per_minute: Count | None = None
    frames_per_day: Count | None = Field(default=None, description="frames of pose requests, by UTC day")
    stored_bytes: Annotated[int, Field(ge=1, le=1 << 53), NoText] | None = Field(
        default=None, description="of all captures of its studio"
    )


class Key(BaseModel):
    """A key, without what it is known by."""

    id: str
    name: str
    scopes: list[Scope]
    studio: str
    hint: str = Field(description="how the key begins")
    state: Literal["active", "expired", "revoked"]
    requests_per_minute: int | None
    frames_per_day: int | None
    stored_bytes: int | None
    created_by: str = Field(description="the key that made it; `env` is one of RIGFUSE_API_KEYS")
    created_at: Time
    expires_at: Time | None
    last_used_at: Time | None = Field(description="to the minute or so")
    revoked_at: Time | None


class KeyMade(Key):
    """A new key: the only answer that holds it."""

    key: str = Field(description="shown once; keep it like a password")


class DayOfUse(BaseModel):
    """What a key used on one day, UTC."""

    day: date
    requests: int
    frames: int
    upload_bytes: int


class KeyDetail(Key):
    """A key with what it used."""

    usage: list[DayOfUse] = Field(description="of the last 30 days, the newest first")
    stored_bytes_used: int = Field(description="bytes that the captures of its studio take now")


class AuditEntry(BaseModel):
    """One thing that was done."""

    id: int
    at: Time
    actor: str = Field(description="id of a key; `env`, `local` or `system` where it was none of the database")
    studio: str
    action: str = Field(examples=["key.revoked"])
    subject: str = Field(description="id of what it was done to")
    request_id: str
    detail: dict[str, Any]

    @classmethod
    def of(cls, row: AuditRow) -> "AuditEntry":
        """The row as an administrator sees it."""
        return cls.model_validate(row, from_attributes=True)


def key_fields(row: ApiKeyRow) -> dict[str, Any]:
    """The row as an administrator sees it: never its hash."""
    shown = {name: getattr(row, name) for name in Key.model_fields if name != "state"}
    return {**shown, "state": _state(row)}


def day_of_use(row: KeyUsageRow) -> DayOfUse:
    """One day of a key."""
    return DayOfUse(day=row.day, requests=row.requests, frames=row.frames, upload_bytes=row.upload_bytes)


def _state(row: ApiKeyRow) -> str:
    if row.revoked_at is not None:
        return "revoked"
    return "expired" if row.expires_at is not None and row.expires_at <= utc_now() else "active"
