"""How many cores a process may use."""

import os
from pathlib import Path

import pytest

from app.processes import usable_cores


@pytest.mark.parametrize(("told", "cores"), [("100000 100000", 1), ("20000 100000", 1), ("max 100000", None)])
def test_a_container_s_limit_bounds_the_threads(tmp_path: Path, told: str, cores: int | None) -> None:
    (tmp_path / "cpu.max").write_text(told + "\n")
    assert usable_cores(tmp_path / "cpu.max") == (cores or len(os.sched_getaffinity(0)))


def test_without_a_limit_all_cores_are_used(tmp_path: Path) -> None:
    assert usable_cores(tmp_path / "none") == len(os.sched_getaffinity(0))
