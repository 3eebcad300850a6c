"""Rates and quotas: what a key may do is what it can do, over processes and without the broker."""

import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Barrier

import httpx
import payloads
import pytest
from keyholders import ROOT_KEY, bearing, guarded, holder, make_key, new_holder, used
from running import Service, serving

from app.access.principal import Allowance, Principal, Scope
from app.access.rates import BACK_OFF_S, PATIENCE_S, Rates
from app.access.usage import Usage, Used
from app.db import Database
from app.errors import TooManyRequests
from app.settings import Settings
from app.tables import KeyUsageRow, utc_now
from models.worlds import World

FAILURES = 12  # as the service of these tests takes


@contextmanager
def silent_server() -> Iterator[str]:
    """A broker that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"redis://127.0.0.1:{listener.getsockname()[1]}/0"


def assert_refused(answer: httpx.Response, code: str, longest_s: float) -> None:
    assert (answer.status_code, answer.json()["code"]) == (429, code), answer.text
    assert 1 <= int(answer.headers["retry-after"]) <= longest_s
    assert answer.json()["detail"].endswith(".")


def test_a_rate_holds_over_processes(service: Service) -> None:
    key = make_key(service, requests_per_minute=7)["key"]
    with (
        serving(service.settings, Authorization=f"Bearer {ROOT_KEY}") as another,
        holder(service, key) as here,
        holder(another, key) as there,
    ):
        statuses = [client.get("/v1/rigs").status_code for _ in range(5) for client in (here, there)]
        assert statuses == [200] * 7 + [429] * 3
        assert_refused(here.get("/v1/rigs"), "too_many_requests", 60)
        assert "7 times a minute" in there.get("/v1/rigs").json()["detail"]
    assert service.client.get("/v1/rigs").status_code == 200  # another key's rate is another's


def test_the_default_rate_is_for_keys_without_one(make_settings: Callable[..., Settings]) -> None:
    with guarded(make_settings(requests_per_minute=4)) as service, new_holder(service, requests_per_minute=6) as own:
        assert [own.get("/v1/rigs").status_code for _ in range(7)] == [200] * 6 + [429]
        with new_holder(service) as bounded:
            assert [bounded.get("/v1/rigs").status_code for _ in range(5)] == [200] * 4 + [429]


@pytest.mark.parametrize("broker", ["refuses", "is silent"])
def test_without_the_broker_rates_hold_for_each_process_and_nobody_waits(broker: str) -> None:
    with silent_server() as silent:
        rates = Rates("redis://127.0.0.1:9/0" if broker == "refuses" else silent)
        began = time.monotonic()
        answers = [rates.hit("requests", "someone", 3) for _ in range(5)]
        assert time.monotonic() - began < 3 * PATIENCE_S  # one try, then a rest
        assert answers[:3] == [None] * 3
        assert all(wait is not None and 1 <= wait <= 60 for wait in answers[3:])


def test_the_broker_is_asked_again_after_a_while(redis_url: str) -> None:
    rates, whose = Rates(redis_url), f"someone at {time.time()}"
    rates._again_at = time.monotonic() + 0.2
    assert rates.hit("requests", whose, 1) is None  # counted alone
    time.sleep(0.25)
    assert rates.hit("requests", whose, 1) is None  # the broker knows nothing of that one
    assert rates.hit("requests", whose, 1) is not None
    assert Rates(redis_url).look("requests", whose, 1) is not None
    assert BACK_OFF_S >= 10 * PATIENCE_S


def test_a_service_answers_though_its_broker_is_silent(make_settings: Callable[..., Settings]) -> None:
    with silent_server() as silent, guarded(make_settings(requests_per_minute=50, broker_url=silent)) as service:
        began = time.monotonic()
        assert [service.client.get("/v1/rigs").status_code for _ in range(3)] == [200] * 3
        assert time.monotonic() - began < 2


def test_who_guesses_is_held_back_and_others_at_the_address_are_not(service: Service) -> None:
    key, unseen = make_key(service)["key"], make_key(service)["key"]
    with holder(service, key, "192.0.2.1") as good, holder(service, "rf_guess", "192.0.2.1") as bad:
        assert good.get("/v1/rigs").status_code == 200
        assert [bad.get("/v1/rigs").status_code for _ in range(FAILURES + 2)] == [401] * FAILURES + [429] * 2
        assert_refused(bad.get("/v1/rigs"), "too_many_requests", 60)
        assert good.get("/v1/rigs").status_code == 200  # it was good here before
        with holder(service, unseen, "192.0.2.1") as late:
            assert late.get("/v1/rigs").status_code == 429  # else a right guess would be told
        assert bad.get("/", headers=bearing("guess")).status_code == 429
    with holder(service, unseen, "192.0.2.2") as elsewhere:
        assert elsewhere.get("/v1/rigs").status_code == 200


def test_an_ipv6_client_is_its_network(service: Service) -> None:
    with holder(service, "rf_guess") as client:
        statuses = [
            client.get("/v1/rigs", headers={"X-Forwarded-For": f"2001:db8::{number}"}).status_code
            for number in range(1, FAILURES + 2)
        ]
    assert statuses == [401] * FAILURES + [429]


def test_frames_of_a_day_are_bounded(service: Service, world: World) -> None:
    rig = service.register(world)
    sent = payloads.files(heatmaps=payloads.heatmaps(world))
    made = make_key(service, frames_per_day=2 * payloads.FRAMES + 1)
    with holder(service, made["key"]) as client:
        statuses = [client.post(f"/v1/rigs/{rig}/poses", files=sent).status_code for _ in range(2)]
        assert statuses == [200, 200]
        missing = client.post(f"/v1/rigs/{rig}/poses", params={"checkpoint": "ckp_none"}, files=sent)
        assert missing.status_code == 404  # which has not cost a frame
        refused = client.post(f"/v1/rigs/{rig}/poses", files=sent)
        assert_refused(refused, "quota_exceeded", 86_400)
        assert "of which 1 are left" in refused.json()["detail"]
    (today,) = used(service, made["id"], requests=4)["usage"]
    assert today["frames"] == 2 * payloads.FRAMES
    assert today["upload_bytes"] > 2 * len(sent["heatmaps"][1])


def test_a_quota_holds_for_requests_of_the_same_moment(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    made = make_key(service, frames_per_day=5)
    holder_ = Principal(made["id"], "x", frozenset(Scope), "", Allowance(frames_per_day=5))
    usage, together = Usage(service.app.state.db), Barrier(4)
    monkeypatch.setattr(usage, "_known", lambda _day: together.wait(10) * 0)

    def take(_number: int) -> bool:
        try:
            usage.take_frames(holder_, 3)
        except TooManyRequests:
            return False
        return True

    with ThreadPoolExecutor(4) as threads:
        assert sum(threads.map(take, range(4))) == 1


def test_frames_are_counted_once_by_all_threads_and_processes(service: Service) -> None:
    made = make_key(service, frames_per_day=400)
    holder_ = Principal(made["id"], "x", frozenset(Scope), "", Allowance(frames_per_day=400))
    database = Database(service.settings.database_url)
    mine, yours = service.app.state.usage, Usage(database)

    def take(usage: Usage) -> int:
        try:
            usage.take_frames(holder_, 1)
        except TooManyRequests:
            return 0
        return 1

    with ThreadPoolExecutor(4) as threads:
        taken = sum(threads.map(take, [mine] * 150 + [yours] * 150))
        for usage in (mine, yours):
            usage.flush()
        taken += sum(threads.map(take, [mine, yours] * 100))
    for usage in (mine, yours):
        usage.flush()
    with database.read_session() as session:
        row = session.get_one(KeyUsageRow, (made["id"], utc_now().date()))
    database.dispose()
    assert row.frames == taken
    assert 400 <= taken <= 500  # exceeded by what the other process took since its last flush, at most
    assert take(mine) == 0


def test_usage_survives_a_database_that_is_away(service: Service) -> None:
    made = make_key(service)
    usage = Usage(Database("postgresql+psycopg://nobody@127.0.0.1:9/nothing"))
    usage.count(made["id"], Used(frames=3))
    usage.flush()
    usage._database = service.app.state.db
    usage.stop()
    (today,) = service.client.get(f"/v1/keys/{made['id']}").json()["usage"]
    assert today["frames"] == 3


def test_stored_bytes_are_bounded(service: Service, world: World) -> None:
    sent = payloads.capture(world)
    first = make_key(service, studio="full")
    with holder(service, first["key"]) as client:
        rig = client.post("/v1/rigs", json=payloads.rig_document(world.rig)).json()["id"]
        assert client.post(f"/v1/rigs/{rig}/captures", files=sent).status_code == 201
    size = service.client.get(f"/v1/keys/{first['id']}").json()["stored_bytes_used"]
    assert size > 1000
    before = service.holdings()
    for allowed, left in ((size, 0), (2 * size - 1, size - 1)):
        with new_holder(service, studio="full", stored_bytes=allowed) as client:
            refused = client.post(f"/v1/rigs/{rig}/captures", files=sent)
        assert (refused.status_code, refused.json()["code"]) == (403, "quota_exceeded"), refused.text
        assert f"of which {left:,} are left" in refused.json()["detail"]
        assert ("this one takes" in refused.json()["detail"]) == (left > 0)  # nothing of it was read where none is left
    after = service.holdings()
    assert after[0]["captures"] == before[0]["captures"]
    assert after[1] == before[1]
    with new_holder(service, studio="full", stored_bytes=2 * size) as client:
        assert client.post(f"/v1/rigs/{rig}/captures", files=sent).status_code == 201
