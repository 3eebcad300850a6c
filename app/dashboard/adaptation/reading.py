"""All that the page of an adaptation shows, read in a few queries."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session

from app.adaptations import curves, service
from app.adaptations.attempts import Attempt, History, histories
from app.adaptations.states import FINISHED, State
from app.dashboard.adaptation import evidence, log
from app.dashboard.adaptation.advice import Answer, answer
from app.dashboard.adaptation.charts import Chart, charts
from app.dashboard.adaptation.stages import Step, begun, steps
from app.tables import AdaptationRow, CaptureRow, CheckpointRow, RigRow
from app.told import mapping, number
from models.methods import METHODS

TONES = {
    State.QUEUED: "busy",
    State.RUNNING: "busy",
    State.SUCCEEDED: "good",
    State.FAILED: "bad",
    State.CANCELLED: "",
}
"""The badge of each state."""
_WITHOUT_STEPS = {
    "epipolar": "This method tries a dozen widths and gains on the labelled frames, so there is no curve.",
    "naivefuse": "This method solves for its weights at once, so there are no steps and no curve.",
    "naivefuse_meta": "This method solves for its weights at once, so there are no steps and no curve.",
}


@dataclass(frozen=True)
class View:
    """The whole page."""

    job: AdaptationRow
    rig: RigRow
    capture: CaptureRow
    answer: Answer | None
    steps: Sequence[Step]
    attempts: Sequence[Attempt]
    retry_of: str | None
    charts: Sequence[Chart]
    no_curve: str
    measured: evidence.Measured | None
    log: Sequence[log.Entry]
    checkpoint_purged: bool

    @property
    def tone(self) -> str:
        """The badge's class."""
        refused = self.measured is not None and self.measured.promoted is False
        return "warn" if refused else TONES[State(self.job.state)]

    @property
    def word(self) -> str:
        """The badge's word."""
        if self.job.cancel_requested and self.job.state == State.RUNNING:
            return "stopping"
        if self.job.state == State.SUCCEEDED and self.measured is not None and self.measured.promoted is not None:
            return "promoted" if self.measured.promoted else "not promoted"
        return self.job.state

    @property
    def may_cancel(self) -> bool:
        """Whether there is something to stop."""
        return self.job.state not in FINISHED and not self.job.cancel_requested

    @property
    def may_retry(self) -> bool:
        """Whether it came to an end that another try may better."""
        return self.job.state in {State.FAILED, State.CANCELLED}

    @property
    def seconds(self) -> float | None:
        """How long it ran from its first attempt to its end."""
        job = self.job
        return (job.finished_at - job.started_at).total_seconds() if job.finished_at and job.started_at else None


def read(session: Session, adaptation_id: str) -> View:
    """The page of an adaptation; raises NotFound."""
    job = service.find(session, adaptation_id)
    rig, capture = session.get_one(RigRow, job.rig_id), session.get_one(CaptureRow, job.capture_id)
    checkpoint = session.get(CheckpointRow, job.checkpoint_id) if job.checkpoint_id else None
    history, told = histories(session, [job.id]).get(job.id, History()), begun(session, job)
    drawn = charts(curves.read(session, job.id), _steps(job), _kept_step(job, _lineage(checkpoint)))
    return View(
        job=job,
        rig=rig,
        capture=capture,
        answer=answer(job, rig),
        steps=steps(job, told),
        attempts=history.attempts,
        retry_of=history.retry_of,
        charts=drawn,
        no_curve="" if drawn else f"{_why_no_curve(job)} {_kept(_lineage(checkpoint))}".strip(),
        measured=evidence.read(mapping(job.metrics)),
        log=log.entries(session, job.id, told),
        checkpoint_purged=checkpoint is not None and checkpoint.purged_at is not None,
    )


def _steps(job: AdaptationRow) -> int:
    """As many as were asked for."""
    asked = number(job.options.get("steps", METHODS[job.method].defaults.steps if job.method in METHODS else 0))
    return int(asked or 0)


def _lineage(checkpoint: CheckpointRow | None) -> Mapping[str, Any]:
    return mapping(mapping(checkpoint.manifest).get("lineage")) if checkpoint is not None else {}


def _kept_step(job: AdaptationRow, lineage: Mapping[str, Any]) -> int | None:
    """The step after which the paper's finetuning was stopped by the frames held back; None for other methods."""
    kept = number(lineage.get("steps")) if job.method in {"metafuse_paper", "affinefuse"} else None
    return None if kept is None else int(kept)


def _kept(lineage: Mapping[str, Any]) -> str:
    """What a method without steps settled on."""
    width, gain, strengths = number(lineage.get("sigma_px")), number(lineage.get("gain")), lineage.get("strengths")
    if width is not None and gain is not None:
        return f"It kept a width of {width:g} px and a gain of {gain:g}."
    if isinstance(strengths, list) and strengths:
        told = ", ".join(f"{value:g}" for one in strengths if (value := number(one)) is not None)
        return f"Of the charges λ that it tried, it kept for each target view by the frames held back: {told}."
    return ""


def _why_no_curve(job: AdaptationRow) -> str:
    if job.method in _WITHOUT_STEPS:
        return _WITHOUT_STEPS[job.method]
    if job.options.get("steps") == 0:
        return "It was asked for without a step of learning, so there is no curve."
    if job.state not in FINISHED:
        return "The curves begin with the first steps of finetuning."
    if job.state == State.SUCCEEDED:
        return "No curve was kept: it ran before curves were told."
    return "It ended before its first step of learning."
