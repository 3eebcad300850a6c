"""A deployment that has been worked with for months: thousands of rigs with histories that hang together.

``seed`` writes rows alone, without artifacts: enough for lists and pages. The same seed gives the same fleet.
"""

from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

import numpy as np
from sqlalchemy import bindparam, insert, update
from sqlalchemy.orm import Session

from app.db import Database
from app.tables import ActivationRow, AdaptationRow, CaptureRow, CheckpointRow, RigRow, RigServingRow
from benchmarks._fleet_report import manifest, report
from models.studios import random_rig

STUDIOS = ("north", "harbour", "lot-7", "Ærø film", "mocap-lab", "old-mill", "kino-3", "sports-hall")
_STAGES = ("Stage", "Volume", "Hall", "Ring", "Dome", "Gym", "Atelier", "Corridor")
_TAGS = ("faces", "two people", "props", "outdoor", "stunts", "children", "ballet", "lent")
_BATCH = 500
_TABLES = {row.__tablename__: row for row in (RigRow, CaptureRow, AdaptationRow, CheckpointRow, ActivationRow)}


class Story(StrEnum):
    """What has become of a rig."""

    WELL = "well"
    DRIFTING = "drifting"
    FAILED = "failed"
    NOT_PROMOTED = "not_promoted"
    ADAPTING = "adapting"
    LABELLED = "labelled"
    BARE = "bare"
    UNASKED = "unasked"
    ARCHIVED = "archived"


SHARES = {
    Story.WELL: 0.80, Story.DRIFTING: 0.03, Story.FAILED: 0.02, Story.NOT_PROMOTED: 0.03, Story.ADAPTING: 0.002,
    Story.LABELLED: 0.02, Story.BARE: 0.018, Story.UNASKED: 0.03, Story.ARCHIVED: 0.05,
}  # fmt: skip
_ERRORS = (
    ("insufficient_labels", "Only 3 frames have at least 5 joints labelled in two or more cameras."),
    ("attempts_exhausted", "The worker was lost three times; the last attempt ended with: MemoryError."),
    ("insufficient_memory", "It needs about 9.4 GB, and no living worker has more than 8.0 GB."),
)


@dataclass(frozen=True)
class _Scene:
    """What all rigs share: random numbers, the time, calibrations to choose from, and how much to write."""

    rng: np.random.Generator
    now: datetime
    calibrations: list[dict[str, Any]]
    detailed: bool

    def id(self, prefix: str) -> str:
        return f"{prefix}_{self.rng.bytes(12).hex()}"

    def sha256(self) -> str:
        return self.rng.bytes(32).hex()


def seed(
    database: Database, rigs: int = 5000, *, now: datetime | None = None, detailed: bool = False
) -> dict[Story, list[str]]:
    """Write so many rigs; answers their ids by story. ``detailed`` writes reports as large as real ones."""
    rng = np.random.default_rng(0)
    sizes = (4, 4, 4, 5, 6, 8, 8, 12)
    calibrations = [random_rig(rng, size).to_dict() for size in sizes for _ in range(2)]
    scene = _Scene(rng, now or datetime.now(UTC), calibrations, detailed)
    stories = _stories(rng, rigs)
    made: dict[Story, list[str]] = defaultdict(list)
    for first in range(0, rigs, _BATCH):
        rows: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for index, story in enumerate(stories[first : first + _BATCH], first):
            made[story].append(_add_rig(scene, rows, index, story))
        with database.session() as session:
            _write(session, rows)
    return dict(made)


def _stories(rng: np.random.Generator, rigs: int) -> list[Story]:
    """Every story at least once where there is room, and well mixed."""
    counts = {story: max(1, round(share * rigs)) for story, share in SHARES.items()}
    counts[Story.WELL] = max(0, rigs - sum(counts.values()) + counts[Story.WELL])
    told = [story for story, count in counts.items() for _ in range(count)][:rigs]
    return [told[index] for index in rng.permutation(len(told))]


