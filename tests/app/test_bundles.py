"""Bundles over HTTP: from one deployment to another, and what is refused."""

import hashlib
import json
import stat
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import payloads
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import ValidationError
from running import Service, serving
from sqlalchemy import select
from stored import checkpoint_of, store

from app.bundles.format import fingerprint, write
from app.bundles.keys import signing_key
from app.errors import MisconfiguredService
from app.settings import Settings
from app.tables import AuditRow, CheckpointRow, RigRow
from models.checkpoint import Checkpoint
from models.rig import Rig
from models.worlds import World


@pytest.fixture
def rig(service: Service, world: World) -> str:
    return service.register(world)


@pytest.fixture(scope="session")
def elsewhere(make_settings: Callable[..., Settings], service_key: str) -> Iterator[Service]:
    """Another deployment, which trusts the first one's key."""
    with serving(make_settings(trusted_keys=(service_key,))) as running:
        yield running


@pytest.fixture(scope="session")
def service_key(service: Service) -> str:
    return str(service.client.get("/v1/signing-key").json()["public_key"])


def export(service: Service, checkpoint: str) -> bytes:
    answer = service.client.get(f"/v1/checkpoints/{checkpoint}/bundle")
    assert answer.status_code == 200, answer.text
    return answer.content


def send(service: Service, data: bytes, **query: Any) -> httpx.Response:
    return service.client.post("/v1/bundles", files={"bundle": data}, params=query)


def refused(service: Service, data: bytes, **query: Any) -> tuple[int, str]:
    """How it is refused, and that it left nothing."""
    before = service.holdings()
    answer = send(service, data, **query)
    assert service.holdings() == before
    return answer.status_code, answer.json()["code"]


def signed(service: Service, checkpoint: Checkpoint, of: Rig, **changed: Any) -> bytes:
    """A bundle that says what it likes, signed with the service's own key."""
    artifact = checkpoint.to_bytes()
    said = {
        "exported_at": "2026-05-04T03:02:01+00:00",
        "rig": {"name": "made", "document": of.to_dict()},
        "manifest": json.loads(json.dumps(checkpoint.manifest())),
        "digests": {"rig": of.digest, "artifact": hashlib.sha256(artifact).hexdigest()},
    }
    return write(said | changed, artifact, signing_key(service.settings))


def test_a_bundle_serves_elsewhere_as_it_did_here(
    service: Service, elsewhere: Service, service_key: str, rig: str, world: World
) -> None:
    here = store(service, rig, checkpoint_of(world.rig, gain=1.5), activate=True)
    data = export(service, here)
    answer = send(elsewhere, data, activate=True)
    assert answer.status_code == 201, answer.text
    imported = answer.json()
    checkpoint = imported["checkpoint"]
    assert (imported["checkpoint_registered"], checkpoint["active"]) == (True, True)
    assert (checkpoint["adaptation"], checkpoint["capture"]) == (None, None)
    assert checkpoint["origin"]["key"] == fingerprint(service_key)
    assert elsewhere.client.get(f"/v1/rigs/{imported['rig']}").json()["digest"] == world.rig.digest
    original = service.client.get(f"/v1/checkpoints/{here}/artifact").content
    assert elsewhere.client.get(f"/v1/checkpoints/{checkpoint['id']}/artifact").content == original
    frames = {"heatmaps": payloads.capture(world)["heatmaps"]}
    poses = [
        running.client.post(f"/v1/rigs/{where}/poses", files=frames).json()["frames"]
        for running, where in ((service, rig), (elsewhere, imported["rig"]))
    ]
    assert poses[0] == poses[1]
    history = elsewhere.client.get(f"/v1/rigs/{imported['rig']}/activations").json()["items"]
    assert (history[0]["checkpoint"], history[0]["reason"]) == (checkpoint["id"], "Imported with a bundle.")

    again = send(elsewhere, data)
    assert again.status_code == 200
    assert again.json()["checkpoint"]["id"] == checkpoint["id"]
    assert (again.json()["rig_registered"], again.json()["checkpoint_registered"]) == (False, False)
    with elsewhere.app.state.db.read_session() as session:
        query = select(AuditRow).where(AuditRow.action == "bundle.imported", AuditRow.subject == checkpoint["id"])
        assert session.scalars(query).one().detail["rig"] == imported["rig"]


def test_what_comes_home_is_known_there(service: Service, rig: str, world: World) -> None:
    here = store(service, rig, checkpoint_of(world.rig, gain=1.6), activate=False)
    answer = send(service, export(service, here), rig=rig)
    assert (answer.status_code, answer.json()["checkpoint"]["id"]) == (200, here)
    assert answer.json()["checkpoint"]["active"] is False


