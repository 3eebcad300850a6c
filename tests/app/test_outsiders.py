"""Outsiders against a real API process: they get nothing and break nothing, and a good client is served meanwhile."""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import payloads
import pytest
from typer.testing import CliRunner
from websockets.sync.client import connect

from app import cli
from app.access.keyring import KeyRing
from app.access.principal import Scope
from app.db import Database
from app.doors import one_sentence
from app.errors import MisconfiguredService
from app.settings import Settings
from models.worlds import World

ROOT = Path(__file__).parents[2]
SECRETS = {name: f"s3cret-{name}-5f0c2a9e" for name in ("key", "broker", "storage", "database")}
PATIENCE_S = 1.0


@dataclass(frozen=True)
class Server:
    """An API process and what it wrote so far."""

    port: int
    log: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def client(self, key: str = SECRETS["key"], address: str = "192.0.2.1") -> httpx.Client:
        """A client from an address of its own: where keys are wrong too often, none is taken for a while."""
        headers = {"Authorization": f"Bearer {key or '-'}", "X-Forwarded-For": address}
        return httpx.Client(base_url=self.url, headers=headers, timeout=20)

    def raw(self, data: bytes) -> socket.socket:
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=15)
        connection.sendall(data)
        return connection

    def said(self, data: bytes) -> bytes:
        """All that is answered to these bytes until the connection closes."""
        with closing(self.raw(data)) as connection:
            return rest_of(connection)


def rest_of(connection: socket.socket) -> bytes:
    received = b""
    try:
        while chunk := connection.recv(65_536):
            received += chunk
    except ConnectionResetError:
        pass
    return received


def environment(folder: Path, **changed: str) -> dict[str, str]:
    given = {key: value for key, value in os.environ.items() if not key.startswith("RIGFUSE_")}
    return given | {
        "RIGFUSE_DATA_DIR": str(folder),
        "RIGFUSE_API_KEYS": SECRETS["key"],
        "RIGFUSE_BROKER_URL": f"redis://user:{SECRETS['broker']}@127.0.0.1:9/0",  # nobody listens there
        "RIGFUSE_ARTIFACTS_SECRET_ACCESS_KEY": SECRETS["storage"],
        "RIGFUSE_BODY_TIMEOUT_S": str(PATIENCE_S),
        "RIGFUSE_HEADER_TIMEOUT_S": str(PATIENCE_S),
        "RIGFUSE_MAX_CONNECTIONS": "120",
        "RIGFUSE_DRAIN_S": "1",
        **changed,
    }


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("outsiders")
    log = folder / "api.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "app.cli", "api", "--port", "0"], cwd=ROOT, env=environment(folder / "data"),
            stdout=output, stderr=subprocess.STDOUT,
        )  # fmt: skip
    try:
        deadline = time.monotonic() + 60
        while not (found := re.search(r"running on http://127\.0\.0\.1:(\d+)", log.read_text())):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)
        yield Server(int(found[1]), log)
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert not [line for line in lines if line["event"] == "request_crashed" or line.get("status", 0) >= 500], lines


@contextmanager
def served_meanwhile(server: Server) -> Iterator[None]:
    """Ask as a good client does, all the while; every answer must come, and soon."""
    done, slowest, asked = False, 0.0, 0

    def ask() -> None:
        nonlocal slowest, asked
        with server.client() as client:
            while not done or asked < 3:
                began = time.monotonic()
                assert client.get("/v1/rigs").status_code == 200
                slowest, asked = max(slowest, time.monotonic() - began), asked + 1
                time.sleep(0.02)

    with ThreadPoolExecutor(1) as thread:
        good = thread.submit(ask)
        try:
            yield
        finally:
            done = True
        good.result()
    assert asked >= 3
    assert slowest < 2.0


def head(method: str, path: str, *lines: str, key: str = SECRETS["key"]) -> bytes:
    text = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", *([f"Authorization: Bearer {key}"] if key else []), *lines]
    return "\r\n".join([*text, "", ""]).encode()


MULTIPART = "Content-Type: multipart/form-data; boundary=x"
OPENING = b'--x\r\ncontent-disposition: form-data; name="heatmaps"\r\n\r\n'


@pytest.mark.parametrize("key", ["", "rf_guessed", SECRETS["key"] + "x", SECRETS["key"][:-1]])
def test_without_a_good_key_every_door_is_closed(server: Server, key: str) -> None:
    with server.client(key, "192.0.2.66") as client:
        paths = client.get("/openapi.json").json()["paths"]
        doors = [(method, path) for path, found in paths.items() for method in found if path.startswith("/v1")]
        for method, path in doors[::4]:  # tests/app/test_auth.py tries them all
            answer = client.request(method, re.sub(r"\{.*?\}", "x", path))
            assert answer.status_code in {401, 429}, (method, path)
        assert client.get("/metrics").status_code in {401, 429}


