"""The clients of a fault campaign: they ask until they are answered, as a careful program does, and note every answer.

A request whose connection broke, or that was told to come back (429 and 503, or 507 where a disk is full), is sent
again unchanged. Anything else that is not a success is written down as a violation.
"""

import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import httpx
import numpy as np

from benchmarks._fault_studio import TAKES, Studio

_PATIENCE_S = 240.0
_COME_BACK = {429, 503, 507}


@dataclass
class Notes:
    """What the clients saw, of all threads."""

    rigs: dict[int, str] = field(default_factory=dict)  # a studio's seed → its rig
    captures: dict[int, str] = field(default_factory=dict)  # … → its newest capture
    uploaded: set[str] = field(default_factory=set)
    jobs: dict[str, str] = field(default_factory=dict)  # Idempotency-Key → adaptation
    answers: dict[tuple[int, str, int], list[Any]] = field(default_factory=dict)  # studio, checkpoint, take → frames
    counts: Counter[str] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def count(self, what: str) -> None:
        """One more."""
        with self._lock:
            self.counts[what] += 1

    def violate(self, what: str) -> None:
        """Something that may not happen did."""
        with self._lock:
            self.violations.append(what)

    def job(self, key: str, adaptation: str) -> None:
        """The adaptation that a key was answered with: always the same."""
        with self._lock:
            if self.jobs.setdefault(key, adaptation) != adaptation:
                self.violations.append(f"the key {key} was answered with {self.jobs[key]} and with {adaptation}")

    def answer(self, studio: int, take: int, document: Any) -> None:
        """Poses that were served; several answers to the same question have to be equal."""
        with self._lock:
            known = self.answers.setdefault((studio, document["checkpoint"], take), document["frames"])
        if known is not document["frames"] and not same_poses(known, document["frames"]):
            self.violate(f"two answers for take {take} of studio {studio} by {document['checkpoint']} differ")


class Asker:
    """A client thread's way of asking."""

    def __init__(self, notes: Notes, client: httpx.Client) -> None:
        self.client, self._notes = client, notes

    def ask(self, method: str, path: str, **options: Any) -> Any:
        """The JSON that the request is answered with in the end; None where it was refused or never answered."""
        deadline = time.monotonic() + _PATIENCE_S
        while time.monotonic() < deadline:
            try:
                answer = self.client.request(method, path, **options)
            except httpx.TransportError:
                self._notes.count("requests that got no answer")
            else:
                self._notes.count(f"answers {answer.status_code}")
                if answer.is_success:
                    return answer.json()
                if answer.status_code not in _COME_BACK:
                    self._notes.violate(f"{method} {path} was answered {answer.status_code}: {answer.text[:300]}")
                    return None
            time.sleep(0.2)
        self._notes.violate(f"{method} {path} was not answered within {_PATIENCE_S:.0f} s")
        return None


def register(asker: Asker, notes: Notes, studio: Studio) -> None:
    """Register a studio's rig and upload its capture."""
    rig = asker.ask("POST", "/v1/rigs", json=studio.rig_document)
    if rig is not None:
        notes.rigs[studio.seed] = rig["id"]
        upload(asker, notes, studio)


def upload(asker: Asker, notes: Notes, studio: Studio) -> None:
    """Upload the studio's capture, perhaps once more."""
    capture = asker.ask("POST", f"/v1/rigs/{notes.rigs[studio.seed]}/captures", files=studio.capture)
    if capture is not None:
        notes.captures[studio.seed] = capture["id"]
        notes.uploaded.add(capture["id"])


def submit(asker: Asker, notes: Notes, studio: Studio, key: str, rng: np.random.Generator) -> None:
    """Ask for an adaptation; now and then ask again with the same key, and now and then think better of it."""
    if rng.random() < 0.3:
        upload(asker, notes, studio)
    priority = str(rng.choice(["interactive", "batch"]))
    body = {"capture": notes.captures[studio.seed], "priority": priority, **studio.method}
    path = f"/v1/rigs/{notes.rigs[studio.seed]}/adaptations"
    for _ in range(2 if rng.random() < 0.5 else 1):
        job = asker.ask("POST", path, json=body, headers={"Idempotency-Key": key})
        if job is not None:
            notes.job(key, job["id"])
            notes.count("adaptations asked for")
    if rng.random() < 0.08 and key in notes.jobs:
        _cancel(asker, notes, notes.jobs[key])


def _cancel(asker: Asker, notes: Notes, job: str) -> None:
    state = asker.ask("GET", f"/v1/adaptations/{job}")
    if state is not None and state["state"] in {"queued", "running"}:
        try:
            answer = asker.client.post(f"/v1/adaptations/{job}/cancel")  # once: a second answer would be another
        except httpx.TransportError:
            return
        notes.count(f"cancellations answered {answer.status_code}")
        if answer.status_code not in {200, 202, 409, *_COME_BACK}:
            notes.violate(f"a cancellation was answered {answer.status_code}: {answer.text[:300]}")


def poses(asker: Asker, notes: Notes, studio: Studio, rng: np.random.Generator) -> None:
    """Ask for the poses of one take, and note the answer."""
    take = int(rng.integers(TAKES))
    checkpoint = str(rng.choice(["active", "active", "none", "epipolar"]))
    path, params = f"/v1/rigs/{notes.rigs[studio.seed]}/poses", {"checkpoint": checkpoint}
    document = asker.ask("POST", path, params=params, files=studio.takes[take])
    if document is not None:
        notes.count("pose requests answered")
        notes.answer(studio.seed, take, document)


def same_poses(one: Any, other: Any, tolerance: float = 1e-3) -> bool:
    """Whether two lists of frames say the same, to a thousandth of a pixel or of the rig's unit."""
    if isinstance(one, dict):
        return isinstance(other, dict) and one.keys() == other.keys() and all(
            same_poses(one[key], other[key], tolerance) for key in one
        )  # fmt: skip
    if isinstance(one, list):
        return isinstance(other, list) and len(one) == len(other) and all(
            same_poses(a, b, tolerance) for a, b in zip(one, other, strict=True)
        )  # fmt: skip
    if isinstance(one, float) and isinstance(other, (int, float)):
        return abs(one - other) <= tolerance * max(1.0, abs(one))
    return bool(one == other)
