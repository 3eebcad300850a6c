"""The doors of the programs: what a person can mend ends a program with a sentence, not with a traceback."""
# ruff: noqa: PLC0415 - the libraries are asked for their errors once something failed, so that commands start fast

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from app.retries import ApiError, ClientError, Misused, Unreachable
from models.errors import RigFuseError

FAILED, MISUSED, UNAVAILABLE, NOT_ALLOWED = 1, 2, 3, 4
"""How a program ends: refused or failed; wrongly called or set up; nobody there, or too busy; no right to do this."""


@contextmanager
def one_sentence(*also: type[Exception]) -> Iterator[None]:
    """Exit with a sentence where the block fails by its settings (2), its surroundings, or one of ``also`` (1)."""
    try:
        yield
    except Exception as error:
        found = (FAILED, str(error)) if isinstance(error, also) else _sentence(error)
        if found is None:
            raise
        status, sentence = found
        print(f"rigfuse: {sentence}", file=sys.stderr)  # noqa: T201 - what the person reads
        sys.exit(status)


def _sentence(error: Exception) -> tuple[int, str] | None:
    if isinstance(error, ApiError):
        return _refusal(error)
    if isinstance(error, Misused):
        return MISUSED, str(error)
    if isinstance(error, ClientError | RigFuseError):
        return UNAVAILABLE if isinstance(error, Unreachable) else FAILED, str(error)
    if isinstance(error, OSError) and error.filename is not None:
        return FAILED, f"{error.filename}: {error.strerror}."
    return _settings_sentence(error) or _database_sentence(error)


def _refusal(error: ApiError) -> tuple[int, str]:
    """What the service said, and what a person at a terminal can do about it."""
    if error.status == 401:
        return NOT_ALLOWED, f"{error.detail} Here: --api-key KEY, or RIGFUSE_API_KEY in the environment."
    if error.status == 403:
        return NOT_ALLOWED, error.detail
    if error.status in {429, 503}:
        when = "later" if error.retry_after_s is None else f"in {error.retry_after_s:.0f} s"
        return UNAVAILABLE, f"{error} Try again {when}."
    if error.status >= 500 and error.request_id is not None and error.request_id not in error.detail:
        return FAILED, f"{error} Its log tells more under {error.request_id}."
    return FAILED, str(error)


def _settings_sentence(error: Exception) -> tuple[int, str] | None:
    from pydantic import ValidationError

    from app.settings import Settings

    if not isinstance(error, ValidationError) or error.title != Settings.__name__:
        return None
    prefix = Settings.model_config.get("env_prefix", "")
    # Never the value that was given: it may hold a password.
    faults = error.errors(include_input=False, include_url=False)
    return MISUSED, "; ".join(f"{prefix}{str(fault['loc'][0]).upper()}: {fault['msg']}" for fault in faults) + "."


def _database_sentence(error: Exception) -> tuple[int, str] | None:
    from alembic.util import CommandError
    from sqlalchemy.exc import DBAPIError, SQLAlchemyError

    if not isinstance(error, SQLAlchemyError | CommandError):
        return None
    cause = error.orig if isinstance(error, DBAPIError) else error
    return FAILED, f"the database (RIGFUSE_DATABASE_URL) cannot be used: {str(cause).partition(chr(10))[0]}"
