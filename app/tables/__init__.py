"""The relational schema: rows hold state and lineage, the artifact store holds bytes."""

from app.tables.access import ApiKeyRow, AuditRow, BrowserSessionRow, KeyUsageRow
from app.tables.base import Base, UtcDateTime, new_id, utc_now
from app.tables.jobs import AdaptationEventRow, AdaptationPartRow, AdaptationRow, TotalRow, WorkerRow
from app.tables.rigs import ActivationRow, CaptureRow, CheckpointRow, RequestFrameRow, RigRow, RigServingRow

__all__ = [
    "ActivationRow",
    "AdaptationEventRow",
    "AdaptationPartRow",
    "AdaptationRow",
    "ApiKeyRow",
    "AuditRow",
    "Base",
    "BrowserSessionRow",
    "CaptureRow",
    "CheckpointRow",
    "KeyUsageRow",
    "RequestFrameRow",
    "RigRow",
    "RigServingRow",
    "TotalRow",
    "UtcDateTime",
    "WorkerRow",
    "new_id",
    "utc_now",
]
