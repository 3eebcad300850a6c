"""What an adaptation came to in one sentence, and what its reader is to do next."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from app.adaptations.states import State
from app.tables import AdaptationRow, RigRow
from app.told import text


@dataclass(frozen=True)
class Answer:
    """The first thing that the page says: is it good, and what is to be done."""

    tone: str
    title: str
    told: str
    next: str = ""
    link: str = ""
    link_text: str = ""


def answer(job: AdaptationRow, rig: RigRow) -> Answer | None:
    """Of an adaptation that has ended; None while it has not."""
    if job.state == State.SUCCEEDED:
        return _succeeded(job, rig)
    if job.state == State.FAILED:
        error = job.error or {}
        told = text(error.get("detail")) or "No reason was told."
        return Answer("bad", "It failed", told, _hint(error))
    if job.state == State.CANCELLED:
        return Answer("quiet", "It was cancelled", "Nothing was changed: the rig is served as before.")
    return None


def _succeeded(job: AdaptationRow, rig: RigRow) -> Answer:
    metrics: Mapping[str, Any] = job.metrics or {}
    reason, at_rig = text(metrics.get("reason")), f"/rigs/{rig.id}"
    serves = rig.active_checkpoint_id == job.checkpoint_id
    if metrics.get("promoted") is True:
        told = _sentence(reason.removeprefix("Promoted: "))
        if serves:
            return Answer("good", "Promoted: it serves now", told, "Nothing has to be done.", at_rig, "See the rig")
        now = "with another checkpoint" if rig.active_checkpoint_id else "without fusion"
        then = f"The rig is served {now} by now."
        return Answer("quiet", "It was promoted, and serves no more", told, then, at_rig, "See the rig's history")
    told = _sentence(reason.removeprefix("Not promoted: ")) or "Why was not told."
    if serves:
        return Answer("warn", "Not promoted, but activated by hand", told, "It serves now.", at_rig, "See the rig")
    then, link, link_text = _after_refusal(reason)
    link = link.format(rig=rig.id, capture=job.capture_id)
    return Answer("warn", "Not promoted: the rig is served as before", told, then, link, link_text)


def _sentence(words: str) -> str:
    return words[:1].upper() + words[1:]


_RIG, _CHECKPOINTS, _ADVICE = "/rigs/{rig}", "/rigs/{rig}#checkpoints", "/rigs/{rig}#advice"
_CAPTURE, _FRAMES = "/rigs/{rig}/capture", "/captures/{capture}/frames"
_MORE = "Where more labels help most"
_AFTER_REFUSAL = {
    "activate it by hand": (
        "If all who use the joints can follow into the new world, activate it by hand.", _CHECKPOINTS,
        "Activate it at the rig",
    ),
    "fuses exactly as": ("Nothing has to be done: what serves is as good.", _RIG, "See the rig"),
    "had to be turned": (
        "Look at that camera's mount, calibrate it again and register the new calibration.", _RIG, "See the cameras",
    ),
    "do not fit": ("Look whether cameras, joints or frames are exchanged.", _FRAMES, "See frames with their labels"),
    "meet in space": ("Cameras may be out of step, or joints exchanged.", _FRAMES, "See frames with their labels"),
    "was not compared with": ("Adapt again, to compare it with what serves since.", _RIG, "See the rig"),
    "cannot tell": ("Label more frames: the rig's page says which cameras and joints gain most.", _ADVICE, _MORE),
    "learned from some of these frames": ("A new capture is a fair judge of both.", _CAPTURE, "Add a capture"),
}  # fmt: skip
"""By words of the verdict (models.gate), what follows from it; the first that fits is taken."""
_OTHERWISE = ("Leave what serves. More labels, above all of hidden joints, are what helps most.", _ADVICE, _MORE)


def _after_refusal(reason: str) -> tuple[str, str, str]:
    return next((then for words, then in _AFTER_REFUSAL.items() if words in reason), _OTHERWISE)


_HINTS = {
    "insufficient_memory": "Use fewer frames or cameras, another method, or a worker with more memory.",
    "insufficient_labels": "Label more frames, each joint in two cameras or more, and adapt to the new capture.",
    "invalid_labels": "Correct the labels, upload them as a new capture and adapt to that.",
    "invalid_options": "Ask again with options that fit this method and rig.",
    "capture_purged": "The footage is gone by the retention policy: upload a capture again.",
    "corrupt_artifact": "A stored file is damaged: run rigfuse doctor, and upload the capture again.",
    "service_unavailable": "The artifact store or the database did not answer: see Operations, then retry.",
    "storage_full": "The disk is full: make room (see Operations), then retry.",
    "device_unavailable": "The worker's GPU did not answer: see Operations, then retry.",
    "worker_lost": "The worker died or lost its connection, often for want of memory: see Operations, then retry.",
    "worker_died": "The worker died, often for want of memory: see Operations, then retry.",
}


def _hint(error: Mapping[str, Any]) -> str:
    for key in ("cause", "code"):
        if hint := _HINTS.get(text(error.get(key))):
            return hint
    return "Retry it; if it fails in the same way, the worker's log has more under the request id below."
