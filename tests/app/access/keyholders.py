"""Services that need keys, and those who hold them."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import httpx
from pydantic import SecretStr
from running import Service, serving

from app.settings import Settings

ROOT_KEY = "the-key-of-the-settings"


@contextmanager
def guarded(settings: Settings) -> Iterator[Service]:
    """The service in production, its client the holder of the settings' key."""
    changed = {"environment": "production", "api_keys": (SecretStr(ROOT_KEY),)}
    with serving(settings.model_copy(update=changed), Authorization=f"Bearer {ROOT_KEY}") as running:
        yield running


def make_key(service: Service, *scopes: str, **wanted: Any) -> dict[str, Any]:
    """A new key, as the service answers it."""
    body = {"name": "test", "scopes": scopes or ("read", "write"), **wanted}
    answer = service.client.post("/v1/keys", json=body)
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


@contextmanager
def holder(service: Service, key: str, address: str = "127.0.0.1") -> Iterator[httpx.Client]:
    """A client that holds this key, and comes from ``address``."""
    headers = {"Authorization": f"Bearer {key}", "X-Forwarded-For": address}
    with httpx.Client(base_url=service.client.base_url, headers=headers, timeout=30) as client:
        yield client


@contextmanager
def new_holder(service: Service, scopes: Sequence[str] = ("read", "write"), **wanted: Any) -> Iterator[httpx.Client]:
    """A client with a new key."""
    with holder(service, make_key(service, *scopes, **wanted)["key"]) as client:
        yield client
