"""What has to be true after any fault: nothing lost, nothing done twice, nothing half-written."""

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence

import httpx
from sqlalchemy import create_engine, select
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from app.adaptations.states import FINISHED, State
from app.artifacts import ArtifactStore
from app.checkpoints.activation import Action, read_history
from app.tables import ActivationRow, AdaptationEventRow, AdaptationRow, CaptureRow, CheckpointRow, RigRow
from benchmarks._fault_deployment import Deployment
from benchmarks._fault_load import Asker, Notes, same_poses
from benchmarks._fault_processes import wait_until
from benchmarks._fault_studio import Studio


def finish(deployment: Deployment, within_s: float = 600) -> bool:
    """Wait until no adaptation waits or runs; says whether that came about."""
    engine = create_engine(deployment.database_url)
    query = select(AdaptationRow.id).where(AdaptationRow.state.not_in(FINISHED)).limit(1)

    def over() -> bool:
        try:
            with Session(engine) as session:
                return session.scalar(query) is None
        except OperationalError:  # the database restarts just now
            return False

    try:
        wait_until(over, within_s, "adaptations are not in a final state")
    except TimeoutError:
        return False
    finally:
        engine.dispose()
    return True


def violations(deployment: Deployment, notes: Notes, studios: Sequence[Studio]) -> list[str]:
    """Everything that is not as it has to be, in words; call it when all is quiet."""
    store = ArtifactStore(f"file://{deployment.data_dir}/artifacts")
    engine = create_engine(deployment.database_url)
    with Session(engine) as session:
        found = [*notes.violations, *_jobs(session, notes), *_rigs(session), *_captures(session, notes)]
        found += _artifacts(session, store)
    engine.dispose()
    with deployment.client() as client:
        found += _answers(Asker(notes, client), notes, studios)
        found += _streams(client, notes)
    return found


def states(deployment: Deployment) -> Counter[str]:
    """How the adaptations ended, and the attempts that it took."""
    engine = create_engine(deployment.database_url)
    with Session(engine) as session:
        rows = session.execute(select(AdaptationRow.state, AdaptationRow.attempt)).all()
        reasons = session.scalars(select(AdaptationEventRow.data).where(AdaptationEventRow.kind == State.QUEUED))
        told = Counter(str(data["reason"]).partition(":")[0] for data in reasons if "reason" in data)
    engine.dispose()
    counts = Counter(f"adaptations {state}" for state, _ in rows)
    counts["attempts"] = sum(attempt for _, attempt in rows)
    return counts + Counter({f"queued again: {reason}": number for reason, number in told.items()})


def _jobs(session: Session, notes: Notes) -> Iterator[str]:
    rows = {row.id: row for row in session.scalars(select(AdaptationRow))}
    keys = Counter(row.idempotency_key for row in rows.values())
    yield from (f"{key} made {number} adaptations" for key, number in keys.items() if number != 1)
    yield from (f"{key} → {job} was answered and is lost" for key, job in notes.jobs.items() if job not in rows)
    made = Counter(session.scalars(select(CheckpointRow.adaptation_id)))
    active = Counter(session.scalars(select(ActivationRow.checkpoint_id).where(ActivationRow.action == "promoted")))
    ends = Counter(session.scalars(
        select(AdaptationEventRow.adaptation_id).where(AdaptationEventRow.kind.in_(FINISHED))
    ))  # fmt: skip
    for row in rows.values():
        succeeded = row.state == State.SUCCEEDED
        if row.state not in FINISHED:
            yield f"{row.id} is still {row.state}"
        if made[row.id] != int(succeeded) or (row.checkpoint_id is not None) != succeeded:
            yield f"{row.id} {row.state} with {made[row.id]} checkpoints"
        if row.checkpoint_id is not None and active[row.checkpoint_id] > 1:
            yield f"{row.checkpoint_id} was promoted {active[row.checkpoint_id]} times"
        if ends[row.id] != 1:
            yield f"{row.id} has {ends[row.id]} final events"
        if row.state == State.FAILED and not row.error:
            yield f"{row.id} failed for no reason that is told"
        if row.lease_owner is not None and row.state in FINISHED:
            yield f"{row.id} has ended and is still held"


def _rigs(session: Session) -> Iterator[str]:
    for rig in session.scalars(select(RigRow)):
        history = session.execute(
            select(ActivationRow.action, ActivationRow.checkpoint_id)
            .where(ActivationRow.rig_id == rig.id)
            .order_by(ActivationRow.id)
        )
        stack = read_history((Action(action), checkpoint) for action, checkpoint in history)
        if rig.active_checkpoint_id != (stack[-1] if stack else None):
            yield f"{rig.id} serves with {rig.active_checkpoint_id}, its history says {stack[-1:]}"


def _captures(session: Session, notes: Notes) -> Iterator[str]:
    stored = set(session.scalars(select(CaptureRow.id).where(CaptureRow.purged_at.is_(None))))
    yield from (f"{capture} was answered and is lost" for capture in notes.uploaded if capture not in stored)


def _artifacts(session: Session, store: ArtifactStore) -> Iterator[str]:
    named = {
        *session.scalars(select(CaptureRow.labels_sha256)),
        *session.scalars(select(CaptureRow.source_sha256)),
        *session.scalars(select(CheckpointRow.artifact_sha256)),
    }
    for sha256 in sorted(named):
        path = store.root / sha256[:2] / sha256
        if not path.is_file():
            yield f"a row names {sha256[:12]}, and it is not there"
        elif hashlib.sha256(path.read_bytes()).hexdigest() != sha256:
            yield f"{sha256[:12]} does not hold the bytes that were stored"


def _answers(asker: Asker, notes: Notes, studios: Sequence[Studio]) -> Iterator[str]:
    """Every answer that was given in the storm is given again in the calm."""
    by_seed = {studio.seed: studio for studio in studios}
    for (seed, checkpoint, take), frames in list(notes.answers.items()):
        path = f"/v1/rigs/{notes.rigs[seed]}/poses"
        calm = asker.ask("POST", path, params={"checkpoint": checkpoint}, files=by_seed[seed].takes[take])
        if calm is None or not same_poses(frames, calm["frames"]):
            yield f"take {take} of studio {seed} by {checkpoint} has another answer in the calm"


def _streams(client: httpx.Client, notes: Notes) -> Iterator[str]:
    """The stream of every job ends, with one final event, in order."""
    for job in notes.jobs.values():
        text = client.get(f"/v1/adaptations/{job}/events").text
        kinds = [line.removeprefix("event: ") for line in text.splitlines() if line.startswith("event: ")]
        numbers = [int(line.removeprefix("id: ")) for line in text.splitlines() if line.startswith("id: ")]
        if not kinds or kinds[-1] not in FINISHED or numbers != sorted(set(numbers)):
            yield f"the events of {job} end with {kinds[-1:]}"


def leftovers(deployment: Deployment) -> int:
    """Files that nobody needs: half-written artifacts, and uploads of requests that were cut."""
    places = (deployment.data_dir / "artifacts/incoming", deployment.data_dir / "uploads")
    return sum(path.is_file() for place in places for path in place.rglob("*"))
