"""Sealing a capture: everything is checked before anything is kept."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy.orm import Session

from app.access.quotas import check_room
from app.artifacts import Artifacts
from app.captures.contents import Labels
from app.captures.labels import PART, check_frames_agree, read_labels
from app.framesets import FrameFile, check_frames
from app.image_files import ImageFile
from app.keeping import keep
from app.rigs.repository import get_usable_rig
from app.settings import Settings
from app.tables import CaptureRow, new_id, utc_now
from app.uploads import Upload
from models.backbone import Backbone, check_skeleton
from models.labelled import coverage, labels_to_view
from models.rig import Rig


@dataclass(frozen=True)
class CheckedCapture:
    """An upload that fits the rig, not yet kept."""

    rig_digest: str
    labels: Labels
    source: FrameFile
    coverage: dict[str, object]
    warnings: list[str]

    @property
    def kind(self) -> str:
        """What was sent: images or heatmaps."""
        return "images" if isinstance(self.source, ImageFile) else "heatmaps"


@dataclass(frozen=True)
class StoredCapture:
    """A checked capture whose bytes are in the artifact store, under their digests; no row names them yet."""

    checked: CheckedCapture
    labels: bytes
    labels_sha256: str
    source_sha256: str
    size_bytes: int

    @property
    def digest(self) -> str:
        """SHA-256 over rig, labels and source."""
        sealed = "\n".join((self.checked.rig_digest, self.labels_sha256, self.source_sha256))
        return hashlib.sha256(sealed.encode()).hexdigest()


def check(upload: Upload, rig: Rig, settings: Settings, backbone: Callable[[], Backbone]) -> CheckedCapture:
    """Check labels, frames and every single image; raises InvalidInput with the place of the fault."""
    path = upload.require(PART, "a capture needs its labels as a JSON file")
    labels = read_labels(path, rig, settings.max_capture_frames)
    source = check_frames(upload, rig, settings, settings.max_capture_frames)
    unused = check_frames_agree(labels, source.frames)
    if isinstance(source, ImageFile):
        check_skeleton(rig, backbone())
        for _ in source.images(rig):
            pass  # decoding is the check
    joints_view = labels_to_view(rig, labels.joints_image)
    covered, warnings = coverage(rig, joints_view, labels.visibility)
    return CheckedCapture(rig.digest, labels, source, covered, unused + warnings)


def store(artifacts: Artifacts, checked: CheckedCapture) -> StoredCapture:
    """Keep the bytes of a checked capture; takes as long as copying them, so no session may be open meanwhile."""
    labels, size = checked.labels.to_bytes(), checked.source.path.stat().st_size
    source_sha256 = artifacts.put_file(checked.source.path)
    return StoredCapture(checked, labels, artifacts.put_bytes(labels), source_sha256, size + len(labels))


def seal(session: Session, artifacts: Artifacts, rig_id: str, stored: StoredCapture) -> CaptureRow:
    """Write the row of a stored capture; raises Conflict where the rig was archived since its upload began.

    The bytes stay even then: they may be another capture's too, one that is being sealed at this moment.
    """
    rig = get_usable_rig(session, rig_id)
    check_room(session, rig.studio, stored.size_bytes)
    checked = stored.checked
    row = CaptureRow(
        id=new_id("cap"),
        studio=rig.studio,
        rig_id=rig_id,
        kind=checked.kind,
        digest=stored.digest,
        frames=len(checked.labels.frames),
        labelled_joints=int((checked.labels.visibility > 0).sum()),
        coverage=checked.coverage,
        warnings=checked.warnings,
        labels_sha256=stored.labels_sha256,
        source_sha256=stored.source_sha256,
        size_bytes=stored.size_bytes,
        created_at=utc_now(),
    )
    session.add(row)
    session.flush()
    # The same bytes may have been another capture's, and purged with it since they were stored.
    keep(
        session,
        artifacts,
        {
            stored.labels_sha256: lambda: artifacts.put_bytes(stored.labels),
            stored.source_sha256: lambda: artifacts.put_file(checked.source.path),
        },
    )
    return row
