"""The store of resumable uploads, without a service: whose they are, how they end, and what a full disk says."""

import os
import time
from pathlib import Path

import pytest

from app.access.principal import Allowance, Principal, Scope
from app.errors import Forbidden, NotFound, StorageFull
from app.resumable.records import UNBEGUN
from app.resumable.store import UploadStore
from app.settings import Settings
from app.uploads import write_all

STUDIO_A = Principal("key_a", "a", frozenset(Scope), "a")
STUDIO_B = Principal("key_b", "b", frozenset(Scope), "b")
NOBODYS = Principal("key_0", "all", frozenset(Scope))


def test_an_upload_is_seen_by_its_studio_and_by_keys_of_none(settings: Settings) -> None:
    store = UploadStore(settings)
    upload = store.create(STUDIO_A, 5, None, "").id
    assert [found.id for found in store.all(STUDIO_A)] == [found.id for found in store.all(NOBODYS)] == [upload]
    assert store.all(STUDIO_B) == []
    with pytest.raises(NotFound):
        store.find(STUDIO_B, upload)
    with pytest.raises(NotFound), store.claimed(STUDIO_B, upload, "query"):
        pass
    with pytest.raises(NotFound):
        store.remove(STUDIO_B, upload)


def test_uploads_survive_a_new_process_and_end_with_their_time(settings: Settings) -> None:
    upload = UploadStore(settings).create(NOBODYS, 5, None, "").id
    with UploadStore(settings).appending(NOBODYS, upload, 0) as file:
        file.write(b"abc")
    later = UploadStore(settings)
    assert later.find(NOBODYS, upload).offset == 3
    data = settings.uploads_dir / "resumable" / f"{upload}.data"
    os.utime(data, (0, time.time() - settings.upload_expiry_s - 2))
    assert later.all(NOBODYS) == []
    assert later.sweep() == 1
    assert not data.exists()
    assert later.sweep() == 0


def test_an_upload_of_which_nothing_came_soon_gives_its_room_back(settings: Settings) -> None:
    store = UploadStore(settings)
    begun, unbegun = (store.create(NOBODYS, 5, None, "").id for _ in range(2))
    with store.appending(NOBODYS, begun, 0) as file:
        file.write(b"a")
    for upload in (begun, unbegun):
        data = settings.uploads_dir / "resumable" / f"{upload}.data"
        os.utime(data, (0, time.time() - UNBEGUN.total_seconds() - 2))
    assert [left.id for left in store.all(NOBODYS)] == [begun]


def test_a_studio_declares_half_of_the_room_and_a_deployment_all(settings: Settings) -> None:
    store = UploadStore(settings.model_copy(update={"uploads_total_bytes": 100}))
    store.create(STUDIO_A, 50, None, "")
    with pytest.raises(StorageFull, match="50 bytes together, and 51"):
        store.create(STUDIO_A, 1, None, "")
    store.create(STUDIO_B, 20, None, "")
    store.create(NOBODYS, 30, None, "")
    alone = UploadStore(settings.model_copy(update={"data_dir": settings.data_dir / "b", "uploads_total_bytes": 100}))
    alone.create(NOBODYS, 100, None, "")


def test_a_key_declares_no_more_than_it_may_store(settings: Settings) -> None:
    bounded = Principal("key_c", "c", frozenset(Scope), "c", Allowance(stored_bytes=1000))
    store = UploadStore(settings)
    store.create(bounded, 600, None, "")
    with pytest.raises(Forbidden, match=r"1,000 bytes, and with this upload 1,001") as refused:
        store.create(bounded, 401, None, "")
    assert refused.value.code == "quota_exceeded"


def test_a_disk_without_room_is_told_before_anything_is_sent(settings: Settings) -> None:
    store = UploadStore(settings.model_copy(update={"uploads_total_bytes": 2**60, "max_upload_bytes": 2**60}))
    with pytest.raises(StorageFull, match="no room"):
        store.create(NOBODYS, 2**58, None, "")


def test_a_full_disk_is_told() -> None:
    with Path("/dev/full").open("wb", buffering=0) as full, pytest.raises(StorageFull, match="no room"):
        write_all(full, b"x")
