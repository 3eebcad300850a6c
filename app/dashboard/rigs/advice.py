"""What to do next with a rig, in one sentence and where to do it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from app.adaptations.states import State
from app.dashboard.rigs.asked import Show
from app.dashboard.rigs.reading import Line

_LONGEST = 150


@dataclass(frozen=True)
class Advice:
    """A sentence, and the page where it can be followed."""

    told: str
    href: str


def advice(line: Line) -> Advice:
    """What a capture technician does next with this rig."""
    return _ADVICE[line.standing](line)


def _failed(line: Line) -> Advice:
    detail = line.job.detail if line.job else ""
    return Advice(_short(f"Adaptation failed: {detail}" if detail else "Adaptation failed."), _job(line))


def _drifting(line: Line) -> Advice:
    return Advice(f"Check the cameras: views disagree more than at its adaptation (×{line.ratio or 0:.1f})", _rig(line))


def _not_promoted(line: Line) -> Advice:
    return Advice(_short((line.job.reason if line.job else "") or "Not promoted."), _job(line))


def _no_checkpoint(line: Line) -> Advice:
    if line.waiting_frames:
        return Advice(f"Start an adaptation: {line.waiting_frames} frames wait", f"/rigs/{line.id}/capture")
    if line.job is None:
        return Advice("Drop labelled frames", f"/rigs/{line.id}/capture")
    if line.job.state == State.CANCELLED:
        return Advice("Its adaptation was cancelled: try it again", _job(line))
    return Advice("Nothing serves: activate a checkpoint, or adapt again", _rig(line))


def _adapting(line: Line) -> Advice:
    job = line.job
    if job is None or job.state != State.RUNNING:
        return Advice("Waits for a worker", _job(line))
    left = "" if job.eta_s is None else f", about {max(1, round(job.eta_s))} s left"
    return Advice(f"{job.stage.capitalize()}, {job.progress:.0%}{left}", _job(line))


def _never_asked(line: Line) -> Advice:
    return Advice("Ready: ask for its first poses", _rig(line))


def _well(line: Line) -> Advice:
    if line.waiting_frames:
        told = f"Well served; adapt again when you like: {line.waiting_frames} newer frames wait"
        return Advice(told, f"/rigs/{line.id}/capture")
    return Advice("Well served" if line.ratio is not None else "Served", _rig(line))


def _archived(line: Line) -> Advice:
    return Advice("Archived: nothing to do", _rig(line))


_ADVICE: Mapping[Show, Callable[[Line], Advice]] = {
    Show.FAILED: _failed,
    Show.DRIFTING: _drifting,
    Show.NOT_PROMOTED: _not_promoted,
    Show.NO_CHECKPOINT: _no_checkpoint,
    Show.ADAPTING: _adapting,
    Show.NEVER_ASKED: _never_asked,
    Show.WELL: _well,
    Show.ARCHIVED: _archived,
}


def _rig(line: Line) -> str:
    return f"/rigs/{line.id}"


def _job(line: Line) -> str:
    return f"/adaptations/{line.job.id}" if line.job else _rig(line)


def _short(told: str) -> str:
    if len(told) <= _LONGEST:
        return told
    return told[:_LONGEST].rpartition(" ")[0].rstrip(",.:;") + " …"
