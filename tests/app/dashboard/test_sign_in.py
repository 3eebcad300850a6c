"""Signing in with a key: what the cookie opens, for how long, and from where."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

import httpx
import payloads
import pytest
from keyholders import ROOT_KEY, guarded, holder, make_key
from running import Service
from sqlalchemy import select, update

from app.access.browser import COOKIE
from app.settings import Settings
from app.tables import BrowserSessionRow, utc_now
from models.worlds import World

PAGE = {"Accept": "text/html,application/xhtml+xml"}
OURS = {"Sec-Fetch-Site": "same-origin"}


@pytest.fixture(scope="module")
def service(make_settings: Callable[..., Settings]) -> Iterator[Service]:
    with guarded(make_settings()) as running:
        yield running


@contextmanager
def browser(service: Service, key: str = "") -> Iterator[httpx.Client]:
    """A browser without a key of its own; signed in with one where it is given."""
    with httpx.Client(base_url=service.client.base_url, headers=PAGE) as client:
        if key:
            assert sign_in(client, key).status_code == 303
        yield client


def sign_in(client: httpx.Client, key: str, next_page: str = "/", **headers: str) -> httpx.Response:
    return client.post("/sign-in", data={"key": key, "next": next_page}, headers=headers or OURS)


def test_a_page_asks_to_sign_in_and_comes_back(service: Service) -> None:
    with browser(service) as client:
        sent = client.get("/?search=x")
        assert (sent.status_code, sent.headers["location"]) == (303, "/sign-in?next=/%3Fsearch%3Dx")
        asked = client.get(sent.headers["location"])
        assert (asked.status_code, 'value="/?search=x"' in asked.text) == (200, True)
        answer = sign_in(client, ROOT_KEY, "/?search=x")
        assert (answer.status_code, answer.headers["location"]) == (303, "/?search=x")
        cookie = answer.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=lax" in cookie
        assert ROOT_KEY not in cookie
        assert client.get("/").status_code == 200
        assert client.get("/v1/rigs").status_code == 200


def test_a_script_is_told_and_not_sent_elsewhere(service: Service) -> None:
    with browser(service) as client:
        assert client.get("/", headers={"HX-Request": "true"}).status_code == 401
        assert client.get("/v1/rigs").json()["code"] == "unauthorized"
        assert client.get("/signed-in", headers={"Accept": "*/*"}).status_code == 401


@pytest.mark.parametrize("elsewhere", ["https://evil.example", "//evil.example", "/\\evil.example", "evil", "/\n/x"])
def test_nobody_is_sent_to_another_host_after_signing_in(service: Service, elsewhere: str) -> None:
    with browser(service) as client:
        assert sign_in(client, ROOT_KEY, elsewhere).headers["location"] == "/"


def test_a_form_of_a_stranger_is_not_read(service: Service) -> None:
    endless = {f"field{number}": "x" for number in range(5000)}  # more than is taken of anybody
    with browser(service) as client:
        for path in ("/rigs/rig_0/describe", "/sign-in"):
            refused = client.post(path, data=endless, headers=OURS | {"HX-Request": "true"})
            assert refused.status_code == 401
        client.cookies.set(COOKIE, "of nobody")
        assert client.post("/rigs/rig_0/describe", data=endless, headers=OURS).status_code == 303


def test_a_wrong_key_signs_nobody_in(service: Service) -> None:
    with browser(service) as client:
        answer = sign_in(client, "rf_<script>")
        assert (answer.status_code, "set-cookie" in answer.headers) == (401, False)
        assert "not known here" in answer.text
        assert client.get("/").status_code == 303


def test_over_tls_the_cookie_stays_there(service: Service) -> None:
    with browser(service) as client:
        answer = sign_in(client, ROOT_KEY, **OURS, **{"X-Forwarded-Proto": "https"})
        assert "Secure" in answer.headers["set-cookie"]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Sec-Fetch-Site": "same-origin"}, 201),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Sec-Fetch-Site": "none"}, 403),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({}, 403),
    ],
)
def test_the_cookie_acts_only_for_our_own_pages(
    service: Service, world: World, headers: dict[str, str], status: int
) -> None:
    with browser(service, ROOT_KEY) as client:
        before = service.holdings()[0]["rigs"]
        answer = client.post("/v1/rigs", json=payloads.rig_document(world.rig, "x"), headers=headers)
        assert answer.status_code == status
        assert service.holdings()[0]["rigs"] == before + (status == 201)


def test_an_old_browser_tells_where_it_is_from_by_origin(service: Service, world: World) -> None:
    with browser(service, ROOT_KEY) as client:
        headers = {"Origin": str(client.base_url).rstrip("/")}
        answer = client.post("/v1/rigs", json=payloads.rig_document(world.rig, "x"), headers=headers)
        assert answer.status_code == 201


def test_another_site_cannot_sign_anybody_in_or_out(service: Service) -> None:
    with browser(service, ROOT_KEY) as client:
        assert sign_in(client, ROOT_KEY, **{"Sec-Fetch-Site": "cross-site"}).status_code == 403
        assert client.post("/sign-out", headers={"Sec-Fetch-Site": "cross-site"}).status_code == 403
        assert client.get("/").status_code == 200


def test_signing_out_ends_it_for_good(service: Service) -> None:
    with browser(service, ROOT_KEY) as client:
        token = client.cookies[COOKIE]
        answer = client.post("/sign-out", headers=OURS)
        assert (answer.status_code, answer.headers["location"], COOKIE in client.cookies) == (303, "/sign-in", False)
        client.cookies.set(COOKIE, token)
        assert client.get("/").status_code == 303


def test_the_cookie_may_do_what_the_key_may_and_ends_with_it(service: Service) -> None:
    made = make_key(service, "read", studio="north")
    with browser(service, made["key"]) as client:
        assert client.get("/").status_code == 200
        refused = client.post("/v1/rigs", json={}, headers=OURS)
        assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")
        assert client.get("/v1/workers").status_code == 403
        service.client.delete(f"/v1/keys/{made['id']}")
        assert client.get("/").status_code == 303
        with holder(service, made["key"]) as other:
            assert other.get("/v1/rigs").status_code == 401


def test_it_wears_out_and_is_forgotten(service: Service) -> None:
    database = service.app.state.db
    with browser(service, ROOT_KEY) as client:
        past = utc_now() - timedelta(seconds=1)
        with database.session() as session:
            session.execute(update(BrowserSessionRow).values(expires_at=past))
        service.app.state.guard.browsers._remembered.clear()  # as it is two seconds later
        assert client.get("/").status_code == 303
        assert sign_in(client, ROOT_KEY).status_code == 303
        with database.read_session() as session:
            assert [row.expires_at > utc_now() for row in session.scalars(select(BrowserSessionRow))] == [True]


def test_a_problem_is_a_page_for_whoever_asked_for_one(service: Service) -> None:
    with browser(service, ROOT_KEY) as client:
        missing = client.get("/rigs/%3Cscript%3E")
        assert missing.status_code == 404
        assert missing.headers["content-type"] == "text/html; charset=utf-8"
        assert "<script>" not in missing.text
        assert "default-src 'none'" in missing.headers["content-security-policy"]
        assert client.get("/v1/rigs/rig_0").headers["content-type"] == "application/problem+json"


def test_a_page_of_a_problem_says_when_to_come_again(service: Service) -> None:
    with holder(service, make_key(service, "read", requests_per_minute=1)["key"]) as client:
        assert client.get("/", headers=PAGE).status_code == 200
        late = client.get("/", headers=PAGE)
    assert (late.status_code, int(late.headers["retry-after"]) > 0) == (429, True)
    assert late.headers["content-type"].startswith("text/html")
