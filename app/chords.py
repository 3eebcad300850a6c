"""Celery's result store as far as it is needed: it counts which parts of a chord have ended."""

from typing import Any

from celery.backends.redis import RedisBackend

RESULTS_KEPT_S = 3600
"""How long the broker remembers which parts of a chord have ended; a lost count the sweep makes good."""


class ChordCounter(RedisBackend):
    """Redis as Celery uses it, without a subscription for every task that is sent: nobody waits for an answer."""

    def on_task_call(self, producer: Any, task_id: str) -> None:
        """Do nothing where Celery would subscribe to the task's answer."""

    def add_pending_result(self, result: Any, weak: bool = False, start_drainer: bool = True) -> Any:  # noqa: ARG002 - Celery's signature
        """Do nothing where Celery would subscribe to the answer of a group."""
        return result

    def remove_pending_result(self, result: Any) -> Any:
        """Do nothing: there is no subscription to end."""
        return result


def chord_counter(broker_url: str) -> str:
    """The result backend that counts in the broker, as Celery wants it named."""
    return f"{ChordCounter.__module__}:{ChordCounter.__name__}+{broker_url}"
