"""What a checkpoint was made with: the part of its lineage that the process knows, and the science does not."""

import platform
from dataclasses import replace

import torch

from app.settings import Settings
from models.checkpoint import Checkpoint


def with_provenance(checkpoint: Checkpoint, settings: Settings) -> Checkpoint:
    """The checkpoint with device, versions and, where the deployment tells it, the revision of the source."""
    known = {
        "device": device_name(settings.device),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "source_revision": settings.source_revision or None,
    }
    return replace(checkpoint, lineage={**checkpoint.lineage, **known})


def device_name(device: str) -> str:
    """``cpu``, or the name of the GPU."""
    return torch.cuda.get_device_name()[:200] if device == "cuda" else "cpu"
