"""A disk that is full, a real one: what is told, and that nothing half-written stays."""

import os
from collections.abc import Callable
from pathlib import Path

import payloads
import pytest
from running import serving

from app.artifacts import ArtifactStore
from app.errors import StorageFull
from app.settings import Settings
from models.worlds import World


@pytest.mark.parametrize("full", ["artifacts", "uploads"])
def test_an_upload_that_does_not_fit_leaves_nothing(
    full: str, make_settings: Callable[..., Settings], small_disk: Path, world: World
) -> None:
    settings = make_settings(artifacts_url=small_disk.as_uri()) if full == "artifacts" else make_settings()
    if full == "uploads":
        settings.uploads_dir.parent.mkdir(exist_ok=True)
        settings.uploads_dir.symlink_to(small_disk)
    with serving(settings) as service:
        rig = service.register(world)
        before = service.holdings()
        answer = service.upload(rig, payloads.capture(world))
        assert (answer.status_code, answer.json()["code"]) == (507, "storage_full")
        assert "room" in answer.json()["detail"] or "full" in answer.json()["detail"]
        assert service.holdings() == before
        assert {path.name for path in small_disk.rglob("*") if path.is_file()} <= {"store-id"}
        assert service.client.get(f"/v1/rigs/{rig}").status_code == 200


def test_a_store_without_room_keeps_what_it_has(small_disk: Path, tmp_path: Path) -> None:
    store = ArtifactStore(small_disk.as_uri())
    kept = store.put_bytes(os.urandom(300_000))
    (tmp_path / "large").write_bytes(os.urandom(900_000))
    with pytest.raises(StorageFull):
        store.put_bytes(os.urandom(900_000))
    with pytest.raises(StorageFull):
        store.put_file(tmp_path / "large")
    assert {path.name for path in small_disk.rglob("*") if path.is_file()} == {"store-id", kept}
    assert len(store.read(kept)) == 300_000
    store.put_bytes(os.urandom(300_000))