def _write(session: Session, rows: dict[str, list[dict[str, Any]]]) -> None:
    # What points forward (a rig's active checkpoint, an adaptation's checkpoint) is set once all is there.
    active = [{"_id": row["id"], "active": row.pop("active")} for row in rows["rigs"]]
    made = [{"_id": row["id"], "made": row.pop("made")} for row in rows["adaptations"]]
    for name, table in _TABLES.items():
        if rows[name]:
            session.execute(insert(table.__table__), rows[name])  # type: ignore[arg-type]
    if rows["rig_serving"]:
        session.execute(insert(RigServingRow.__table__), rows["rig_serving"])  # type: ignore[arg-type]
    connection = session.connection()
    for table, column, values in (
        (RigRow.__table__, "active_checkpoint_id", active),
        (AdaptationRow.__table__, "checkpoint_id", made),
    ):
        if values:
            name = next(key for key in values[0] if key != "_id")
            statement = update(table).where(table.c.id == bindparam("_id")).values({column: bindparam(name)})  # type: ignore[arg-type]
            connection.execute(statement, values)


def _add_rig(scene: _Scene, rows: dict[str, list[dict[str, Any]]], index: int, story: Story) -> str:
    rng = scene.rng
    studio = STUDIOS[int(len(STUDIOS) * rng.random() ** 2)]  # some are larger than others
    document = scene.calibrations[int(rng.integers(len(scene.calibrations)))]
    born = scene.now - timedelta(days=float(rng.uniform(3, 400)))
    rig = {
        "id": scene.id("rig"), "studio": studio, "name": f"{_STAGES[index % len(_STAGES)]} {index:04d}",
        "notes": "", "tags": [str(tag) for tag in rng.choice(_TAGS, int(rng.integers(0, 3)), replace=False)],
        "revision": 1, "digest": scene.sha256(), "document": document, "created_at": born, "active": None,
        "archived_at": scene.now - timedelta(days=1) if story is Story.ARCHIVED else None,
    }  # fmt: skip
    rows["rigs"].append(rig)
    history = _History(scene, rows, rig, [camera["id"] for camera in document["cameras"]])
    history.live(story)
    return str(rig["id"])


