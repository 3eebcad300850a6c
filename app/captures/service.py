"""Sealing a capture: everything is checked before anything is kept."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy.orm import Session

from app.artifacts import ArtifactStore
from app.captures.contents import Labels
from app.captures.labels import PART, check_frames_agree, read_labels
from app.framesets import FrameFile, check_frames
from app.image_files import ImageFile
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


def seal(session: Session, artifacts: ArtifactStore, rig_id: str, checked: CheckedCapture) -> CaptureRow:
    """Keep a checked capture: its row, and its bytes under their digests."""
    get_usable_rig(session, rig_id)  # it may have been archived while the upload was checked
    source = artifacts.put_file(checked.source.path)
    labels = artifacts.put_bytes(checked.labels.to_bytes())
    sealed = "\n".join((checked.rig_digest, labels, source))
    row = CaptureRow(
        id=new_id("cap"),
        rig_id=rig_id,
        kind=checked.kind,
        digest=hashlib.sha256(sealed.encode()).hexdigest(),
        frames=len(checked.labels.frames),
        labelled_joints=int((checked.labels.visibility > 0).sum()),
        coverage=checked.coverage,
        warnings=checked.warnings,
        labels_sha256=labels,
        source_sha256=source,
        created_at=utc_now(),
    )
    session.add(row)
    session.flush()
    return row