def test_two_who_import_the_same_register_it_once(service: Service, world: World) -> None:
    other = payloads.world(seed=21).rig
    data = signed(service, replace(checkpoint_of(world.rig), rig_digest=other.digest), other)
    answers: list[httpx.Response] = []
    threads = [threading.Thread(target=lambda: answers.append(send(service, data))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answer.status_code for answer in answers) == [200, 200, 201], answers[0].text
    with service.app.state.db.read_session() as session:
        row = session.scalars(select(RigRow).where(RigRow.digest == other.digest)).one()
        assert len(session.scalars(select(CheckpointRow).where(CheckpointRow.rig_id == row.id)).all()) == 1


def test_whom_nobody_trusts_is_refused(service: Service, elsewhere: Service, world: World) -> None:
    data = signed(elsewhere, checkpoint_of(world.rig), world.rig)
    assert refused(service, data) == (422, "bundle_untrusted")


def test_every_mismatch_has_its_code_and_leaves_nothing(service: Service, rig: str, world: World) -> None:
    made, other = checkpoint_of(world.rig), payloads.world(seed=22).rig
    document = world.rig.to_dict()
    wrong_camera = {**document, "cameras": [{**document["cameras"][0], "R": [[2, 0, 0]] * 3}, *document["cameras"][1:]]}
    omega = replace(made, omega=replace(made.omega, digest="f" * 64))
    cases: list[tuple[bytes, tuple[int, str]]] = [
        (signed(service, made, world.rig, rig={"name": "x", "document": wrong_camera}), (422, "invalid_rig")),
        (signed(service, made, world.rig, rig={"name": "x", "document": {}}), (422, "invalid_rig")),
        (signed(service, made, world.rig, rig={"name": "x\n", "document": document}), (422, "invalid_rig")),
        (signed(service, made, world.rig, rig={"name": "x", "document": other.to_dict()}), (422, "bundle_rig_digest")),
        (signed(service, made, other), (409, "checkpoint_mismatch")),
        (signed(service, made, world.rig, manifest={"seed": 9}), (422, "bundle_manifest")),
        (signed(service, omega, world.rig), (409, "bundle_omega_base")),
        (b"no bundle", (422, "invalid_bundle")),
    ]
    for data, expected in cases:
        assert refused(service, data) == expected
    good = signed(service, made, world.rig)
    assert refused(service, good, rig="rig_none") == (404, "rig_not_found")
    assert send(service, good, rig="rig_none").json()["at"] == "query.rig"
    another = service.client.post("/v1/rigs", json=payloads.rig_document(other)).json()["id"]
    assert refused(service, good, rig=another) == (409, "bundle_of_another_rig")


def test_a_bundle_that_is_too_large_is_refused_before_it_is_read(
    make_settings: Callable[..., Settings], world: World
) -> None:
    with serving(make_settings(max_bundle_bytes=10_000)) as service:
        assert refused(service, signed(service, checkpoint_of(world.rig), world.rig)) == (413, "upload_too_large")
        assert refused(service, b"x" * 12_000) == (413, "upload_too_large")


def test_a_purged_checkpoint_has_no_bundle(service: Service, rig: str, world: World) -> None:
    checkpoint = store(service, rig, checkpoint_of(world.rig, gain=1.7), activate=False)
    assert service.client.delete(f"/v1/checkpoints/{checkpoint}").status_code == 200
    answer = service.client.get(f"/v1/checkpoints/{checkpoint}/bundle")
    assert (answer.status_code, answer.json()["code"]) == (409, "checkpoint_purged")


def test_the_signing_key_is_made_once_and_for_its_owner(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, signing_key_file=tmp_path / "keys" / "rigfuse.pem")
    keys: list[Ed25519PrivateKey] = []
    threads = [threading.Thread(target=lambda: keys.append(signing_key(settings))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({key.private_bytes_raw() for key in keys}) == 1
    assert stat.S_IMODE((tmp_path / "keys" / "rigfuse.pem").stat().st_mode) == 0o600
    assert [path.name for path in (tmp_path / "keys").iterdir()] == ["rigfuse.pem"]
    (tmp_path / "keys" / "rigfuse.pem").write_text("no key")
    with pytest.raises(MisconfiguredService, match="private key"):
        signing_key(settings)
    with pytest.raises(ValidationError):
        Settings(data_dir=tmp_path, trusted_keys=("not a key",))
