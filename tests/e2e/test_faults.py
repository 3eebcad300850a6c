"""A short storm: real processes are killed at seeded random moments while they adapt and serve."""

from pathlib import Path

import pytest

from benchmarks._fault_deployment import Deployment
from benchmarks._fault_storm import Plan, deliver_again, kill, restart_database, stop_worker, storm

SEED = 4
FAULTS = [*kill("worker", "api", "broker"), restart_database, stop_worker, deliver_again]
NAMES = (
    "kill -9 of worker", "kill -9 of api", "kill -9 of broker", "database restarts", "SIGTERM of a worker",
    "messages delivered again",
)  # fmt: skip


@pytest.mark.parametrize("seed", [SEED])
def test_nothing_is_lost_or_done_twice_while_processes_are_killed(tmp_path: Path, seed: int) -> None:
    plan = Plan(seed, adaptations=4, pose_requests=40, studios=2, every_s=1.2, least_faults=6, most_faults=8)
    with Deployment(tmp_path) as deployment:
        outcome = storm(deployment, plan, FAULTS)
        deployment.wait_workers()
    assert outcome.violations == []
    assert outcome.counts["pose requests answered"] == 40
    assert outcome.counts["adaptations succeeded"] >= 3  # of four, one of which may have been cancelled
    assert [name for name in NAMES if not outcome.counts.get(name)] == []
    assert deployment.exits == {"database": 0, "broker": 0, "worker1": 0, "worker2": 0, "api": 0}
