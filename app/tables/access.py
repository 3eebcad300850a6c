"""Who may use the service, how much they used it, and what was done by whom."""

from datetime import date, datetime
from typing import Any

from sqlalchemy import BigInteger, Date, ForeignKey, Index, Integer, String
from sqlalchemy.orm import Mapped, mapped_column

from app.tables.base import Base, Counter, Document, Identifier, Sha256, Studio, utc_now


class ApiKeyRow(Base):
    """An API key, of which only the hash is kept; ``hint`` is its beginning, for a person to know it by."""

    __tablename__ = "api_keys"

    id: Mapped[str] = mapped_column(Identifier, primary_key=True)
    name: Mapped[str] = mapped_column(String(200))
    studio: Mapped[str] = mapped_column(Studio, default="")
    scopes: Mapped[list[str]] = mapped_column(Document)
    sha256: Mapped[str] = mapped_column(Sha256, unique=True)
    hint: Mapped[str] = mapped_column(String(16))
    requests_per_minute: Mapped[int | None] = mapped_column(Integer)
    frames_per_day: Mapped[int | None] = mapped_column(Integer)
    stored_bytes: Mapped[int | None] = mapped_column(BigInteger)
    created_by: Mapped[str] = mapped_column(Identifier, default="")
    created_at: Mapped[datetime] = mapped_column(default=utc_now)
    expires_at: Mapped[datetime | None]
    last_used_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]


class BrowserSessionRow(Base):
    """A person who signed in with a key; of the cookie and of the key only the hashes are kept."""

    __tablename__ = "browser_sessions"
    __table_args__ = (Index(None, "expires_at"),)

    sha256: Mapped[str] = mapped_column(Sha256, primary_key=True)
    key_sha256: Mapped[str] = mapped_column(Sha256)
    created_at: Mapped[datetime] = mapped_column(default=utc_now)
    expires_at: Mapped[datetime]


class KeyUsageRow(Base):
    """What a key used on one day (UTC)."""

    __tablename__ = "key_usage"

    key_id: Mapped[str] = mapped_column(Identifier, ForeignKey("api_keys.id"), primary_key=True)
    day: Mapped[date] = mapped_column(Date, primary_key=True)
    requests: Mapped[int] = mapped_column(BigInteger, default=0)
    frames: Mapped[int] = mapped_column(BigInteger, default=0)
    upload_bytes: Mapped[int] = mapped_column(BigInteger, default=0)


class AuditRow(Base):
    """One thing that somebody did, or a policy; the trail only grows, and says nothing of footage but its name."""

    __tablename__ = "audit"
    __table_args__ = (Index(None, "at"), Index(None, "subject"))

    id: Mapped[int] = mapped_column(Counter, primary_key=True, autoincrement=True)
    at: Mapped[datetime] = mapped_column(default=utc_now)
    actor: Mapped[str] = mapped_column(Identifier, default="")
    studio: Mapped[str] = mapped_column(Studio, default="")
    action: Mapped[str] = mapped_column(String(40))
    subject: Mapped[str] = mapped_column(Identifier, default="")
    request_id: Mapped[str] = mapped_column(String(64), default="")
    detail: Mapped[dict[str, Any]] = mapped_column(Document, default=dict)
