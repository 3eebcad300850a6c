"""The lineage of a checkpoint says what it was made with."""

from collections.abc import Callable
from dataclasses import replace

import torch
from job_rows import get_job

from app.tables import CheckpointRow
from models.checkpoint import CODE_VERSION, Checkpoint
from worker.adapt import run_adaptation
from worker.context import WorkerContext


def test_the_stored_checkpoint_names_device_versions_and_revision(
    context: WorkerContext, job: str, engine: Callable[..., Checkpoint]
) -> None:
    settings = context.settings.model_copy(update={"source_revision": "1f2e3d"})
    run_adaptation(replace(context, settings=settings, engine=engine), job)
    with context.db.read_session() as session:
        row = session.get_one(CheckpointRow, get_job(context.db, job).checkpoint_id)
    read = Checkpoint.from_bytes(context.artifacts.read(row.artifact_sha256)).manifest()
    assert read == row.manifest
    lineage = read["lineage"]
    assert (lineage["device"], lineage["torch"], lineage["source_revision"]) == ("cpu", torch.__version__, "1f2e3d")
    assert (read["code_version"], read["seed"]) == (CODE_VERSION, 0)
    assert all(len(read["digests"][name]) == 64 for name in ("rig", "omega_base"))
