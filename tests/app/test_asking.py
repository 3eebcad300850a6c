"""What the clients refuse before anything is sent, and that no message tells a secret."""

from collections.abc import Callable
from pathlib import Path

import pytest
from test_retries import answering

from app.asking import authorization, segment
from app.client import ClientError, Misused, RigFuseClient, Unreachable
from app.live_client import LiveClient

ADDRESSES = [
    "nonsense",
    "127.0.0.1:9",
    "ftp://x",
    "http://",
    "http://x:99999",
    "http://x:y",
    "http://a..b",
    "http://x?y",
]


@pytest.mark.parametrize("address", ADDRESSES)
@pytest.mark.parametrize("connect", [RigFuseClient, lambda url: LiveClient(url, "rig_1")])
def test_what_is_no_address_is_told_as_such(connect: Callable[[str], object], address: str) -> None:
    with pytest.raises(Misused, match="must be like http://"):
        connect(address)


@pytest.mark.parametrize("connect", [RigFuseClient, lambda url, key: LiveClient(url, "rig_1", key)])
@pytest.mark.parametrize("key", ["root\nkey", "rootkey-schlüssel", "rootkey\x00"])
def test_a_key_that_no_header_holds_is_refused_unseen(connect: Callable[[str, str], object], key: str) -> None:
    with pytest.raises(Misused, match="API key") as refused:
        connect("http://127.0.0.1:9", key)
    assert "root" not in str(refused.value)


def test_a_key_out_of_a_file_loses_its_end_of_line() -> None:
    assert authorization("key-1\r\n") == authorization(" key-1") == {"Authorization": "Bearer key-1"}
    assert authorization("\n") == authorization(None) == {}


def test_the_password_in_an_address_is_not_told() -> None:
    with RigFuseClient("http://me:pass@127.0.0.1:9") as client, pytest.raises(Unreachable) as away:
        client.rig("rig_1")
    assert "pass" not in f"{away.value} {away.value.__cause__}"
    with pytest.raises(Unreachable, match=r"^http://127\.0\.0\.1:9 cannot be reached"):
        LiveClient("http://me:pass@127.0.0.1:9", "rig_1")


def test_a_proxy_that_cannot_be_used_is_told_without_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "ftp://me:pass@127.0.0.1")
    with pytest.raises(Misused, match="ALL_PROXY") as refused:
        RigFuseClient()
    assert "pass" not in f"{refused.value} {refused.value.__cause__}"


def test_an_id_is_one_piece_of_a_path() -> None:
    assert segment("rig_1?a=b#c %2F") == "rig_1%3Fa%3Db%23c%20%252F"
    for no_id in ("", ".", "..", "a/b", "a\\b", "\udcff"):
        with pytest.raises(Misused):
            segment(no_id)
    with pytest.raises(Misused) as secret:
        segment("rf_abc123")
    assert "abc123" not in str(secret.value)


def test_an_idempotency_key_that_no_header_holds_is_not_the_services_fault() -> None:
    with RigFuseClient("http://127.0.0.1:9") as client, pytest.raises(Misused, match="idempotency key"):
        client.adapt("rig_1", "cap_1", idempotency_key="ü")


@pytest.mark.parametrize("body", [b"[]", b"{}", b"<html>"])
def test_another_service_is_told_as_such(body: bytes) -> None:
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
    with answering(answer) as (url, _), RigFuseClient(url) as client, pytest.raises(ClientError, match="no RigFuse"):
        list(client.rigs())


def test_a_file_that_shrinks_while_it_is_sent_is_not_the_services_fault(tmp_path: Path) -> None:
    file = tmp_path / "frames.zip"
    file.write_bytes(bytes(1 << 20))
    with answering(b"") as (url, _), RigFuseClient(url) as client, pytest.raises(ClientError, match="file changed"):
        client.poses("rig_1", frames=file, on_progress=lambda *_: file.write_bytes(b""))
