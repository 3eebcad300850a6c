"""The relational schema: rows hold state and lineage, the artifact store holds bytes."""

from app.tables.access import ApiKeyRow, AuditRow, KeyUsageRow
from app.tables.base import Base, UtcDateTime, new_id, utc_now
from app.tables.jobs import AdaptationEventRow, AdaptationPartRow, AdaptationRow, TotalRow, WorkerRow
from app.tables.rigs import ActivationRow, CaptureRow, CheckpointRow, RigRow, RigServingRow

__all__ = [
    "ActivationRow",
    "AdaptationEventRow",
    "AdaptationPartRow",
    "AdaptationRow",
    "ApiKeyRow",
    "AuditRow",
    "Base",
    "CaptureRow",
    "CheckpointRow",
    "KeyUsageRow",
    "RigRow",
    "RigServingRow",
    "TotalRow",
    "UtcDateTime",
    "WorkerRow",
    "new_id",
    "utc_now",
]
