"""Settings from the environment."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from app.settings import Settings


def test_addresses_follow_from_the_data_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RIGFUSE_DATA_DIR", str(tmp_path / "a b"))
    settings = Settings()
    assert settings.database_url == f"sqlite:///{tmp_path}/a b/rigfuse.db"
    assert settings.artifacts_url == f"file://{tmp_path}/a%20b/artifacts"
    assert settings.uploads_dir == tmp_path / "a b" / "uploads"
    assert settings.environment == "production"


def test_keys_are_split_and_never_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RIGFUSE_API_KEYS", " one-key-here , two-key-here,, ")
    settings = Settings()
    assert [key.get_secret_value() for key in settings.api_keys] == ["one-key-here", "two-key-here"]
    assert "one-key-here" not in repr(settings)
    assert "one-key-here" not in settings.model_dump_json()


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_postgresql_is_reached_through_psycopg(scheme: str) -> None:
    settings = Settings(database_url=f"{scheme}://u:p@h/db")
    assert settings.database_url == "postgresql+psycopg://u:p@h/db"
    assert settings.database_kind == "postgresql"


def test_sizes_may_be_written_with_units(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RIGFUSE_MAX_UPLOAD_BYTES", "1GiB")
    assert Settings().max_upload_bytes == 1 << 30


@pytest.mark.parametrize(
    ("name", "value"), [("device", "tpu"), ("port", "70000"), ("engine_cache", "0"), ("lease_s", "-1")]
)
def test_nonsense_is_refused(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(f"RIGFUSE_{name.upper()}", value)
    with pytest.raises(ValidationError, match=name):
        Settings()
