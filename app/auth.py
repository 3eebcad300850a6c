"""API keys: a bearer token for programs, HTTP Basic with the key as password for the dashboard in a browser."""

import base64
import binascii
import hashlib
import hmac
from typing import Annotated

import structlog
from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from app.errors import Forbidden, MisconfiguredService, Unauthorized
from app.settings import LOOPBACK_HOSTS, Settings

log = structlog.get_logger(__name__)

MIN_KEY_LENGTH = 16
_ASK_BROWSER = 'Basic realm="RigFuse, an API key as the password", charset="UTF-8"'
_bearer = HTTPBearer(auto_error=False, description="an API key from RIGFUSE_API_KEYS")


class ApiKeys:
    """The keys of a deployment, kept only as hashes; raises MisconfiguredService where keys are needed."""

    def __init__(self, settings: Settings) -> None:
        keys = [key.get_secret_value() for key in settings.api_keys]
        self._hashes = tuple(_hash(key) for key in keys)
        if not keys:
            _check_may_run_open(settings)
        elif any(len(key) < MIN_KEY_LENGTH for key in keys):
            raise MisconfiguredService(
                f"Every API key needs at least {MIN_KEY_LENGTH} characters.", at="RIGFUSE_API_KEYS"
            )

    @property
    def required(self) -> bool:
        """Whether requests need a key."""
        return bool(self._hashes)

    def accepts(self, key: str) -> bool:
        """Whether ``key`` is one of ours, in a time that does not tell how near it was."""
        given = _hash(key)
        return max((hmac.compare_digest(given, known) for known in self._hashes), default=False)  # all are compared


def require_key(
    request: Request, credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]
) -> None:
    """Let a request pass that has a valid key, or that comes from this machine where none is needed."""
    keys: ApiKeys = request.app.state.api_keys
    if not keys.required:
        _check_local(request)
    elif credentials is None or not keys.accepts(credentials.credentials):
        raise Unauthorized("Send a valid API key: Authorization: Bearer <key>.", at="header.authorization")


def require_key_in_browser(request: Request) -> None:
    """The same for a page: a browser asks its user for the key, as the password of HTTP Basic."""
    keys: ApiKeys = request.app.state.api_keys
    if not keys.required:
        _check_local(request)
        return
    scheme, _, value = request.headers.get("authorization", "").partition(" ")
    key = value if scheme.lower() == "bearer" else _basic_password(value) if scheme.lower() == "basic" else ""
    if not keys.accepts(key):
        raise Unauthorized("Enter an API key as the password.", at="header.authorization", challenge=_ASK_BROWSER)


def _hash(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()


def _basic_password(value: str) -> str:
    try:
        return base64.b64decode(value, validate=True).decode().partition(":")[2]
    except (binascii.Error, UnicodeDecodeError):
        return ""


def _check_may_run_open(settings: Settings) -> None:
    if settings.environment != "embedded" or not settings.is_loopback:
        raise MisconfiguredService(
            "Set RIGFUSE_API_KEYS: only the embedded service on a loopback address may run without keys "
            f"(this one is {settings.environment} on {settings.host}).",
            at="RIGFUSE_API_KEYS",
        )
    log.warning("no_api_keys", detail="Anyone on this machine may use the service; set RIGFUSE_API_KEYS to change it.")


def _check_local(request: Request) -> None:
    # Without keys, a page on the internet must not reach the service through its visitor's browser:
    # neither under a name of its own that points here, nor by posting across sites.
    host = (request.url.hostname or "").strip("[]")
    if host not in LOOPBACK_HOSTS:
        raise Forbidden(f"Without API keys the service answers only as localhost, not as {host!r}.", at="header.host")
    if request.headers.get("sec-fetch-site") in {"cross-site", "same-site"} and request.method != "GET":
        raise Forbidden("Without API keys, requests from other sites are refused.", at="header.sec-fetch-site")