def test_with_a_key_to_look_nothing_is_changed(server: Server, world: World) -> None:
    with server.client() as root:
        key = root.post("/v1/keys", json={"name": "viewer", "scopes": ["read"]}).json()["key"]
        rig = root.post("/v1/rigs", json=payloads.rig_document(world.rig)).json()["id"]
        with server.client(key) as client:
            paths = client.get("/openapi.json").json()["paths"]
            for path, found in paths.items():
                changing = [method for method, told in found.items() if told.get("x-rigfuse-scope") != "read"]
                for method in set(changing) - {"get", "head", "options"}:
                    answer = client.request(method, path.replace("{rig_id}", rig).replace("{", "").replace("}", ""))
                    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden"), (method, path)
        assert root.get(f"/v1/rigs/{rig}").json()["status"] == "registered"


def test_a_request_of_two_lengths_is_refused_and_is_its_connections_last(server: Server) -> None:
    lines = ("Content-Type: application/json", "Content-Length: 4", "Transfer-Encoding: chunked")
    said = server.said(head("POST", "/v1/rigs", *lines) + b"0\r\n\r\n" + head("GET", "/healthz"))
    assert said.startswith(b"HTTP/1.1 400 ")
    assert said.count(b"HTTP/1.1 ") == 1
    assert b"Content-Length and Transfer-Encoding" in said


TRICKS = [
    "..%2f..%2f..%2fetc%2fpasswd", "%2e%2e%2f%2e%2e%2frigfuse.db", "%00", "a%00b",
    "%0d%0aX-Evil:%201", "rig_%F0%9F%92%A5", "%ff%fe", "%c0%ae%c0%ae/", "x" * 5000, "%25%32%65", "file:%2f%2f%2fetc",
    "'%20OR%201=1--", "{rig_id}", "%E2%80%AE", "C:%5Cwindows", "null", "-1", "0",
]  # fmt: skip


@pytest.mark.parametrize("trick", TRICKS)
def test_no_id_leads_astray(server: Server, trick: str) -> None:
    with server.client() as client:
        for path in ("/v1/rigs/{}", "/v1/captures/{}", "/v1/adaptations/{}/events", "/v1/checkpoints/{}/artifact",
                     "/v1/uploads/{}", "/v1/keys/{}", "/v1/rigs/{}/captures", "/docs/{}", "/{}"):  # fmt: skip
            answer = client.get(path.format(trick))
            assert 300 <= answer.status_code < 500 or answer.json() == {"items": [], "next_cursor": None}, path
            assert "root:" not in answer.text
            assert "SQLite" not in answer.text
            assert "x-evil" not in answer.headers
        deleted = client.delete(f"/v1/rigs/{trick}")
        assert 300 <= deleted.status_code < 500


