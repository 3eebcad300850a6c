"""What serves is replaced only by what was compared with it and is better."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from job_rows import add_capture, add_job, add_rig, get_job

from app.checkpoints.activation import Action, activate, locked_rig
from app.tables import AdaptationRow, CaptureRow, CheckpointRow, RigRow, RigServingRow
from models.checkpoint import Checkpoint
from models.judgement import Serving, judge
from models.labelled import LabelledFrames
from models.rig import Rig
from models.worlds import World
from worker.adapt import run_adaptation
from worker.context import WorkerContext

Engine = Callable[..., Checkpoint]


@pytest.fixture(scope="module")
def good(world: World, checkpoint: Checkpoint) -> Checkpoint:
    """A checkpoint that serves well: the frames it was judged on are all it is asked about here."""
    return replace(checkpoint, metrics={}, capture_digest="another")


def judging(draft: Checkpoint, **changed: Any) -> Engine:
    """An engine that has learned already, and judges on all frames."""

    def run(rig: Rig, labelled: LabelledFrames, *, incumbent: Checkpoint | None, used: bool, **_: Any) -> Checkpoint:
        return judge(rig, replace(draft, **changed), labelled, Serving(incumbent, used))

    return run


def active(context: WorkerContext, job: str) -> str | None:
    with context.db.read_session() as session:
        return session.get_one(RigRow, session.get_one(AdaptationRow, job).rig_id).active_checkpoint_id


def run(context: WorkerContext, job: str, engine: Engine) -> AdaptationRow:
    run_adaptation(replace(context, engine=engine), job)
    row = get_job(context.db, job)
    assert row.checkpoint_id is not None, row.error
    return row


def again(context: WorkerContext, job: str) -> str:
    """Another job on the same rig and capture."""
    row = get_job(context.db, job)
    return add_job(context.db, row.rig_id, row.capture_id, seed=1)


@pytest.fixture
def served(context: WorkerContext, job: str, good: Checkpoint) -> str:
    """A job whose checkpoint serves."""
    row = run(context, job, judging(good))
    assert row.metrics is not None
    if not row.metrics["promoted"]:
        with context.db.session() as session:
            activate(session, locked_rig(session, row.rig_id), str(row.checkpoint_id), Action.ACTIVATED)
    return job


def test_a_worse_one_does_not_replace_what_serves(context: WorkerContext, served: str, good: Checkpoint) -> None:
    before = active(context, served)
    row = run(context, again(context, served), judging(good, gains=0 * good.gains, project=False, limbs=None))
    assert row.metrics is not None
    assert row.metrics["promoted"] is False
    assert row.metrics["evidence"][-1]["rival"] == "incumbent"
    assert active(context, served) == before
    assert row.metrics["incumbent"]["jdr"] >= row.metrics["fused"]["jdr"]


def test_the_same_again_changes_nothing(context: WorkerContext, served: str, good: Checkpoint) -> None:
    before = active(context, served)
    row = run(context, again(context, served), judging(good, seed=9))
    assert "exactly as the checkpoint that serves now" in (row.metrics or {})["reason"]
    assert active(context, served) == before


def test_a_better_one_replaces_what_serves(context: WorkerContext, job: str, good: Checkpoint) -> None:
    bad = run(context, job, judging(good, theta=good.theta[::-1], gains=9 * good.gains, project=False))
    with context.db.session() as session:
        activate(session, locked_rig(session, bad.rig_id), str(bad.checkpoint_id), Action.ACTIVATED)
    row = run(context, again(context, job), judging(good))
    assert (row.metrics or {})["evidence"][-1]["verdict"] == "better"
    assert (active(context, job) == row.checkpoint_id) is (row.metrics or {})["promoted"]


def test_what_became_active_meanwhile_stays(context: WorkerContext, served: str, good: Checkpoint) -> None:
    """An operator activates another checkpoint while one that beats the first is being judged."""
    second = run(context, again(context, served), judging(good, seed=5)).checkpoint_id

    def engine(rig: Rig, labelled: LabelledFrames, **given: Any) -> Checkpoint:
        assert given["incumbent"] is not None
        with context.db.session() as session:
            rig_id = session.get_one(AdaptationRow, served).rig_id
            activate(session, locked_rig(session, rig_id), str(second), Action.ACTIVATED)
        return replace(good, seed=7, metrics={"promoted": True, "reason": "Promoted: it beats them."})

    row = run(context, again(context, served), engine)
    assert active(context, served) == second
    assert row.metrics is not None
    assert row.metrics["promoted"] is False
    assert f"checkpoint {second} became active meanwhile" in row.metrics["reason"]
    with context.db.read_session() as session:
        stored = session.get_one(CheckpointRow, row.checkpoint_id)
    assert (stored.promoted, stored.reason) == (False, row.metrics["reason"])


def test_a_broken_checkpoint_that_serves_is_no_rival(context: WorkerContext, served: str, good: Checkpoint) -> None:
    with context.db.session() as session:
        sha = session.get_one(CheckpointRow, active(context, served)).artifact_sha256
    context.artifacts.delete(sha)
    given: dict[str, Any] = {}

    def engine(*_: Any, **rest: Any) -> Checkpoint:
        given.update(rest)
        return replace(good, metrics={"promoted": True, "reason": "Promoted."})

    row = run(context, again(context, served), engine)
    assert (given["incumbent"], given["used"]) == (None, True)
    assert active(context, served) == row.checkpoint_id


@pytest.mark.parametrize("requests", [0, 3])
def test_a_rig_that_was_served_without_a_checkpoint_has_a_world(
    context: WorkerContext, job: str, good: Checkpoint, requests: int
) -> None:
    with context.db.session() as session:
        session.add(RigServingRow(rig_id=session.get_one(AdaptationRow, job).rig_id, requests=requests))
    row = run(context, job, judging(good, lineage={**good.lineage, "extrinsics": "labels"}))
    assert (row.metrics or {})["new_world"] is (requests > 0)


def test_rigs_do_not_share_what_serves(context: WorkerContext, served: str, good: Checkpoint, world: World) -> None:
    with context.db.read_session() as session:
        capture = session.get_one(CaptureRow, get_job(context.db, served).capture_id)
    rig_id = add_rig(context.db, world.rig.to_dict())
    digests = {"labels_sha256": capture.labels_sha256, "source_sha256": capture.source_sha256}
    row = run(context, add_job(context.db, rig_id, add_capture(context.db, rig_id, **digests)), judging(good))
    assert "incumbent" not in (row.metrics or {})
