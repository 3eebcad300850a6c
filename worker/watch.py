"""Which leases have been let go: told by this process's own steady clock, so that no clock that is set misleads it.

The clocks of machines differ and jump. One that was an hour ahead would end every lease of the others, or keep its own
alive for an hour after its death. So nobody's time of day is compared. A holder that lives changes its lease at every
heartbeat; a lease that this process has seen unchanged for as long as a lease lasts has no such holder.
"""

import time
from collections.abc import Callable, Sequence

from app.adaptations.leases import Lease


class Watch:
    """Remembers since when each lease has been as it is."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._since: dict[tuple[str, Lease], float] = {}

    def silent(self, held: Sequence[tuple[str, Lease]], for_s: float) -> set[str]:
        """The ids among the leases ``held`` now that have not changed for ``for_s`` seconds; others are forgotten."""
        now = self._clock()
        self._since = {lease: self._since.get(lease, now) for lease in held}
        return {id_ for (id_, _), since in self._since.items() if now - since >= for_s}
