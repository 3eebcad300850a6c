"""What is looked at: one frame of a capture, or a kept frame of a request, through which views and with what fusion."""

from dataclasses import dataclass
from typing import Annotated, Literal

from fastapi import Depends, Path, Query
from sqlalchemy.orm import Session

from app.captures.purging import capture_purged
from app.captures.repository import get_capture
from app.deps import DatabaseDep
from app.poses.engines import Fusion
from app.poses.repository import ACTIVE, find_fusion
from app.request_frames.repository import LARGEST_ID, get_frame
from app.rigs.cache import RigCache
from app.rigs.routes import RigsDep
from app.tables import CaptureRow, RequestFrameRow, RigRow
from app.wire import Id
from models.rig import Rig

Look = Literal["auto", "rig", "person"]
"""Through which windows: the rig's, such that follow the person, or as the service itself would look."""


@dataclass(frozen=True)
class Footage:
    """A file of frames, its labels if there are any, and the rig that they are of."""

    rig_id: str
    rig: Rig
    kind: str
    source_sha256: str
    labels_sha256: str | None


@dataclass(frozen=True)
class Subject:
    """A frame, by its place in the file; ``look`` says through which windows it is seen."""

    footage: Footage
    index: int
    fusion: Fusion
    look: Look


def footage_of_capture(session: Session, rigs: RigCache, row: CaptureRow) -> Footage:
    """The frames of a capture; raises Conflict where they were purged."""
    if row.purged_at is not None:
        raise capture_purged(row.id)
    rig = session.get_one(RigRow, row.rig_id)
    return Footage(row.rig_id, rigs.get(rig), row.kind, row.source_sha256, row.labels_sha256)


def footage_of_request(session: Session, rigs: RigCache, row: RequestFrameRow) -> Footage:
    """The one frame that was kept of a request."""
    rig = session.get_one(RigRow, row.rig_id)
    return Footage(row.rig_id, rigs.get(rig), row.kind, row.source_sha256, None)


@dataclass(frozen=True)
class Manner:
    """What the reader chose."""

    checkpoint: Annotated[str, Query(max_length=40)] = ACTIVE
    view: Annotated[Look, Query()] = "rig"


MannerDep = Annotated[Manner, Depends()]


def frame_of_capture(
    capture_id: Id,
    index: Annotated[int, Path(ge=0, le=1_000_000)],
    manner: MannerDep,
    database: DatabaseDep,
    rigs: RigsDep,
) -> Subject:
    """The frame of a capture that the path names; raises NotFound or Conflict."""
    with database.read_session() as session:
        footage = footage_of_capture(session, rigs, get_capture(session, capture_id))
        fusion = find_fusion(session, footage.rig_id, manner.checkpoint)
    return Subject(footage, index, fusion, manner.view)


def frame_of_request(
    rig_id: Id,
    number: Annotated[int, Path(ge=0, lt=LARGEST_ID)],
    manner: MannerDep,
    database: DatabaseDep,
    rigs: RigsDep,
) -> Subject:
    """The kept frame that the path names; raises NotFound."""
    with database.read_session() as session:
        footage = footage_of_request(session, rigs, get_frame(session, rig_id, number))
        fusion = find_fusion(session, rig_id, manner.checkpoint)
    return Subject(footage, 0, fusion, manner.view)
