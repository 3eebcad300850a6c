"""Learning curves on their way from the engine into the events of an adaptation."""

import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from job_rows import events_of, get_job

from app.adaptations import curves
from app.adaptations.curves import Curve
from app.adaptations.states import State, record
from models.checkpoint import Checkpoint
from models.curves import Observe, Point
from worker.adapt import run_adaptation
from worker.attempt import REPORT_EVERY_S
from worker.context import WorkerContext
from worker.curves import MOST_POINTS, Waiting


def test_curves_are_written_with_the_reports_and_what_is_left_at_the_end(
    context: WorkerContext, job: str, checkpoint: Checkpoint
) -> None:
    def engine(*_: Any, progress: Callable[[str, float], None], observe: Observe, **__: Any) -> Checkpoint:
        observe(Point("lines", "loss", 1, 0.75))
        progress("finetune", 0.2)
        threading.Event().wait(REPORT_EVERY_S)
        observe(Point("finetune", "loss", 1, 0.5))
        observe(Point("finetune", "held_back", 1, 0.625))
        progress("finetune", 0.5)
        observe(Point("finetune", "loss", 2, 0.25))
        return checkpoint

    run_adaptation(replace(context, engine=engine), job)
    told = [event.data for event in events_of(context.db, job) if event.kind == curves.KIND]
    about = {"state": "running", "attempt": 1}
    assert told == [
        {**about, "phase": "lines", "loss": [[1, 0.75]]},
        {**about, "phase": "finetune", "loss": [[1, 0.5]], "held_back": [[1, 0.625]]},
        {**about, "phase": "finetune", "loss": [[2, 0.25]]},
    ]
    assert get_job(context.db, job).state == State.SUCCEEDED
    with context.db.read_session() as session:
        read = curves.read(session, job)
    assert [(curve.phase, dict(curve.points)) for curve in read] == [
        ("lines", {"loss": [(1, 0.75)]}),
        ("finetune", {"loss": [(1, 0.5), (2, 0.25)], "held_back": [(1, 0.625)]}),
    ]


def test_the_curves_read_are_those_of_the_last_attempt_that_told_any(context: WorkerContext, job: str) -> None:
    with context.db.session() as session:
        for loss in (0.9, 0.1):  # both the first one: what a worker gives back does not count
            record(session, job, State.RUNNING, {"attempt": 1})
            curves.write(session, job, 1, [Curve("finetune", {"loss": [(1, loss)]})])
        record(session, job, State.RUNNING, {"attempt": 2})
        assert curves.read(session, job) == (Curve("finetune", {"loss": [(1, 0.1)]}),)
        assert curves.read(session, "ada_none") == ()


def test_a_method_that_tells_without_end_is_cut_short() -> None:
    waiting = Waiting()
    for step in range(2 * MOST_POINTS):
        waiting.add(Point("finetune", "loss", step, 1.0))
    assert [len(curve.points["loss"]) for curve in waiting.curves()] == [MOST_POINTS]
    waiting.written()
    assert waiting.curves() == ()
