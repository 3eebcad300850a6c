"""Adaptations: start, follow, cancel, try again."""

import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from app.adaptations.schemas import Adaptation
from app.adaptations.states import FINISHED
from app.asking import header_value, segment
from app.client.calls import Calls
from app.retries import ApiError, Repeat, Unreachable
from app.transport import Event
from models.methods import DEFAULT_METHOD

_RECONNECT_S = 1.0
_BUSY = {429, 502, 503, 504}


class Adaptations(Calls):
    """Jobs that turn a capture into a checkpoint."""

    def adapt(
        self,
        rig_id: str,
        capture_id: str,
        *,
        method: str = DEFAULT_METHOD,
        seed: int = 0,
        options: Mapping[str, Any] | None = None,
        priority: str = "interactive",
        idempotency_key: str | None = None,
    ) -> Adaptation:
        """Ask for an adaptation; ``interactive`` ones run before those of ``batch``.

        The request carries an ``Idempotency-Key``, one of its own where none is given, so that asking again after a
        broken connection starts no second adaptation.
        """
        key = idempotency_key or secrets.token_hex(16)
        body = {"capture": capture_id, "method": method, "seed": seed, "options": dict(options or {})}
        return self._ask(
            Adaptation,
            "POST",
            f"/v1/rigs/{segment(rig_id)}/adaptations",
            json=body | ({} if priority == "interactive" else {"priority": priority}),
            headers={"Idempotency-Key": header_value(key, "The idempotency key")},
        )

    def retry(self, adaptation_id: str) -> Adaptation:
        """Start anew what failed or was cancelled; the adaptation that was started."""
        return self._ask(
            Adaptation,
            "POST",
            f"/v1/adaptations/{segment(adaptation_id)}/retry",
            headers={"Idempotency-Key": secrets.token_hex(16)},
        )

    def adaptation(self, adaptation_id: str) -> Adaptation:
        """An adaptation as it stands."""
        return self._ask(Adaptation, "GET", f"/v1/adaptations/{segment(adaptation_id)}")

    def adaptations(
        self, *, state: str | None = None, rig: str | None = None, priority: str | None = None
    ) -> Iterator[Adaptation]:
        """Adaptations, the newest first."""
        return self._list(Adaptation, "/v1/adaptations", state=state, rig=rig, priority=priority)

    def cancel(self, adaptation_id: str) -> Adaptation:
        """Ask an adaptation to stop."""
        path = f"/v1/adaptations/{segment(adaptation_id)}/cancel"
        return self._ask(Adaptation, "POST", path, repeat=Repeat.IF_UNAVAILABLE)

    def events(self, adaptation_id: str, after: int = 0) -> Iterator[Event]:
        """What happens to an adaptation over one connection, from the event after the one numbered ``after``."""
        return self._transport.events(f"/v1/adaptations/{segment(adaptation_id)}/events", after)

    def follow(self, adaptation_id: str, after: int = 0, *, patience_s: float = 60.0) -> Iterator[Event]:
        """What happens to an adaptation to its end, each event once, over as many connections as it takes.

        The service may be away for ``patience_s`` meanwhile.
        """
        lost: float | None = None  # since when the service has not answered

        def answered() -> None:
            nonlocal lost
            lost = None

        while True:
            try:
                for event in self._transport.events(
                    f"/v1/adaptations/{segment(adaptation_id)}/events", after, answered
                ):
                    after = event.id
                    yield event
                if self.adaptation(adaptation_id).state in FINISHED:
                    return
                answered()
            except (Unreachable, ApiError) as error:
                if isinstance(error, ApiError) and error.status not in _BUSY:
                    raise
                lost = time.monotonic() if lost is None else lost
                if time.monotonic() - lost > patience_s:
                    raise
            time.sleep(_RECONNECT_S)

    def wait(
        self,
        adaptation_id: str,
        on_progress: Callable[[Event], None] | None = None,
        *,
        patience_s: float = 60.0,
    ) -> Adaptation:
        """Follow an adaptation to its end; the adaptation as it then is."""
        for event in self.follow(adaptation_id, patience_s=patience_s):
            if on_progress is not None:
                on_progress(event)
        return self.adaptation(adaptation_id)
