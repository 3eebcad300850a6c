"""``python -m worker``: one worker process.

The solo pool runs a task in the process itself: CUDA does not survive a fork, and torch uses all cores for one
adaptation anyway. More workers are more processes.
"""

import sys

import structlog
import torch

from app import tracing
from app.doors import one_sentence
from app.observability import configure_logging, configure_standard_logging
from app.processes import usable_cores
from app.redaction import conceal
from app.settings import Settings
from models.errors import DeviceUnavailable
from worker.celery_app import create_worker
from worker.context import WorkerContext

log = structlog.get_logger()


def main() -> None:
    """Run until SIGTERM, which gives the running adaptation back."""
    with one_sentence():
        context = _prepare(Settings())
        worker = create_worker(context)
    try:
        worker.start()
    finally:
        tracing.shut_down()
    sys.exit(worker.exitcode or 0)


def _prepare(settings: Settings) -> WorkerContext:
    configure_logging(settings.log_format)
    configure_standard_logging(settings.log_format)
    conceal(settings)
    tracing.configure("rigfuse-worker")
    torch.set_num_threads(settings.threads or usable_cores())
    context = WorkerContext.from_settings(settings)
    if settings.device == "cuda":
        _check_cuda(context)
    return context


def _check_cuda(context: WorkerContext) -> None:
    """End the start where the device that was asked for is not there, rather than fail job after job."""
    if not torch.cuda.is_available():
        raise DeviceUnavailable("RIGFUSE_DEVICE is cuda, and torch finds no CUDA device here.")
    log.info("device found", backbone=context.backbone.digest)


if __name__ == "__main__":
    main()
