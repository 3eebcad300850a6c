"""What every answer says to a browser, and what the pages need."""

import re
from collections.abc import Callable, Iterator
from html.parser import HTMLParser

import pytest
from keyholders import ROOT_KEY, bearing, guarded, make_key
from pydantic import ValidationError
from running import Service

from app.settings import Settings

STUDIO = "https://studio.example"


@pytest.fixture(scope="module")
def published(make_settings: Callable[..., Settings]) -> Iterator[Service]:
    """A service behind TLS, under names of its own, for the pages of one other site."""
    settings = make_settings(cors_origins=(STUDIO,), allowed_hosts=("127.0.0.1", "*.rigs.example"), hsts_s=31_536_000)
    with guarded(settings) as running:
        yield running


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/v1/rigs", 200), ("GET", "/v1/rigs/x", 404), ("GET", "/nothing", 404), ("POST", "/v1/rigs", 422),
     ("GET", "/healthz", 200), ("GET", "/openapi.json", 200), ("GET", "/metrics", 200), ("PUT", "/v1/rigs", 405)],
)  # fmt: skip
def test_no_answer_can_be_framed_sniffed_or_kept(service: Service, method: str, path: str, status: int) -> None:
    answer = service.client.request(method, path)
    assert answer.status_code == status
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "same-origin"
    assert answer.headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
    assert "strict-transport-security" not in answer.headers
    assert answer.headers.get("cache-control") == ("no-store" if path.startswith("/v1") else None)
    assert answer.headers["x-request-id"]


def test_a_refusal_carries_them_too(service: Service) -> None:
    body = b" " * (service.settings.max_json_bytes + 1)
    answer = service.client.post("/v1/rigs", content=body, headers={"Authorization": "Bearer rf_wrong"})
    assert answer.status_code == 413
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_no_other_site_may_ask_unless_the_settings_name_it(service: Service) -> None:
    asked = {"Origin": STUDIO, "Access-Control-Request-Method": "POST"}
    for answer in (service.client.options("/v1/rigs", headers=asked), service.client.get("/v1/rigs", headers=asked)):
        assert not [name for name in answer.headers if name.startswith("access-control")]


def test_a_site_that_the_settings_name_may_ask(published: Service) -> None:
    asked = {
        "Origin": STUDIO,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization",
    }
    preflight = published.client.options("/v1/rigs", headers=asked)
    assert preflight.status_code == 200
    assert preflight.headers["access-control-allow-origin"] == STUDIO
    assert "access-control-allow-credentials" not in preflight.headers
    answer = published.client.get("/v1/rigs", headers={"Origin": STUDIO})
    assert answer.headers["access-control-allow-origin"] == STUDIO
    assert "Retry-After" in answer.headers["access-control-expose-headers"]
    other = published.client.get("/v1/rigs", headers={"Origin": "https://studio.example.evil.example"})
    assert "access-control-allow-origin" not in other.headers


@pytest.mark.parametrize("origin", ["*", "https://*.example", "studio.example", "https://studio.example/", "null"])
def test_an_origin_is_named_exactly(origin: str) -> None:
    with pytest.raises(ValidationError, match="cors_origins"):
        Settings(cors_origins=(origin,))


@pytest.mark.parametrize(
    ("host", "status"),
    [("127.0.0.1:9", 200), ("a.rigs.example", 200), ("A.RIGS.example:443", 200), ("rigs.example", 400),
     ("evil.example", 400), ("rigs.example.evil.example", 400), ("", 400), ("[::1", 400), ("a b", 400)],
)  # fmt: skip
def test_other_names_are_not_answered(published: Service, host: str, status: int) -> None:
    answer = published.client.get("/v1/rigs", headers={"Host": host})
    assert answer.status_code == status, answer.text
    if status == 400:
        assert answer.json()["code"] == "unknown_host"
    assert published.client.get("/readyz", headers={"Host": host}).status_code == 200


def test_behind_tls_browsers_are_told_to_stay_there(published: Service) -> None:
    assert published.client.get("/healthz").headers["strict-transport-security"].startswith("max-age=31536000")


class Links(HTMLParser):
    """What a page loads, and the scripts that stand in it."""

    def __init__(self) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.inline = ""
        self._in_script = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.loaded += [value or "" for name, value in attrs if name in {"src", "href"}]
        self._in_script = tag == "script"

    def handle_data(self, data: str) -> None:
        if self._in_script:
            self.inline += data.strip()


def test_the_reference_needs_nothing_from_elsewhere(service: Service) -> None:
    page = service.client.get("/docs")
    links = Links()
    links.feed(page.text)
    assert links.inline == ""
    policy = page.headers["content-security-policy"]
    assert "script-src 'self';" in policy
    assert "frame-ancestors 'none'" in policy
    parts = [link for link in links.loaded if not link.startswith("data:")]
    assert sorted(parts) == ["docs/start.js", "docs/swagger-ui-bundle.js", "docs/swagger-ui.css"]
    for part in parts:
        answer = service.client.get(f"/{part}")
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/")
        assert len(answer.content) > 100
    start = service.client.get("/docs/start.js").text
    assert 'url: "openapi.json"' in start
    assert not re.search(r"https?://", start + page.text)
    version = re.search(r"5\.\d+\.\d+", service.client.get("/docs/swagger-ui-bundle.js").text)
    assert version is not None  # the first that reads OpenAPI 3.1


@pytest.mark.parametrize("path", ["/docs/core.py", "/docs/..%2fcore.py", "/docs/%00", "/redoc"])
def test_nothing_else_is_served_beside_it(service: Service, path: str) -> None:
    assert service.client.get(path).status_code == 404


def test_a_revoked_key_ends_the_pages_too(service: Service) -> None:
    made = make_key(service, "read")
    assert service.client.get("/", headers=bearing(made["key"])).status_code == 200
    service.client.delete(f"/v1/keys/{made['id']}")
    assert service.client.get("/", headers=bearing(made["key"])).status_code == 401
    assert service.client.get("/", headers=bearing(ROOT_KEY)).status_code == 200
