"""A process's name: its own while it lives, known as dead afterwards, and never taken for another's."""

import subprocess
import sys
import time

import pytest

from worker.identity import is_dead, own_identity

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")
CODE = "from worker.identity import own_identity; print(own_identity(), flush=True); input()"


def test_a_living_process_is_not_dead() -> None:
    assert own_identity() == own_identity()
    assert not is_dead(own_identity())


def test_a_process_is_dead_once_it_has_ended_even_as_a_zombie() -> None:
    with subprocess.Popen([sys.executable, "-c", CODE], stdin=-1, stdout=-1, text=True) as child:
        assert child.stdout is not None
        name = child.stdout.readline().strip()
        assert name != own_identity()
        assert not is_dead(name)
        child.kill()
        # Nobody waits for it, so it becomes a zombie, and stays one.
        deadline = time.monotonic() + 10
        while not is_dead(name) and time.monotonic() < deadline:
            time.sleep(0.01)
        assert is_dead(name)
    assert is_dead(name)


def test_the_same_number_under_another_start_is_another_process() -> None:
    place, pid, started = own_identity().rsplit("/", 2)
    assert is_dead(f"{place}/{pid}/{int(started) - 1}")


@pytest.mark.parametrize("change", [lambda n: "other-boot" + n, lambda n: n.replace("pid:[", "pid:[9")])
def test_of_other_machines_and_containers_nothing_is_known(change: object) -> None:
    place, pid, started = own_identity().rsplit("/", 2)
    elsewhere = change(f"{place}/{pid}/{int(started) - 1}")  # type: ignore[operator]
    assert not is_dead(elsewhere)


@pytest.mark.parametrize("name", ["", "unknown/1234", "a/b/c", "//", "worker-1"])
def test_a_name_of_another_kind_is_not_dead(name: str) -> None:
    assert not is_dead(name)
