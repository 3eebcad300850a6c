"""``python -m worker``: one worker process.

The solo pool runs a task in the process itself: CUDA does not survive a fork, and torch uses all cores for one
adaptation anyway. More workers are more processes.
"""

import logging
import os
import sys

import structlog
import torch

from app.observability import configure_logging
from app.settings import Settings
from models.errors import DeviceUnavailable
from worker.celery_app import create_celery
from worker.context import WorkerContext

log = structlog.get_logger()


def main() -> None:
    """Run until SIGTERM, which gives the running adaptation back."""
    settings = Settings()
    configure_logging(settings.log_format)
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    torch.set_num_threads(settings.threads or _cores())
    context = WorkerContext.from_settings(settings)
    if settings.device == "cuda":
        _check_cuda(context)
    celery = create_celery(context)
    worker = celery.Worker(
        pool="solo",
        concurrency=1,
        loglevel="INFO",
        without_gossip=True,
        without_mingle=True,
        without_heartbeat=True,
    )
    worker.start()
    sys.exit(worker.exitcode or 0)


def _check_cuda(context: WorkerContext) -> None:
    """End the start where the device that was asked for is not there, rather than fail job after job."""
    if not torch.cuda.is_available():
        sys.exit("rigfuse: RIGFUSE_DEVICE is cuda, and torch finds no CUDA device here.")
    try:
        log.info("device found", backbone=context.backbone.digest)
    except DeviceUnavailable as error:
        sys.exit(f"rigfuse: {error.message}")


def _cores() -> int:
    """The cores this process may use, which in a container are fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


if __name__ == "__main__":
    main()
