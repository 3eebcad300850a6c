"""Wakes the workers: a message is a task's name and an id, and the job's row is the truth.

There is a queue for each priority. Workers empty them in the order of their names, and what a message wakes a worker
for is the most urgent job in the database, whichever id it carries. So a job that is urgent runs next even where its
message was lost, or came late.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import structlog
from celery import Celery, chord
from kombu import Connection, Queue
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from app.adaptations.priority import Priority
from app.chords import RESULTS_KEPT_S, chord_counter

TASK, PART, GATHER = "rigfuse.adapt", "rigfuse.part", "rigfuse.gather"


QUEUE = "rigfuse"
QUEUES: Mapping[Priority, str] = {Priority.INTERACTIVE: QUEUE, Priority.BATCH: f"{QUEUE}.batch"}
"""In the order in which workers empty them, which is also that of their names."""
VISIBILITY_TIMEOUT_S = 900
"""How long the broker waits for a worker that took a message before another may have it.

It is shorter than the longest job on purpose: a claim is conditional, so a message seen twice does nothing.
"""
# A request must not wait for a broker that is away: kombu would otherwise try to connect for ever.
_NO_PATIENCE = {
    "socket_connect_timeout": 2,
    "socket_timeout": 5,
    "max_retries": 1,
    "interval_start": 0,
    "interval_step": 0,
    "interval_max": 0,
}

log = structlog.get_logger()


class JobQueue:
    """Sends wake-ups to the workers by task name, so that the API knows nothing of their code."""

    def __init__(self, broker_url: str) -> None:
        self._celery = Celery("rigfuse-api", broker=broker_url, backend=chord_counter(broker_url), set_as_current=False)
        self._celery.conf.update(
            task_serializer="json",
            accept_content=["json"],
            task_ignore_result=True,
            result_expires=RESULTS_KEPT_S,
            task_default_queue=QUEUE,
            task_queues=task_queues(),
            broker_transport_options=_NO_PATIENCE,
        )

    def enqueue_adaptation(self, adaptation_id: str, priority: str = Priority.INTERACTIVE) -> bool:
        """Wake a worker for this job; False where the broker is down and the sweeper has to send it later."""
        return self._send(TASK, [adaptation_id], priority)

    def enqueue_part(self, adaptation_id: str, number: int, priority: str) -> bool:
        """Wake a worker for one part of an adaptation, apart from the others."""
        return self._send(PART, [adaptation_id, number], priority)

    def enqueue_gather(self, adaptation_id: str, priority: str) -> bool:
        """Wake a worker for an adaptation whose parts are done."""
        return self._send(GATHER, [adaptation_id], priority)

    def fan_out(self, adaptation_id: str, numbers: Sequence[int], priority: str) -> bool:
        """Wake workers for the parts of an adaptation, and when all have ended one that goes on with it."""
        queue = QUEUES[Priority(priority)]
        # What a part answers nobody reads; that it has ended is counted all the same.
        parts = [self._celery.signature(PART, args=(adaptation_id, n), queue=queue) for n in numbers]
        after = self._celery.signature(GATHER, args=(adaptation_id,), immutable=True, queue=queue)
        for task in (*parts, after):
            task.options["ignore_result"] = True
        try:
            chord(parts, app=self._celery)(after)
        except (OperationalError, RedisError, OSError) as error:
            log.warning("broker does not answer; the sweeper will send these parts", id=adaptation_id, error=str(error))
            return False
        return True

    def _send(self, task: str, arguments: list[Any], priority: str) -> bool:
        queue = QUEUES[Priority(priority)]
        try:
            self._celery.send_task(task, args=arguments, queue=queue, retry=False, ignore_result=True)
        except (OperationalError, RedisError, OSError) as error:
            log.warning("broker does not answer; the sweeper will send this job", id=arguments[0], error=str(error))
            return False
        return True

    def waiting(self) -> int:
        """How many messages no worker has taken yet."""
        with self._celery.connection_for_write() as connection:
            redis = _redis(connection)
            return sum(int(redis.llen(name)) for name in QUEUES.values())

    def is_idle(self) -> bool:
        """Whether it answers and no message waits: only then does it help to send anything again."""
        try:
            return self.waiting() == 0
        except Exception as error:  # kombu and redis each have their own tree of errors for a broker that is away
            log.warning("broker does not answer", error=str(error))
            return False

    def eviction_policy(self) -> str | None:
        """What the broker throws away when its memory is full; None where it does not tell."""
        with self._celery.connection_for_write() as connection:
            try:
                return str(_redis(connection).info("memory").get("maxmemory_policy") or "") or None
            except RedisError:
                return None

    def ping(self) -> None:
        """Raise where the broker does not answer."""
        with self._celery.connection_for_write() as connection:
            connection.ensure_connection(max_retries=1, interval_start=0, interval_step=0)
            _redis(connection).ping()

    def close(self) -> None:
        """Close the connections to the broker."""
        self._celery.close()


def task_queues() -> list[Queue]:
    """The queues as Celery wants them declared."""
    return [Queue(name, routing_key=name) for name in QUEUES.values()]


def _redis(connection: Connection) -> Any:
    return connection.default_channel.client  # type: ignore[attr-defined]  # kombu's Redis transport adds it
