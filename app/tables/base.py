"""What all tables share: identifiers, UTC times, the naming convention of constraints."""

import secrets
from datetime import UTC, datetime
from typing import Literal

from sqlalchemy import JSON, BigInteger, DateTime, Dialect, Integer, MetaData, String
from sqlalchemy.orm import DeclarativeBase
from sqlalchemy.types import TypeDecorator

NAMING_CONVENTION = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}
IdPrefix = Literal["rig", "cap", "ada", "ckp", "key", "upl"]

Document = JSON(none_as_null=True)
Sha256 = String(64)
Identifier = String(40)
Studio = String(64)
"""Whose a row is; empty where a deployment serves one studio only."""
# SQLite only counts up by itself in a column that is exactly INTEGER.
Counter = BigInteger().with_variant(Integer(), "sqlite")


def new_id(prefix: IdPrefix) -> str:
    """An opaque identifier such as ``rig_5f0c…``; not guessable, and it tells a reader what it names."""
    return f"{prefix}_{secrets.token_hex(12)}"


def utc_now() -> datetime:
    """The time now, aware and in UTC."""
    return datetime.now(UTC)


class UtcDateTime(TypeDecorator[datetime]):
    """Aware UTC times on every database; SQLite keeps no zone, so it is put back on reading."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Refuse naive times, store UTC."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a time without a zone cannot be stored")
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Answer aware UTC times."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Base(DeclarativeBase):
    """Declarative base: one naming convention, so that migrations name every constraint alike."""

    metadata = MetaData(naming_convention=NAMING_CONVENTION)
    type_annotation_map = {datetime: UtcDateTime()}  # noqa: RUF012 -- SQLAlchemy's own hook
