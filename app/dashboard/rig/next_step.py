"""What to do next with a rig, in one sentence."""

from dataclasses import dataclass


@dataclass(frozen=True)
class LastJob:
    """The newest adaptation of a rig."""

    id: str
    state: str
    stage: str
    progress: float
    capture: str
    error: str
    verdict: str


@dataclass(frozen=True)
class Situation:
    """What decides what is to be done; ``has_good`` where a promoted checkpoint could be activated."""

    rig: str
    archived: bool
    captures: int
    usable_capture: str | None
    has_active: bool
    has_good: bool
    job: LastJob | None
    newest_refused: str | None
    drift_ratio: float | None
    views_used: float | None
    cameras: int


@dataclass(frozen=True)
class NextStep:
    """What to do, and where; ``adapt`` is the capture to start with, where that is what to do."""

    sentence: str
    link: str | None = None
    link_text: str = ""
    adapt: str | None = None


def next_step(now: Situation) -> NextStep:
    """The one thing that matters most."""
    capture_page, job = f"/rigs/{now.rig}/capture", now.job
    if now.archived:
        return NextStep("This rig takes nothing new and serves no poses; all of it stays readable.")
    if job is not None and job.state in {"queued", "running"}:
        return _running(job)
    if now.captures == 0 and not now.has_active:
        sentence = "Drop about 50 labelled frames, so that the cameras can learn to help each other."
        return NextStep(sentence, capture_page, "Drop labelled frames")
    if job is not None and job.state == "failed":
        return _failed(now, job)
    if now.drift_ratio is not None:
        return _drifting(now, now.drift_ratio, capture_page)
    return _serving(now) if now.has_active else _not_serving(now, capture_page)


def _running(job: LastJob) -> NextStep:
    how = "waits for a worker" if job.state == "queued" else f"is under way: {job.stage}, {job.progress:.0%}"
    return NextStep(f"An adaptation {how}.", f"/adaptations/{job.id}", "Watch it")


def _failed(now: Situation, job: LastJob) -> NextStep:
    how = "It is served as before; the" if now.has_active else "The"
    sentence = f"{how} last adaptation failed: {job.error or 'no cause was told.'}"
    return NextStep(sentence, f"/adaptations/{job.id}", "Look at it, or try again")


def _drifting(now: Situation, ratio: float, capture_page: str) -> NextStep:
    outvoted = now.views_used is not None and now.views_used < 0.75 * now.cameras
    told = f" Only {now.views_used:.1f} of {now.cameras} views agree: one may have been knocked." if outvoted else ""
    sentence = (
        f"The views agree {ratio:.1f} times worse than when the checkpoint was judged.{told} "
        "Look whether a camera moved, then capture again."
    )
    return NextStep(sentence, capture_page, "Drop new labelled frames")


def _serving(now: Situation) -> NextStep:
    if now.newest_refused:
        sentence = f"It is served well; the newest checkpoint was not promoted. {_reason(now.newest_refused)}"
        return NextStep(sentence, "#checkpoints", "Look at the checkpoints")
    return NextStep("All is well. More labels make it better where it is weakest.", "#advice", "Where")


def _not_serving(now: Situation, capture_page: str) -> NextStep:
    if now.newest_refused:
        sentence = f"It is served without fusion: no checkpoint was promoted. {_reason(now.newest_refused)}"
        return NextStep(sentence, "#advice", "What would help")
    if now.has_good:
        sentence = "It is served without fusion: no checkpoint is active. Activate one, or adapt again."
        return NextStep(sentence, "#checkpoints", "Look at the checkpoints")
    if now.usable_capture is not None:
        sentence = "Labelled frames are here; start the adaptation."
        return NextStep(sentence, adapt=now.usable_capture)
    sentence = "No labelled frames are left; drop about 50 to adapt it."
    return NextStep(sentence, capture_page, "Drop labelled frames")


def _reason(refusal: str) -> str:
    told = refusal.removeprefix("Not promoted: ")
    return told[:1].upper() + told[1:]
