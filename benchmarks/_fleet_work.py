"""Who works for a fleet: workers of several machines, what they added up, and what people did last."""

from datetime import UTC, datetime, timedelta

from app import totals
from app.db import Database
from app.tables import AuditRow, WorkerRow
from models.checkpoint import CODE_VERSION

GIB = 1 << 30
_SECONDS = {
    "queued": (0.4, 3.0, 20.0), "load": (0.4, 0.6, 0.9), "heatmaps": (4.0, 9.0, 14.0), "repair": (0.3, 0.8, 1.1),
    "split": (0.05, 0.06, 0.07), "finetune": (20.0, 26.0, 44.0), "evaluate": (4.0, 5.5, 8.0), "store": (0.04, 0.1, 0.2),
}  # fmt: skip


def seed_work(database: Database, *, running: str | None = None, now: datetime | None = None) -> None:
    """Two busy GPUs, an idle one of another release, a silent worker and one that was stopped."""
    now = now or datetime.now(UTC)
    workers = [
        ("gpu-1", "NVIDIA L4", 23, 9, CODE_VERSION, 0, None), ("gpu-2", "NVIDIA L4", 23, 22, "0.0.9", 0, None),
        ("spare", "cpu, 16 cores", 64, 40, CODE_VERSION, 3 * 3600, None),
        ("old", "cpu, 4 cores", 16, 15, CODE_VERSION, 7200, now - timedelta(hours=2)),
    ]  # fmt: skip
    with database.session() as session:
        for pid, (host, device, total, free, version, silent_s, stopped) in enumerate(workers, 100):
            session.add(
                WorkerRow(
                    id=f"{host}/{pid}",
                    host=host,
                    pid=pid,
                    version=version,
                    device=device,
                    memory_total=total * GIB,
                    memory_free=free * GIB,
                    store="",
                    adaptation_id=running if host == "gpu-1" else None,
                    started_at=now - timedelta(hours=30),
                    seen_at=now - timedelta(seconds=silent_s),
                    stopped_at=stopped,
                )
            )
        for many in zip(*_SECONDS.values(), strict=True):
            totals.add_all(session, totals.observed(totals.STAGE_SECONDS, dict(zip(_SECONDS, many, strict=True))))
        for minutes, action, subject in ((3, "rig.registered", "rig_1"), (40, "checkpoint.pinned", "ckp_1")):
            session.add(AuditRow(at=now - timedelta(minutes=minutes), actor="env", action=action, subject=subject))
