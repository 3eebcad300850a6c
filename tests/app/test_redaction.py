"""What is secret stays out of the log, wherever it stood."""

import json
import logging
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from pydantic import SecretStr
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from app.access.keys import new_key
from app.db import Database
from app.observability import configure_standard_logging
from app.redaction import conceal, redact, redacted
from app.settings import Settings


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("redis://:hunter2@broker:6379/0 is away", "redis://***@broker:6379/0 is away"),
        ("postgresql+psycopg://me:p%40ss@db/x", "postgresql+psycopg://***@db/x"),
        ("https://host/path:8080 at 12:30", "https://host/path:8080 at 12:30"),
        ("Authorization: Bearer abcdefgh1234", "Authorization: Bearer ***"),
        ("'authorization': 'Basic dXNlcjpwYXNz'", "'authorization': 'Basic ***'"),
        ('{"password": "hunter2", "user": "me"}', '{"password": "***", "user": "me"}'),
        ("connect(password=hunter2, host=db)", "connect(password=***, host=db)"),
        ("AWS_SECRET_ACCESS_KEY=abc/def", "AWS_SECRET_ACCESS_KEY=***"),
        ("3 of 4 tokens used", "3 of 4 tokens used"),
    ],
)
def test_what_looks_like_a_secret_is_hidden(line: str, told: str) -> None:
    assert redacted(line) == told


def test_a_key_of_ours_is_hidden_anywhere() -> None:
    key = new_key()
    assert redacted(f"/v1/rigs/{key}/x") == "/v1/rigs/***/x"


def test_the_secrets_of_the_settings_are_hidden_without_any_sign_of_them(tmp_path: Path) -> None:
    settings = Settings(
        data_dir=tmp_path,
        database_url="postgresql://me:correct%20horse@db/rigfuse",
        api_keys=(SecretStr("studio-a-key-0001"),),
        artifacts_secret_access_key=SecretStr("s3cr3t-of-the-store"),
    )
    conceal(settings)
    event = {"said": "studio-a-key-0001", "deep": [{"more": "correct horse"}], "n": 3, "path": Path("/x")}
    assert redact(None, "info", event) == {"said": "***", "deep": [{"more": "***"}], "n": 3, "path": "/x"}
    assert redacted("signed with s3cr3t-of-the-store") == "signed with ***"


@contextmanager
def standard_logging() -> Iterator[None]:
    before = logging.root.handlers[:]
    configure_standard_logging("json")
    try:
        yield
    finally:
        logging.root.handlers[:] = before


def test_a_traceback_and_a_database_error_tell_no_secret(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    database = Database(f"sqlite:///{tmp_path}/x.db")
    password, key = secrets.token_hex(8), new_key()
    with pytest.raises(OperationalError) as raised, database.session() as session:
        session.execute(text("SELECT * FROM nowhere WHERE name = :name"), {"name": password})
    with standard_logging():
        try:
            forward(f"redis://:{password}@broker/0", raised.value)
        except ConnectionError:
            logging.getLogger("some.library").exception("it failed for %s", f"Bearer {key}")
    database.dispose()
    written = capsys.readouterr().out
    line = json.loads(written)
    assert password not in written
    assert key not in written
    assert "no such table" in line["exception"]
    assert "redis://***@broker/0" in line["exception"]


def forward(message: str, cause: Exception) -> None:
    raise ConnectionError(message) from cause
