"""What goes wrong with a request, and when it is worth asking again."""

import random
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

_IDEMPOTENT = {"GET", "HEAD", "OPTIONS", "PUT", "DELETE", "PATCH"}


class ClientError(Exception):
    """A request did not succeed."""


class Misused(ClientError, ValueError):
    """What the client was given cannot be used, so nothing was sent."""


class Unreachable(ClientError):
    """No answer came; ``never_connected`` where nobody is at the address, which a person wants to know at once."""

    def __init__(self, message: str, *, never_connected: bool = False) -> None:
        super().__init__(message)
        self.never_connected = never_connected


class ApiError(ClientError):
    """The service refused: ``code`` is stable, ``detail`` a sentence, ``at`` the place in the input.

    ``retry_after_s`` is what the service asks to wait, ``request_id`` what its log knows the request by.
    """

    def __init__(
        self, status: int, code: str, detail: str, at: str | None = None,
        *, retry_after_s: float | None = None, request_id: str | None = None,
    ) -> None:  # fmt: skip
        super().__init__(detail if at is None else f"{detail} (at {at})")
        self.status = status
        self.code = code
        self.detail = detail
        self.at = at
        self.retry_after_s = retry_after_s
        self.request_id = request_id


class Repeat(Enum):
    """When a request may be sent again: never harmful, only where it surely had no effect, or in between."""

    ALWAYS = (429, 503, Unreachable)
    """Twice has the effect of once: also after a connection that broke with the answer still to come."""
    IF_UNAVAILABLE = (429, 503)
    IF_REFUSED = (429,)
    """Only where the service had not even looked at it."""
    NEVER = ()


def repeat_of(method: str, headers: Mapping[str, str]) -> Repeat:
    """By HTTP's rules; a POST is safe to repeat where it carries an ``Idempotency-Key``."""
    return Repeat.ALWAYS if method in _IDEMPOTENT or "Idempotency-Key" in headers else Repeat.IF_REFUSED


@dataclass(frozen=True)
class Retries:
    """How often and how patiently: pauses double from ``first_s`` on, and follow ``Retry-After`` where it is sent.

    Where the service asks for more than ``longest_s``, the error is raised instead.
    """

    attempts: int = 5
    first_s: float = 0.5
    longest_s: float = 30.0

    def pause(self, error: ClientError, allowed: Repeat, attempt: int) -> float | None:
        """Seconds to wait before the next attempt; None where there is to be none."""
        if attempt >= self.attempts or not _is_among(error, allowed):
            return None
        asked = error.retry_after_s if isinstance(error, ApiError) else None
        if asked is not None:
            return asked if asked <= self.longest_s else None
        # Many clients that were refused together must not come back together.
        return min(self.longest_s, self.first_s * 2 ** (attempt - 1)) * random.uniform(0.5, 1.0)  # noqa: S311


def _is_among(error: ClientError, allowed: Repeat) -> bool:
    if isinstance(error, ApiError):
        return error.status in allowed.value
    return Unreachable in allowed.value and isinstance(error, Unreachable) and not error.never_connected
