"""The artifact store, the disks, and what lies on them: whether every row's bytes are there and right."""

import time
from collections.abc import Iterator
from itertools import islice

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.doctor.findings import Finding, Patient, bad, good, warning
from app.readiness import check_free
from app.tables import CaptureRow, CheckpointRow, RequestFrameRow
from models.errors import CorruptArtifact

_SAMPLE = 20
_TOLD = 3
_ABANDONED_AFTER_S = 2 * 86_400


def check_store(patient: Patient) -> Iterator[Finding]:
    """Whether the store takes bytes."""
    patient.artifacts.check_writable()
    yield good("artifacts", "the store takes bytes")


def check_disks(patient: Patient) -> Iterator[Finding]:
    """Whether there is room."""
    settings = patient.settings
    for folder in dict.fromkeys((settings.data_dir, getattr(patient.artifacts, "root", settings.data_dir))):
        there = next(place for place in (folder, *folder.parents) if place.is_dir())
        check_free(there, settings.min_free_bytes)
    yield good("disk", f"more than {settings.min_free_bytes >> 20} MiB free")


def check_bytes(patient: Patient) -> Iterator[Finding]:
    """Whether the bytes that rows name are there and have their digest: of the newest, or with ``--deep`` of all."""
    with patient.database.read_session() as session:
        digests = list(dict.fromkeys(_named(session, None if patient.deep else _SAMPLE)))
    faults = [fault for digest in digests if (fault := _fault(patient, digest))]
    if faults:
        shown = " ".join(faults[:_TOLD]) + (f" ... and {len(faults) - _TOLD} more" if len(faults) > _TOLD else "")
        do = "restore the artifacts from the backup; is this the store that the API and the workers write to?"
        yield bad("stored bytes", f"{len(faults)} of {len(digests)} are not right: {shown}", do)
    else:
        yield good("stored bytes", f"{len(digests)} verified" + ("" if patient.deep else "; --deep verifies all"))


def _named(session: Session, limit: int | None) -> Iterator[str]:
    checkpoints = select(CheckpointRow.artifact_sha256).where(CheckpointRow.purged_at.is_(None))
    captures = select(CaptureRow.labels_sha256, CaptureRow.source_sha256).where(CaptureRow.purged_at.is_(None))
    frames = select(RequestFrameRow.source_sha256).order_by(RequestFrameRow.id.desc()).limit(limit)
    yield from session.scalars(frames)
    yield from session.scalars(checkpoints.order_by(CheckpointRow.created_at.desc()).limit(limit))
    for row in session.execute(captures.order_by(CaptureRow.created_at.desc()).limit(limit)):
        yield from row


def _fault(patient: Patient, digest: str) -> str:
    try:
        patient.artifacts.open(digest).close()
    except CorruptArtifact as error:
        return error.message
    return ""


def check_uploads(patient: Patient) -> Iterator[Finding]:
    """Whether uploads were left behind that nothing will end or remove."""
    before = time.time() - _ABANDONED_AFTER_S - patient.settings.upload_expiry_s
    folder = patient.settings.uploads_dir
    files = (path for path in folder.rglob("*") if path.is_file()) if folder.is_dir() else iter(())
    left = [path for path in islice(files, 100_000) if path.stat().st_mtime < before]
    if left:
        told = f"{len(left)} abandoned files, {sum(path.stat().st_size for path in left) >> 20} MiB, in {folder}"
        yield warning("uploads", told, "they go when the API starts; if they do not, remove them")
    else:
        yield good("uploads", "nothing left behind")
