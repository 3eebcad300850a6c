"""Children: started again with growing pauses, ended politely and then not, and bound to their parent's life."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from worker import supervisor
from worker.bound import bound_command
from worker.supervisor import Child, Program


def program(folder: Path, code: str, patience_s: float = 5, **more: object) -> Program:
    return Program(
        name="child",
        command=[sys.executable, "-c", code],
        log=folder / "logs/child.log",
        environment=dict(os.environ),
        patience_s=patience_s,
        **more,  # type: ignore[arg-type]
    )


def wait_until(condition: Callable[[], bool], within_s: float = 10) -> None:
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_output_goes_to_the_log_and_input_comes_from_the_program(tmp_path: Path) -> None:
    child = Child(program(tmp_path, "print('heard', input())", standard_input="a secret\n"))
    child.start()
    wait_until(lambda: not child.alive)
    assert child.last_words() == "heard a secret"


def test_what_died_is_started_again_after_growing_pauses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "_LONGEST_PAUSE_S", 0.8)
    child = Child(program(tmp_path, "import time; print(time.monotonic(), flush=True)"), _pause_s=0.2)
    child.start()

    def starts() -> list[float]:
        child.look_after()
        return [float(line) for line in child.last_words(100).splitlines()]

    wait_until(lambda: len(starts()) >= 5, within_s=20)
    first, second, third, fourth = (b - a for a, b in zip(starts(), starts()[1:5], strict=False))
    assert 0.2 < first < second < third
    assert fourth < third + 0.5  # no longer than the longest
    child.stop()


def test_a_living_child_is_left_alone(tmp_path: Path) -> None:
    child = Child(program(tmp_path, "import time; print('up', flush=True); time.sleep(60)"))
    child.start()
    wait_until(lambda: child.last_words() == "up")
    for _ in range(20):
        child.look_after()
    assert child.alive
    child.stop()
    assert not child.alive
    assert child.last_words() == "up"


def test_a_child_that_does_not_listen_is_killed(tmp_path: Path) -> None:
    code = "import signal, time; signal.signal(15, signal.SIG_IGN); print('deaf', flush=True); time.sleep(60)"
    child = Child(program(tmp_path, code, patience_s=0.3))
    child.start()
    wait_until(lambda: child.last_words() == "deaf")
    began = time.monotonic()
    child.stop()
    assert not child.alive
    assert 0.3 <= time.monotonic() - began < 5


def test_a_long_log_is_put_aside_at_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "_KEEP_LOG_BYTES", 10)
    log = tmp_path / "logs/child.log"
    log.parent.mkdir()
    log.write_text("the log of a long time\n")
    child = Child(program(tmp_path, "print('new')"))
    child.start()
    wait_until(lambda: not child.alive)
    assert log.read_text() == "new\n"
    assert log.with_suffix(".log.1").read_text() == "the log of a long time\n"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux binds a child to its parent")
def test_a_bound_program_dies_with_its_parent() -> None:
    sleeper = "import os, time; print(os.getpid(), flush=True); time.sleep(60)"
    parent_code = (
        "import subprocess, sys, time; from worker.bound import bound_command;"
        f"subprocess.Popen(bound_command([sys.executable, '-c', {sleeper!r}])); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", parent_code], stdout=-1, text=True) as parent:
        assert parent.stdout is not None
        bound = int(parent.stdout.readline())
        os.kill(bound, 0)
        parent.kill()
        parent.stdout.read()  # ends when both have gone: both held the pipe
        wait_until(lambda: is_gone(bound))


def is_gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def test_a_program_whose_parent_is_gone_already_does_not_start() -> None:
    command = bound_command([sys.executable, "-c", "print('started')"])
    command[command.index(str(os.getpid()))] = "1"  # not the parent
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stdout == ""
