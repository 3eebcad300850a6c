"""The artifact store: what goes in comes out, whole, or not at all."""

import hashlib
from pathlib import Path

import pytest

from app.artifacts import ArtifactStore
from app.errors import MisconfiguredService, ServiceUnavailable
from models.errors import CorruptArtifact


@pytest.fixture
def artifacts(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore((tmp_path / "a store").as_uri())


def files_of(artifacts: ArtifactStore) -> list[str]:
    found = sorted(path.name for path in artifacts.root.rglob("*") if path.is_file())
    return ["store-id", *(name for name in found if name != "store-id")] if "store-id" in found else found


def test_bytes_come_back_under_their_digest(artifacts: ArtifactStore, tmp_path: Path) -> None:
    data = bytes(range(256)) * 9000
    sha256 = artifacts.put_bytes(data)
    assert sha256 == hashlib.sha256(data).hexdigest()
    assert artifacts.read(sha256) == data
    (tmp_path / "file").write_bytes(data)
    assert artifacts.put_file(tmp_path / "file") == sha256
    assert (tmp_path / "file").exists()
    assert files_of(artifacts) == ["store-id", sha256]


def test_changed_and_missing_bytes_are_told(artifacts: ArtifactStore) -> None:
    sha256 = artifacts.put_bytes(b"right")
    artifacts.path(sha256).write_bytes(b"wrong")
    with pytest.raises(CorruptArtifact, match="does not hold"):
        artifacts.read(sha256)
    (artifacts.root / sha256[:2] / sha256).unlink()
    with pytest.raises(CorruptArtifact, match="missing"):
        artifacts.read(sha256)


@pytest.mark.parametrize("name", ["", "../../etc/passwd", "A" * 64, "0" * 63, "0" * 64 + "\n"])
def test_only_digests_name_artifacts(artifacts: ArtifactStore, name: str) -> None:
    with pytest.raises(CorruptArtifact, match="not the name"):
        artifacts.path(name)


def test_what_fails_while_writing_leaves_nothing(artifacts: ArtifactStore, tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError):
        artifacts.put_file(tmp_path)
    artifacts.check_writable()
    assert files_of(artifacts) == ["store-id"]


@pytest.mark.parametrize("url", ["s3://bucket/x", "/var/lib", "file://host/x", "file:", ""])
def test_only_a_local_directory_is_a_store(url: str) -> None:
    with pytest.raises(MisconfiguredService, match="local directory"):
        ArtifactStore(url)


def test_what_was_begun_can_be_forgotten_and_what_was_stored_stays(artifacts: ArtifactStore) -> None:
    sha256 = artifacts.put_bytes(b"kept")
    (artifacts.root / "incoming" / "tmpabc").write_bytes(b"half")
    artifacts.forget_incoming()
    assert files_of(artifacts) == ["store-id", sha256]


@pytest.mark.parametrize("instead", ["nothing", "a bare mount point", "another store"])
def test_a_store_that_is_away_is_told_from_bytes_that_are_missing(
    artifacts: ArtifactStore, tmp_path: Path, instead: str
) -> None:
    sha256 = artifacts.put_bytes(b"kept")
    (tmp_path / "file").write_bytes(b"more")
    away = artifacts.root.rename(tmp_path / "away")
    if instead == "a bare mount point":
        (artifacts.root / "incoming").mkdir(parents=True)
    elif instead == "another store":
        ArtifactStore(artifacts.root.as_uri())
    found = sorted(tmp_path.rglob("*"))
    for use in (
        lambda: artifacts.put_bytes(b"new"),
        lambda: artifacts.put_file(tmp_path / "file"),
        lambda: artifacts.read(sha256),
        lambda: artifacts.path(sha256),
        lambda: artifacts.holds(sha256),
        lambda: artifacts.delete(sha256),
        lambda: list(artifacts.list()),
        artifacts.forget_incoming,
        artifacts.check_writable,
    ):
        with pytest.raises(ServiceUnavailable, match="away") as told:
            use()
        assert told.value.at == "artifacts"
    assert sorted(tmp_path.rglob("*")) == found  # nothing was made beside it
    if instead == "nothing":
        away.rename(artifacts.root)
        assert artifacts.read(sha256) == b"kept"
