"""Keys: where they are needed, and what passes without."""

import base64
from collections.abc import Callable, Iterator

import pytest
from pydantic import SecretStr
from running import Service, serving

from app.access.keyring import KeyRing
from app.access.principal import ENVIRONMENT
from app.db import Database
from app.errors import MisconfiguredService
from app.main import create_app, prepare
from app.settings import Settings

KEYS = ("first-key-of-the-studio", "second-key-of-the-studio")


@pytest.fixture(scope="module")
def guarded(make_settings: Callable[..., Settings]) -> Iterator[Service]:
    keys = tuple(SecretStr(key) for key in KEYS)
    with serving(make_settings(environment="production", api_keys=keys)) as running:
        yield running


@pytest.mark.parametrize("key", KEYS)
def test_each_key_opens_the_service(guarded: Service, key: str) -> None:
    answer = guarded.client.get("/v1/rigs", headers={"Authorization": f"Bearer {key}"})
    assert answer.status_code == 200


@pytest.mark.parametrize(
    "value", [None, "", "Bearer", "Bearer x", f"Bearer {KEYS[0]}x", f"Basic {KEYS[0]}", "Bearer \xff"]
)
@pytest.mark.parametrize("path", ["/v1/rigs", "/v1/rigs/rig_0", "/v1/adaptations", "/metrics"])
def test_without_a_valid_key_there_is_no_answer(guarded: Service, path: str, value: str | None) -> None:
    headers = {} if value is None else {"Authorization": value.encode("latin-1")}
    answer = guarded.client.get(path, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized")
    assert answer.headers["www-authenticate"] == "Bearer"


def test_every_path_of_the_api_needs_a_key(guarded: Service) -> None:
    paths = guarded.client.get("/openapi.json").json()["paths"]
    checked = 0
    for path, operations in paths.items():
        if path.startswith("/v1"):
            for method in operations:
                answer = guarded.client.request(method, path.replace("{", "").replace("}", ""))
                assert answer.status_code == 401, (method, path)
                checked += 1
    assert checked >= 18


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/openapi.json", "/docs"])
def test_health_and_description_are_open(guarded: Service, path: str) -> None:
    assert guarded.client.get(path).status_code == 200


def test_a_password_is_no_key(guarded: Service) -> None:
    password = base64.b64encode(f"anyone:{KEYS[0]}".encode()).decode()
    for path in ("/", "/v1/rigs"):
        # What a browser sends by itself, whoever's page asks, opens nothing.
        assert guarded.client.get(path, headers={"Authorization": f"Basic {password}"}).status_code == 401
        assert guarded.client.get(path, headers={"Authorization": f"Bearer {KEYS[0]}"}).status_code == 200


def test_without_keys_only_this_machine_is_answered(service: Service) -> None:
    assert service.client.get("/v1/rigs").status_code == 200
    foreign = service.client.get("/v1/rigs", headers={"Host": "evil.example"})
    assert (foreign.status_code, foreign.json()["code"]) == (403, "forbidden")
    posted = service.client.post("/v1/rigs", json={}, headers={"Sec-Fetch-Site": "cross-site"})
    assert (posted.status_code, posted.json()["code"]) == (403, "forbidden")
    posted = service.client.post("/v1/rigs", json={}, headers={"Origin": "https://evil.example"})
    assert (posted.status_code, posted.json()["at"]) == (403, "header.origin")
    ours = {"Sec-Fetch-Site": "same-origin", "Origin": "null"}  # as a form of a page without referrers is sent
    assert service.client.post("/v1/rigs", json={}, headers=ours).status_code == 422


def test_without_keys_one_of_ours_must_be_good_all_the_same(service: Service) -> None:
    made = service.client.post("/v1/keys", json={"name": "x", "scopes": ["read"], "studio": "north"}).json()
    for value, status in (
        (f"Bearer {made['key']}", 200), (f"Bearer {made['key']}x", 401), ("Bearer of good news", 200), ("Basic x", 200)
    ):  # fmt: skip
        assert service.client.get("/v1/rigs", headers={"Authorization": value}).status_code == status, value
    held = {"Authorization": f"Bearer {made['key']}"}
    assert service.client.post("/v1/rigs", json={}, headers=held).status_code == 403  # as it would with keys needed
    service.client.delete(f"/v1/keys/{made['id']}")
    assert service.client.get("/v1/rigs", headers=held).status_code == 401


@pytest.mark.parametrize("host", ["", "[::1", "127.0.0.1.evil.example", "evil.example:8000"])
def test_without_keys_a_host_that_is_none_is_refused(service: Service, host: str) -> None:
    assert service.client.get("/v1/rigs", headers={"Host": host}).status_code == 403


@pytest.mark.parametrize(
    "changed",
    [
        {"environment": "production"},
        {"environment": "production", "host": "0.0.0.0"},  # noqa: S104
        {"environment": "embedded", "host": "0.0.0.0"},  # noqa: S104
        {"environment": "embedded", "host": "192.168.0.7"},
        {"environment": "production", "api_keys": (SecretStr("short"),)},
    ],
)
def test_other_deployments_refuse_to_start_without_good_keys(
    make_settings: Callable[..., Settings], changed: dict[str, object]
) -> None:
    with pytest.raises(MisconfiguredService) as refused:
        prepare(create_app(make_settings(**changed)))
    assert refused.value.at == "RIGFUSE_API_KEYS"


def test_keys_are_not_kept_in_the_clear(settings: Settings) -> None:
    keys = KeyRing(settings.model_copy(update={"api_keys": (SecretStr(KEYS[0]),)}), Database(settings.database_url))
    assert keys.identify(KEYS[0]) == ENVIRONMENT
    assert keys.identify(KEYS[1]) is None
    assert KEYS[0] not in repr(vars(keys))
