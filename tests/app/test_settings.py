"""Settings from the environment."""

from pathlib import Path

import pytest
from pydantic import ValidationError
from sqlalchemy import make_url

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


def test_secrets_come_from_files_where_a_container_engine_puts_them(tmp_path: Path) -> None:
    (tmp_path / "rigfuse_api_keys").write_text("a-key-in-a-file-0123\n")
    (tmp_path / "rigfuse_database_password").write_text("p@ss/w:rd?\n")
    settings = Settings(database_url="postgresql://u@h:5432/db", _secrets_dir=tmp_path)  # type: ignore[call-arg]
    assert [key.get_secret_value() for key in settings.api_keys] == ["a-key-in-a-file-0123"]
    assert make_url(settings.database_url).password == "p@ss/w:rd?"  # noqa: S105 - a test's own
    assert settings.database_url.endswith("@h:5432/db")
    assert "p@ss" not in repr(settings.database_password)


def test_a_password_in_the_url_stays(tmp_path: Path) -> None:
    given = {"database_url": "postgresql://u:its-own@h/db", "database_password": "another"}
    settings = Settings(data_dir=tmp_path, **given)
    assert settings.database_url == "postgresql+psycopg://u:its-own@h/db"


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
