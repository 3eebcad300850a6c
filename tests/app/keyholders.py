"""Services that need keys, and those who hold them."""

import itertools
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import httpx
from pydantic import SecretStr
from running import Service, serving

from app.settings import Settings

_ADDRESSES = itertools.count()
ROOT_KEY = "the-key-of-the-settings"


@contextmanager
def guarded(settings: Settings) -> Iterator[Service]:
    """The service in production, its client the holder of the settings' key."""
    changed = {"environment": "production", "api_keys": (SecretStr(ROOT_KEY),)}
    with serving(settings.model_copy(update=changed), Authorization=f"Bearer {ROOT_KEY}") as running:
        yield running


def bearing(key: str) -> dict[str, str]:
    """The header that carries a key."""
    return {"Authorization": f"Bearer {key}"}


def make_key(service: Service, *scopes: str, **wanted: Any) -> dict[str, Any]:
    """A new key, as the service answers it."""
    body = {"name": "test", "scopes": scopes or ("read", "write"), **wanted}
    answer = service.client.post("/v1/keys", json=body)
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


@contextmanager
def holder(service: Service, key: str, address: str = "") -> Iterator[httpx.Client]:
    """A client that holds this key, and comes from ``address``, or from one of its own."""
    address = address or f"198.51.{next(_ADDRESSES)}.7"
    headers = {"Authorization": f"Bearer {key}", "X-Forwarded-For": address}
    with httpx.Client(base_url=service.client.base_url, headers=headers, timeout=30) as client:
        yield client


@contextmanager
def new_holder(service: Service, scopes: Sequence[str] = ("read", "write"), **wanted: Any) -> Iterator[httpx.Client]:
    """A client with a new key."""
    with holder(service, make_key(service, *scopes, **wanted)["key"]) as client:
        yield client


def used(service: Service, key_id: str, *, requests: int) -> dict[str, Any]:
    """The key as the service shows it, once its use of so many requests is written: each is counted at its end."""
    deadline = time.monotonic() + 5
    while True:
        service.app.state.usage.flush()
        shown = dict(service.client.get(f"/v1/keys/{key_id}").json())
        counted = sum(day["requests"] for day in shown["usage"])
        if counted >= requests or time.monotonic() > deadline:
            assert counted == requests
            return shown
        time.sleep(0.01)
