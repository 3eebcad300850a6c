import sys
from pathlib import Path

import pytest

from app.demo import fetch
from app.demo.errors import DemoFailed
from app.demo.main import run
from app.demo.service import running_service


def test_without_a_network_it_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(fetch.WHEEL_VARIABLE, raising=False)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(SystemExit) as stopped:
        run(data_dir=tmp_path / "data", output=tmp_path / "out", synthetic=False)
    assert stopped.value.code == 1
    said = capsys.readouterr().out
    assert "could not be downloaded" in said
    assert "--synthetic" in said
    assert "Traceback" not in said


def test_a_service_that_cannot_start_is_told(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "lock").mkdir()  # where the service wants to write its lock
    with pytest.raises(DemoFailed, match="did not start") as failure, running_service(tmp_path / "data"):
        pass
    assert "demo-service.log" in str([p.name for p in (tmp_path / "data").iterdir()])
    assert str(tmp_path / "data") in str(failure.value)


def test_the_demo_needs_no_torch() -> None:
    import subprocess  # noqa: PLC0415 - a fresh interpreter, since other tests import torch

    code = "import sys, app.demo.main, app.demo.pictures; sys.exit('torch' in sys.modules)"
    assert (
        subprocess.run([sys.executable, "-c", code], check=False, cwd=Path(fetch.__file__).parents[2]).returncode == 0
    )
