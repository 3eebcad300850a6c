"""The door: who asks, and whether they may. A bearer token for programs, a cookie for who signed in with a key.

Every request of the API passes here, and the scope it needs is decided here: looking needs ``read``, everything else
``write``, and what a route marks with ADMIN needs ``admin``.
"""

from typing import Annotated, Any
from urllib.parse import urlsplit

from anyio import to_thread
from fastapi import Depends
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from sqlalchemy.exc import SQLAlchemyError
from starlette.requests import HTTPConnection

from app.access.browser import COOKIE, check_same_origin
from app.access.guard import Guard
from app.access.hosts import host_of
from app.access.keyring import KeyRing
from app.access.keys import PREFIX
from app.access.principal import LOCAL, Principal, Scope
from app.errors import Forbidden, TooManyRequests, Unauthorized
from app.settings import LOOPBACK_HOSTS

ADMIN: dict[str, Any] = {"x-rigfuse-scope": Scope.ADMIN.value}
"""The mark of a route that needs ``admin``: ``openapi_extra=ADMIN``, so that the description tells it too."""
_SCOPE_MARK = "x-rigfuse-scope"
_LOOKING = {"GET", "HEAD", "OPTIONS"}


class _Bearer(HTTPBearer):
    """FastAPI's bearer scheme, also for the opening of a WebSocket.

    A page in a browser cannot set its headers, but may name subprotocols: there the key comes as ``bearer.<key>``.
    """

    async def __call__(self, connection: HTTPConnection) -> HTTPAuthorizationCredentials | None:
        scheme, _, value = connection.headers.get("authorization", "").partition(" ")
        if not value and connection.scope["type"] == "websocket":
            offered = connection.scope.get("subprotocols", [])
            scheme, _, value = next((name for name in offered if name.startswith("bearer.")), "").partition(".")
        is_bearer = scheme.lower() == "bearer" and value
        return HTTPAuthorizationCredentials(scheme=scheme, credentials=value.strip()) if is_bearer else None


bearer = _Bearer(auto_error=False, description="an API key: of POST /v1/keys, or of RIGFUSE_API_KEYS")


def require_key(
    connection: HTTPConnection, credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)]
) -> Principal:
    """Let a request pass whose key has the scope, or that comes from this machine where no key is needed."""
    principal = _identify(connection, credentials)
    if principal is None:
        raise Unauthorized("Send a valid API key: Authorization: Bearer <key>.", at="header.authorization")
    _check_scope(connection, principal)
    connection.app.state.guard.charge(principal)
    connection.state.principal = principal
    return principal


def require_operator(principal: Annotated[Principal, Depends(require_key)]) -> Principal:
    """Let pass who may know of the deployment as a whole: a studio's key may not."""
    if principal.studio:
        raise Forbidden("This tells of all studios; use a key that belongs to none.", at="header.authorization")
    return principal


async def check_again(connection: HTTPConnection) -> None:
    """Raise Unauthorized or Forbidden where the key of a long-lived connection is no longer good."""
    credentials = await bearer(connection)
    principal = await to_thread.run_sync(_identify, connection, credentials)
    if principal is None:
        raise Unauthorized("The key is no longer valid.", at="header.authorization")
    _check_scope(connection, principal)


async def is_stranger(connection: HTTPConnection) -> bool:
    """Whether the door will surely turn this caller away; asked before its body is read, and counted by the door."""
    keys: KeyRing = connection.app.state.keys
    if not keys.required:
        return False
    credentials = await bearer(connection)
    try:
        if credentials is not None:
            return await to_thread.run_sync(keys.identify, credentials.credentials) is None
        guard: Guard = connection.app.state.guard
        token = connection.cookies.get(COOKIE)
        return token is None or await to_thread.run_sync(guard.recognise, token) is None
    except SQLAlchemyError:
        return False  # which the door will tell


async def is_still_good(connection: HTTPConnection) -> bool:
    """Whether the key of a long-lived connection is; it counts as good where nobody can tell now."""
    try:
        await check_again(connection)
    except (Unauthorized, Forbidden):
        return False
    except (SQLAlchemyError, TooManyRequests):
        return True
    return True


def caller(connection: HTTPConnection) -> Principal:
    """Who asks, as the door found; a route without a door gets no answer here, and so no session either."""
    principal = getattr(connection.state, "principal", None)
    if not isinstance(principal, Principal):
        raise RuntimeError(f"{connection.scope['path']} asks on nobody's behalf: its route requires no key")  # noqa: TRY004
    return principal


def scope_of(route: object, method: str | None) -> Scope:
    """The scope that a route needs; a WebSocket, which has no method, needs ``write``."""
    marked = (getattr(route, "openapi_extra", None) or {}).get(_SCOPE_MARK)
    return Scope(marked) if marked else Scope.READ if method in _LOOKING else Scope.WRITE


def _identify(connection: HTTPConnection, credentials: HTTPAuthorizationCredentials | None) -> Principal | None:
    guard: Guard = connection.app.state.guard
    key = credentials.credentials if credentials is not None else ""
    if not guard.keys.required:
        _check_local(connection)
        if not key.startswith(PREFIX):
            return LOCAL  # whatever a browser or client may have sent along; one of our own keys must be good, though
    if key:
        return guard.identify(key, connection.client.host if connection.client is not None else "")
    token = connection.cookies.get(COOKIE)
    principal = guard.recognise(token) if token else None
    if principal is not None:
        check_same_origin(connection)
    return principal


def _check_scope(connection: HTTPConnection, principal: Principal) -> None:
    needed = scope_of(connection.scope.get("route"), connection.scope.get("method"))
    if not principal.may(needed):
        raise Forbidden(f"The key {principal.name!r} lacks the scope {needed.value!r}.", at="header.authorization")


def _check_local(connection: HTTPConnection) -> None:
    # Without keys, a page on the internet must not reach the service through its visitor's browser: neither under a
    # name of its own that points here, nor by posting across sites, nor by a WebSocket, which no browser holds back.
    host = host_of(connection)
    if host not in LOOPBACK_HOSTS:
        raise Forbidden(f"Without API keys the service answers only as localhost, not as {host!r}.", at="header.host")
    if connection.scope.get("method") in _LOOKING:
        return
    site, origin = connection.headers.get("sec-fetch-site"), connection.headers.get("origin")
    foreign = origin and urlsplit(origin).hostname not in LOOPBACK_HOSTS
    if site in {"cross-site", "same-site"} or (foreign and site != "same-origin"):
        at = "header.sec-fetch-site" if site else "header.origin"
        raise Forbidden("Without API keys, whatever pages of other sites ask for is refused.", at=at)
