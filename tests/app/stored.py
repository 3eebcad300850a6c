"""Checkpoints put where an adaptation would put them."""

import numpy as np
from running import Service

from app.tables import AdaptationRow, CaptureRow, CheckpointRow, RigRow, new_id
from models.baselines import calibrated_theta, default_gains
from models.checkpoint import Checkpoint
from models.rig import Rig
from models.weights import default_omega


def checkpoint_of(rig: Rig, gain: float = 1.0) -> Checkpoint:
    """A checkpoint that nobody had to train: ω_base as it ships, θ of the calibration."""
    gains = np.full(len(rig.pairs), gain * default_gains(len(rig.cameras)), np.float32)
    poses = [(camera.R, camera.t) for camera in rig.cameras]
    return Checkpoint(
        method="metafuse", seed=0, rig_digest=rig.digest, capture_digest="0" * 64, omega=default_omega(),
        theta=calibrated_theta(rig), gains=gains, R=np.stack([R for R, _ in poses]),
        t=np.stack([t for _, t in poses]), repaired=False, project=False,
    )  # fmt: skip


def store(service: Service, rig: str, checkpoint: Checkpoint, *, activate: bool) -> str:
    """Put a checkpoint where an adaptation would."""
    data = checkpoint.to_bytes()
    sha256 = service.app.state.artifacts.put_bytes(data)
    with service.app.state.db.session() as session:
        capture = CaptureRow(
            id=new_id("cap"), rig_id=rig, kind="heatmaps", digest="0" * 64, frames=1, labelled_joints=1,
            coverage={}, warnings=[], labels_sha256=sha256, source_sha256=sha256,
        )  # fmt: skip
        session.add(capture)
        session.flush()
        job = AdaptationRow(
            id=new_id("ada"), rig_id=rig, capture_id=capture.id, method="metafuse", seed=0, state="succeeded"
        )
        session.add(job)
        session.flush()
        row = CheckpointRow(
            id=new_id("ckp"), rig_id=rig, adaptation_id=job.id, capture_id=capture.id, method="metafuse", seed=0,
            artifact_sha256=sha256, size_bytes=len(data), manifest=checkpoint.manifest(),
        )  # fmt: skip
        session.add(row)
        session.flush()
        if activate:
            session.get_one(RigRow, rig).active_checkpoint_id = row.id
    return row.id
