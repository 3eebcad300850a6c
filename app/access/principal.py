"""Whoever asks: a key's holder, or the service itself."""

from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy.orm import Session

_PRINCIPAL = "principal"


class Scope(StrEnum):
    """What a key allows: to look, to work (captures, adaptations, poses, activations), to administrate."""

    READ = "read"
    WRITE = "write"
    ADMIN = "admin"


@dataclass(frozen=True)
class Allowance:
    """How much a key may use; None where nothing bounds it."""

    requests_per_minute: int | None = None
    frames_per_day: int | None = None
    stored_bytes: int | None = None


@dataclass(frozen=True)
class Principal:
    """The holder of a key; ``studio`` is the one whose rows it sees, and empty for all."""

    key_id: str
    name: str
    scopes: frozenset[Scope]
    studio: str = ""
    allowance: Allowance = Allowance()

    def may(self, scope: Scope) -> bool:
        """Whether the key has this scope."""
        return scope in self.scopes


SYSTEM = Principal("system", "the service itself", frozenset(Scope))
"""Who acts where nobody asked: workers, policies, and whoever runs a command on the machine."""

ENVIRONMENT = Principal("env", "a key of RIGFUSE_API_KEYS", frozenset(Scope))
"""The holder of any key that the settings name."""

LOCAL = Principal("local", "anyone on this machine", frozenset(Scope))
"""Whoever asks a service that runs without keys."""


def act_as(session: Session, principal: Principal) -> None:
    """Say on whose behalf a session works."""
    session.info[_PRINCIPAL] = principal


def acting(session: Session) -> Principal:
    """On whose behalf a session works; the service's own where nobody said."""
    return session.info.get(_PRINCIPAL, SYSTEM)