@pytest.mark.parametrize(
    "name", ["../../x", "a\x00b", "\U0001f4a5", "\ud83d", "x" * 201, "\u202egnp.exe", "\n", " ", "%00"]
)
def test_no_name_leads_astray(server: Server, world: World, name: str) -> None:
    with server.client() as client:
        for body in ({"name": name}, {"name": "x", "tags": [name]}, {"name": "x", "studio": name}):
            answer = client.post("/v1/rigs", content=json.dumps({**payloads.rig_document(world.rig), **body}))
            assert answer.status_code in {201, 422}, answer.text
        files = {name: (name, b"x")} if name.isascii() and name.isprintable() else {"labels": ("../../x", b"x")}
        rig = client.post("/v1/rigs", json=payloads.rig_document(world.rig)).json()["id"]
        assert client.post(f"/v1/rigs/{rig}/captures", files=files).status_code == 422
        upload = {"Tus-Resumable": "1.0.0", "Upload-Length": "3", "Upload-Metadata": "filename Li4vLi4veA=="}
        assert client.post("/v1/uploads", headers=upload).status_code == 201
    inside = [path for path in server.log.parent.rglob("*") if path.is_file()]
    assert all(path.resolve().is_relative_to(server.log.parent.resolve()) for path in inside)
    assert not (server.log.parent.parent / "x").exists()


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (head("GET", "/v1/rigs/../../../../etc/passwd"), b"404"),
        (head("GET", "//etc/passwd"), b"404"),
        (head("GET", "/v1/rigs", "X-Long: " + "x" * 100_000), b"4"),
        (head("GET", "/v1/rigs", "X-Long: " + "x" * 40_000), b"4"),
        (head("GET", "/v1/rigs", *(f"X-{number}: y" for number in range(2000))), b"431"),
        (head("GET", "/v1/rigs?" + "x" * 200_000), b"4"),
        (head("GET", "/v1/rigs", "Host: evil.example"), b"400"),
        (head("POST", "/v1/rigs", "Content-Length: -1"), b"400"),
        (head("POST", "/v1/rigs", "Content-Length: 9" * 2), b"400"),
        (head("POST", "/v1/rigs", "Transfer-Encoding: chunked") + b"zz\r\n", b"400"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"400"),  # TLS
        (b"\x00" * 1000 + b"\r\n\r\n", b"400"),
        (b"GET / HTTP/9.9\r\n\r\n", b"4"),
        (b"GET http://evil.example/v1/rigs HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", b"40"),
    ],
)
def test_what_is_huge_or_no_http_is_refused(server: Server, data: bytes, status: bytes) -> None:
    with served_meanwhile(server):
        answer = server.said(data.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n", 1))
    assert answer.startswith(b"HTTP/1.1 " + status), answer[:200]


def dribble(connection: socket.socket, piece: bytes, seconds: float) -> bytes:
    """Send a piece every tenth of a second until the server has had enough; what it answered."""
    began = time.monotonic()
    connection.settimeout(0.1)
    received = b""
    while time.monotonic() - began < seconds:
        try:
            received += (chunk := connection.recv(65_536))
            if not chunk:
                return received
        except TimeoutError:
            pass
        except ConnectionResetError:
            return received
        try:
            connection.sendall(piece)
        except OSError:
            return received
    raise AssertionError(f"the server still listens after {seconds} s; it said {received[:200]!r}")


def test_a_head_that_dribbles_is_cut_off(server: Server) -> None:
    def try_it(opening: bytes, piece: bytes) -> bytes:
        with closing(server.raw(opening)) as connection:
            return dribble(connection, piece, PATIENCE_S + 2)

    openings, pieces = (b"GET /v1/rigs HTTP/1.1\r\nX: ", b"", b"POST"), (b"y", b"", b" ")
    with served_meanwhile(server), ThreadPoolExecutor(3) as threads:
        assert set(threads.map(try_it, openings, pieces)) == {b""}


def test_a_body_that_stops_or_dribbles_is_refused(server: Server, world: World) -> None:
    with server.client() as client:
        rig = client.post("/v1/rigs", json=payloads.rig_document(world.rig)).json()["id"]
    requests = [
        head("POST", f"/v1/rigs/{rig}/poses", MULTIPART, "Content-Length: 1000000") + OPENING,
        head("POST", f"/v1/rigs/{rig}/captures", MULTIPART, "Transfer-Encoding: chunked") + b"1000\r\n" + OPENING,
        head("POST", "/v1/rigs", "Content-Type: application/json", "Content-Length: 1000") + b"{",
    ]

    def try_it(request: bytes, piece: bytes) -> bytes:
        with closing(server.raw(request)) as connection:
            return dribble(connection, piece, 3 * PATIENCE_S + 2)

    with served_meanwhile(server), ThreadPoolExecutor(6) as threads:
        answers = list(threads.map(try_it, requests * 2, [b""] * 3 + [b"y"] * 3))
    for answer in answers:
        assert answer.startswith(b"HTTP/1.1 408"), answer[:300]
        assert b'"code":"request_timeout"' in answer
    with server.client() as client:
        assert client.get(f"/v1/rigs/{rig}/captures").json()["items"] == []
    assert not list((server.log.parent / "data" / "uploads").glob("*/heatmaps"))


def test_long_lived_connections_are_not_cut_off(server: Server, world: World) -> None:
    with server.client() as client:
        rig = client.post("/v1/rigs", json=payloads.rig_document(world.rig)).json()["id"]
        capture = client.post(f"/v1/rigs/{rig}/captures", files=payloads.capture(world)).json()["id"]
        job = client.post(f"/v1/rigs/{rig}/adaptations", json={"capture": capture}).json()["id"]
        url = f"ws://127.0.0.1:{server.port}/v1/rigs/{rig}/live"
        key = {"Authorization": f"Bearer {SECRETS['key']}"}
        with (
            connect(url, additional_headers=key, proxy=None) as live,
            client.stream("GET", f"/v1/adaptations/{job}/events") as stream,
        ):
            lines = stream.iter_lines()
            assert any(line == "event: queued" for line in lines)
            time.sleep(PATIENCE_S + 0.5)
            live.send(b"no frame")
            assert "code" in json.loads(live.recv(timeout=5))["problem"]
            assert client.post(f"/v1/adaptations/{job}/cancel").status_code == 202
            assert any(line == "event: cancelled" for line in lines)


def test_an_upload_without_a_key_is_answered_before_it_comes(server: Server) -> None:
    for path, body in (
        ("/v1/rigs/rig_0/poses", (MULTIPART, "Content-Length: 1000000000")),
        ("/v1/rigs", ("Content-Type: application/json", "Content-Length: 4000000")),
        ("/v1/keys", ("Content-Type: application/json", "Transfer-Encoding: chunked")),
    ):
        with closing(server.raw(head("POST", path, *body, key=""))) as connection:
            began = time.monotonic()
            assert connection.recv(65_536).startswith(b"HTTP/1.1 401")
            assert time.monotonic() - began < PATIENCE_S


def test_a_crowd_of_slow_clients_keeps_nobody_out(server: Server, world: World) -> None:
    with server.client() as client:
        rig = client.post("/v1/rigs", json=payloads.rig_document(world.rig)).json()["id"]
    slow = [
        b"GET /v1/rigs HTTP/1.1\r\nX: ",
        head("POST", f"/v1/rigs/{rig}/captures", MULTIPART, "Content-Length: 1000000") + OPENING,
        head("POST", "/v1/rigs", "Content-Type: application/json", "Content-Length: 1000", key="") + b"{",
    ]
    with served_meanwhile(server):
        crowd = [server.raw(slow[number % 3]) for number in range(90)]
        time.sleep(2 * PATIENCE_S)
        answers = [rest_of(connection)[:12] for connection in crowd]
        for connection in crowd:
            connection.close()
    assert set(answers) == {b"", b"HTTP/1.1 408"}  # heads are cut off, bodies are answered


def test_too_many_connections_are_told_so_and_pass(server: Server) -> None:
    crowd = [server.raw(b"") for _ in range(125)]
    refused = server.said(head("GET", "/v1/rigs", "Connection: close"))
    for connection in crowd:
        connection.close()
    assert refused.startswith(b"HTTP/1.1 503")
    deadline = time.monotonic() + 5
    with server.client() as client:
        while client.get("/v1/rigs").status_code != 200:
            assert time.monotonic() < deadline


def test_nothing_secret_is_logged(
    server: Server, world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    key = SECRETS["key"]
    with server.client() as client:
        made = client.post("/v1/keys", json={"name": "x"}).json()["key"]
        rig = client.post("/v1/rigs", json=payloads.rig_document(world.rig)).json()["id"]
        capture = client.post(f"/v1/rigs/{rig}/captures", files=payloads.capture(world)).json()["id"]
        assert client.post(f"/v1/rigs/{rig}/adaptations", json={"capture": capture}).status_code == 202
        assert client.get("/readyz").status_code == 503  # the broker is away, and the log says so
        for secret in (key, made):
            client.get(f"/v1/rigs/{secret}", params={"api_key": secret}, headers={"Authorization": f"Bearer {secret}"})
            client.get(f"/{secret}/x", headers={"X-Request-ID": f"Bearer {secret}"})
            wrong = {"Authorization": f"Basic {secret}", "X-Forwarded-For": "192.0.2.67"}
            client.get("/", headers={**wrong, "Referer": f"http://u:{secret}@h/"})
            client.post("/v1/rigs", content=f'{{"name": "{secret}"', headers={"Content-Type": "application/json"})
    server.said(f"GET /{key} HTTP/1.1\r\nAuthorization: Bearer {key}\r\nX: \x00\r\n\r\n".encode())
    away = f"postgresql://rigfuse:{SECRETS['database']}@127.0.0.1:9/rigfuse"
    written = server.log.read_text()
    for name, value in environment(tmp_path, RIGFUSE_DATABASE_URL=away).items():
        monkeypatch.setenv(name, value)
    for command in (["doctor"], ["migrate"], ["admin", "create-key"]):
        with contextlib.suppress(SystemExit), one_sentence():
            written += CliRunner().invoke(cli.app, command, catch_exceptions=False).output
    told = capfd.readouterr()
    written += told.out + told.err
    assert "127.0.0.1" in written
    for name, secret in {**SECRETS, "made": made}.items():
        assert secret not in written, name


def test_the_first_key_is_made_on_the_machine_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings(data_dir=tmp_path, environment="production")
    database = Database(settings.database_url)
    database.upgrade()
    keys = KeyRing(settings, database)
    with pytest.raises(MisconfiguredService, match="rigfuse admin create-key"):
        keys.check_start()
    monkeypatch.setenv("RIGFUSE_DATA_DIR", str(tmp_path))
    assert CliRunner().invoke(cli.app, ["admin", "create-key", "--studio", "../x"]).exit_code == 2
    looks_only = CliRunner().invoke(cli.app, ["admin", "create-key", "--scope", "read", "--studio", "north"])
    assert "read, studio north" in looks_only.stderr
    with pytest.raises(MisconfiguredService):  # who only looks can make no key
        keys.check_start()
    made = CliRunner().invoke(cli.app, ["admin", "create-key", "--name", "ops", "--days", "30"])
    assert made.stderr.strip().endswith(", ops: admin, read, write")
    keys.check_start()
    principal = keys.identify(made.stdout.strip())
    database.dispose()
    assert principal is not None
    assert principal.scopes == set(Scope)