@dataclass
class _History:
    """One rig's captures, adaptations, checkpoints and how it is served."""

    scene: _Scene
    rows: dict[str, list[dict[str, Any]]]
    rig: dict[str, Any]
    cameras: list[str]
    held_out: float = 0.0

    def live(self, story: Story) -> None:
        """Go through it, the oldest first."""
        rng, now = self.scene.rng, self.scene.now
        age = now - self.rig["created_at"]
        if story is Story.BARE:
            return
        if story is Story.LABELLED:
            self.capture(now - 0.3 * age)
            return
        for number in range(int(rng.integers(1, 5))):
            when = self.rig["created_at"] + age * (0.1 + 0.15 * number)
            self.adapt(when, "succeeded", promoted=True)
        if story not in {Story.UNASKED, Story.ARCHIVED}:
            self.serve(1.25 * float(rng.uniform(1.02, 1.6)) if story is Story.DRIFTING else float(rng.normal(1, 0.05)))
        lately = now - timedelta(hours=float(rng.uniform(0.2, 60)))
        if story is Story.FAILED:
            self.adapt(lately, "failed")
        elif story is Story.NOT_PROMOTED:
            self.adapt(lately, "succeeded", promoted=False)
        elif story is Story.ADAPTING:
            self.adapt(now - timedelta(minutes=float(rng.uniform(1, 20))), str(rng.choice(["queued", "running"])))

    def capture(self, when: datetime) -> str:
        """A capture of about 50 labelled frames."""
        rng = self.scene.rng
        frames = int(rng.integers(45, 81))
        warned = [f"The labels of camera {self.cameras[0]} cover only 9% of its view."] if rng.random() < 0.2 else []
        row = {
            "id": self.scene.id("cap"), "studio": self.rig["studio"], "rig_id": self.rig["id"], "kind": "images",
            "digest": self.scene.sha256(), "frames": frames, "labelled_joints": 17 * frames * len(self.cameras),
            "coverage": self._coverage(frames), "warnings": warned, "labels_sha256": self.scene.sha256(),
            "source_sha256": self.scene.sha256(), "size_bytes": 2_000_000 * len(self.cameras), "created_at": when,
        }  # fmt: skip
        self.rows["captures"].append(row)
        return str(row["id"])

    def adapt(self, when: datetime, state: str, *, promoted: bool = False) -> None:
        """An adaptation and, where it succeeded, its checkpoint."""
        rng, over = self.scene.rng, state in {"succeeded", "failed"}
        code, detail = _ERRORS[int(rng.choice(3, p=[0.7, 0.2, 0.1]))]
        row: dict[str, Any] = {
            "id": self.scene.id("ada"), "studio": self.rig["studio"], "rig_id": self.rig["id"],
            "capture_id": self.capture(when - timedelta(minutes=10)), "method": "metafuse", "seed": 0, "options": {},
            "priority": "interactive" if rng.random() < 0.7 else "batch", "state": state,
            "stage": "done" if over else "finetune" if state == "running" else "queued",
            "progress": 1.0 if over else float(rng.uniform(0.1, 0.9)) if state == "running" else 0.0,
            "eta_s": 40.0 if state == "running" else None, "attempt": int(state != "queued"), "metrics": None,
            "error": {"code": code, "detail": detail} if state == "failed" else None, "created_at": when,
            "started_at": None if state == "queued" else when + timedelta(seconds=2),
            "finished_at": when + timedelta(seconds=90) if over else None, "made": None,
        }  # fmt: skip
        self.rows["adaptations"].append(row)
        if state == "succeeded":
            self._succeed(row, promoted=promoted)

    def _succeed(self, job: dict[str, Any], *, promoted: bool) -> None:
        rng = self.scene.rng
        before, gain = float(rng.uniform(0.55, 0.8)), float(rng.uniform(0.08, 0.2)) if promoted else 0.01
        told = report(rng, self.cameras, before=before, gain=gain, promoted=promoted, detailed=self.scene.detailed)
        job["metrics"] = told
        row = {
            "id": self.scene.id("ckp"), "studio": self.rig["studio"], "rig_id": self.rig["id"],
            "adaptation_id": job["id"], "capture_id": job["capture_id"], "method": "metafuse", "seed": 0,
            "artifact_sha256": self.scene.sha256(), "size_bytes": 400_000 * len(self.cameras) * (len(self.cameras) - 1),
            "manifest": manifest(rng, self.cameras, told), "promoted": promoted, "reason": told["reason"],
            "created_at": job["finished_at"],
        }  # fmt: skip
        self.rows["checkpoints"].append(row)
        job["made"] = row["id"]
        if promoted:
            self.rig["active"], self.held_out = row["id"], told["fused"]["reprojection_median_px"]
            self.rows["activations"].append(
                {"rig_id": self.rig["id"], "checkpoint_id": row["id"], "action": "promoted", "reason": row["reason"],
                 "created_at": job["finished_at"]}
            )  # fmt: skip

    def serve(self, ratio: float) -> None:
        """Requests with the active checkpoint, whose views agree ``ratio`` times as badly as at its adaptation."""
        rng = self.scene.rng
        asked = int(rng.integers(20, 200_000))
        self.rows["rig_serving"].append(
            {"rig_id": self.rig["id"], "checkpoint_id": self.rig["active"], "requests": asked, "frames": 4 * asked,
             "reprojection_px": ratio * self.held_out, "views_used": float(rng.uniform(3.2, 3.8)),
             "last_request_at": self.scene.now - timedelta(hours=float(rng.gamma(1, 20)))}
        )  # fmt: skip

    def _coverage(self, frames: int) -> dict[str, Any]:
        told = {"labelled": 17 * frames, "hidden": 3 * frames, "inside_view": 1.0, "view_covered": 0.4}
        return {"cameras": dict.fromkeys(self.cameras, told), "frames_with_two_views": frames, "distinct_poses": frames}
