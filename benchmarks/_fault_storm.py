"""A storm: clients at work while processes are hurt at seeded random moments."""

import math
import signal
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
from sqlalchemy import create_engine, select
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from app.queue import JobQueue
from app.tables import AdaptationRow
from benchmarks._fault_checks import finish, leftovers, states, violations
from benchmarks._fault_deployment import Deployment
from benchmarks._fault_load import Asker, Notes, poses, register, submit
from benchmarks._fault_studio import Studio, studios

Fault = Callable[[Deployment, np.random.Generator], str | None]
"""Does some harm and says what, None where there was nothing to harm."""


@dataclass(frozen=True)
class Plan:
    """How much work, how many clients, and how often something is hurt (mean seconds between two faults)."""

    seed: int
    adaptations: int
    pose_requests: int
    studios: int = 4
    clients: int = 2
    every_s: float = 4.0
    least_faults: int = 0
    most_faults: int | None = None  # after so many it is quiet, once each fault that has to strike has struck
    persist_s: float = 0.0  # how long faults go on striking once all clients are served, as jobs are not done


@dataclass
class Outcome:
    """What a storm left: counts to be told, and everything that is not as it has to be."""

    seconds: float = 0.0
    counts: dict[str, int] = field(default_factory=dict)
    violations: list[str] = field(default_factory=list)
    faults: int = 0


def storm(deployment: Deployment, plan: Plan, faults: Sequence[Fault]) -> Outcome:
    """Register, then adapt and serve while the faults strike; judge when all is quiet again."""
    began = time.monotonic()
    notes, made = Notes(), studios(plan.seed, plan.studios)
    with deployment.client() as client:
        for studio in made:
            register(Asker(notes, client), notes, studio)
    if len(notes.captures) < len(made):
        return Outcome(time.monotonic() - began, dict(notes.counts), notes.violations)
    over = threading.Event()
    with ThreadPoolExecutor(plan.clients + 2) as pool:
        striker = pool.submit(_strike, deployment, plan, faults, notes, over)
        clients = [pool.submit(_submit_all, deployment, plan, notes, made)]
        clients += [pool.submit(_serve_all, deployment, plan, notes, made, i) for i in range(plan.clients)]
        try:
            for each in clients:
                each.result()
            finish(deployment, within_s=plan.persist_s)  # the faults go on for a while as the jobs do
        finally:
            over.set()
        struck = striker.result()
    deployment.wait_ready()
    if not finish(deployment):
        notes.violate("adaptations were not in a final state 10 minutes after the last fault")
    found = violations(deployment, notes, made)
    counts = {**notes.counts, **states(deployment), "different answers compared": len(notes.answers)}
    counts["files left over"] = leftovers(deployment)
    counts["processes that died by themselves"] = sum(child.died for child in deployment.children.values())
    return Outcome(time.monotonic() - began, dict(sorted(counts.items())), found, struck)


def kill(*names: str) -> list[Fault]:
    """``kill -9`` of each of these processes."""
    return [_killing(name) for name in names]


def restart_database(deployment: Deployment, rng: np.random.Generator) -> str | None:
    """Stop the database at once, and start it."""
    return "database restarts" if deployment.restart_database(float(rng.uniform(0.2, 3.0))) else None


def stop_worker(deployment: Deployment, rng: np.random.Generator) -> str | None:
    """SIGTERM to a worker, which gives its job back."""
    name = str(rng.choice(deployment.workers))
    return "SIGTERM of a worker" if deployment.hurt(name, signal.SIGTERM, 0.5) else None


def freeze_worker(deployment: Deployment, rng: np.random.Generator) -> str | None:
    """Stop a worker for longer than its lease lasts, and let it go on: by then another one has its job."""
    name = str(rng.choice(deployment.workers))
    with deployment.frozen(name) as frozen:
        deployment.pause(float(rng.uniform(7, 12)) if frozen else 0)
    return "a worker hangs for longer than its lease" if frozen else None


def deliver_again(deployment: Deployment, _: np.random.Generator) -> str | None:
    """Send the messages of the newest adaptations once more, of those that are over too."""
    engine = create_engine(deployment.database_url)
    newest = select(AdaptationRow.id, AdaptationRow.priority).order_by(AdaptationRow.created_at.desc()).limit(20)
    try:
        with Session(engine) as session:
            rows = session.execute(newest).all()
    except OperationalError:  # it restarts just now
        return None
    finally:
        engine.dispose()
    queue = JobQueue(deployment.environment["RIGFUSE_BROKER_URL"])
    sent = [queue.enqueue_adaptation(row.id, row.priority) for row in rows]
    queue.close()
    return "messages delivered again" if any(sent) else None


def _killing(name: str) -> Fault:
    def fault(deployment: Deployment, rng: np.random.Generator) -> str | None:
        victim = str(rng.choice(deployment.workers)) if name == "worker" else name
        return f"kill -9 of {name}" if deployment.hurt(victim, down_s=float(rng.uniform(0.1, 2.0))) else None

    return fault


def _strike(deployment: Deployment, plan: Plan, faults: Sequence[Fault], notes: Notes, over: threading.Event) -> int:
    """Each fault in turn of a shuffled order, again and again; how many struck.

    It ends when the clients are served, but not before each fault has struck once, where ``least_faults`` asks for any.
    """
    rng = np.random.default_rng((plan.seed, 1))
    struck, missing = 0, set(range(len(faults))) if plan.least_faults else set()
    most = math.inf if plan.most_faults is None else plan.most_faults
    while True:
        for index in rng.permutation(len(faults)):
            if missing and index not in missing and (over.is_set() or struck >= most):
                continue
            _pause(deployment, over, float(rng.exponential(plan.every_s)))
            if not missing and (struck >= most or (over.is_set() and struck >= plan.least_faults)):
                return struck
            done = faults[index](deployment, rng)
            if done is not None:
                struck += 1
                missing.discard(int(index))
                notes.count(done)


def _pause(deployment: Deployment, over: threading.Event, seconds: float) -> None:
    """Wait; once it is over too, or the faults that are still due would find nothing that has come back."""
    if over.is_set():
        deployment.pause(seconds)
    over.wait(seconds)


def _submit_all(deployment: Deployment, plan: Plan, notes: Notes, made: Sequence[Studio]) -> None:
    rng = np.random.default_rng((plan.seed, 2))
    with deployment.client() as client:
        asker = Asker(notes, client)
        for number in range(plan.adaptations):
            _wait_for_the_others(plan, notes, number / plan.adaptations)
            submit(asker, notes, made[number % len(made)], f"campaign-{plan.seed}-{number}", rng)


def _wait_for_the_others(plan: Plan, notes: Notes, share: float) -> None:
    """Adaptations are asked for all along, not only while the first poses are."""
    patience = time.monotonic() + plan.every_s * 4
    while notes.counts["pose requests answered"] < 0.9 * share * plan.pose_requests and time.monotonic() < patience:
        time.sleep(0.1)


def _serve_all(deployment: Deployment, plan: Plan, notes: Notes, made: Sequence[Studio], client_number: int) -> None:
    rng = np.random.default_rng((plan.seed, 3, client_number))
    with deployment.client() as client:
        asker = Asker(notes, client)
        for _ in range(plan.pose_requests // plan.clients):
            poses(asker, notes, made[int(rng.integers(len(made)))], rng)
