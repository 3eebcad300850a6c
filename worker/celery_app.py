"""The Celery application: JSON only, ids only, a message is acknowledged when its work is done."""

import threading
from typing import Any

import structlog
from celery import Celery
from celery.apps import worker as celery_worker
from celery.concurrency import get_implementation
from celery.concurrency.solo import TaskPool as SoloPool
from celery.signals import worker_ready, worker_shutdown, worker_shutting_down

from app.chords import RESULTS_KEPT_S, chord_counter
from app.errors import MisconfiguredService
from app.queue import GATHER, PART, QUEUE, TASK, VISIBILITY_TIMEOUT_S, task_queues
from worker.adapt import gather, run_next
from worker.context import WorkerContext
from worker.housekeeping import Housekeeper
from worker.parts import run_part
from worker.presence import Presence
from worker.sweeper import Sweeper

log = structlog.get_logger()


def _say(text: str, *_: Any) -> None:
    """What Celery says in the handler of a signal; the log's lock may be held by whom the signal interrupted."""
    threading.Thread(target=log.info, args=(text,), name="handler's words").start()


# Celery prints on a signal, past all logging; the log is to stay one JSON object a line.
celery_worker.safe_say = _say  # type: ignore[attr-defined]


def create_celery(context: WorkerContext) -> Celery:
    """The application of one worker process, with its tasks."""
    broker_url = context.settings.broker_url
    celery = Celery("rigfuse", broker=broker_url, backend=chord_counter(broker_url), set_as_current=False)
    celery.conf.update(
        task_serializer="json",
        accept_content=["json"],
        task_ignore_result=True,
        result_expires=RESULTS_KEPT_S,
        task_default_queue=QUEUE,
        task_queues=task_queues(),
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        worker_prefetch_multiplier=1,
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        worker_enable_remote_control=False,
        worker_cancel_long_running_tasks_on_connection_loss=False,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        # Sorted by name, what waits in the queue of interactive jobs is taken before anything else.
        broker_transport_options={"visibility_timeout": VISIBILITY_TIMEOUT_S, "queue_order_strategy": "sorted"},
    )

    @celery.task(name=TASK)
    def adapt(adaptation_id: str) -> None:
        run_next(context, adaptation_id)

    @celery.task(name=PART, ignore_result=False)  # its end is what the chord counts
    def part(adaptation_id: str, number: int) -> None:
        run_part(context, adaptation_id, number)

    @celery.task(name=GATHER)
    def gather_parts(adaptation_id: str) -> None:
        gather(context, adaptation_id)

    _connect_signals(context)
    return celery


def create_worker(context: WorkerContext, pool: str = "solo") -> Any:
    """The worker of this process; raises MisconfiguredService where it would fork after CUDA has begun here."""
    chosen = get_implementation(pool)
    if context.settings.device == "cuda" and not issubclass(chosen, SoloPool):
        raise MisconfiguredService(
            f"A worker on cuda runs in the solo pool, not in {chosen.__module__}: CUDA does not survive a fork. Start "
            "more workers instead.",
            at="RIGFUSE_DEVICE",
        )
    return create_celery(context).Worker(
        pool=chosen,
        concurrency=1,
        loglevel="INFO",
        quiet=True,  # no banner in the log
        without_gossip=True,
        without_mingle=True,
        without_heartbeat=True,
    )


def _connect_signals(context: WorkerContext) -> None:
    presence = Presence(context)

    @worker_ready.connect(weak=False)
    def begin(**_: Any) -> None:
        presence.start()
        Sweeper(context).start()
        Housekeeper(context).start()

    @worker_shutdown.connect(weak=False)
    def say_goodbye(**_: Any) -> None:
        presence.end()

    @worker_shutting_down.connect(weak=False)
    def give_back(**_: Any) -> None:
        # The running adaptation stops at its next step and goes back into the queue.
        context.stopping.set()
