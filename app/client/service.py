"""One service and everything it can be asked for."""

from types import TracebackType
from typing import Self

from app.client.access import Access
from app.client.adaptations import Adaptations
from app.client.bundles import Bundles
from app.client.captures import Captures
from app.client.checkpoints import Checkpoints
from app.client.operations import Operations
from app.client.poses import Poses
from app.client.rigs import Rigs
from app.retries import Retries
from app.transport import Transport

DEFAULT_URL = "http://127.0.0.1:8000"


class RigFuseClient(Rigs, Captures, Adaptations, Checkpoints, Bundles, Poses, Access, Operations):
    """One service. Use as a context manager, or call close()."""

    def __init__(
        self,
        base_url: str = DEFAULT_URL,
        api_key: str | None = None,
        *,
        timeout_s: float = 30.0,
        retries: Retries | None = None,
    ) -> None:
        """Nothing is sent yet.

        Args:
            base_url: Where the service is.
            api_key: A key of it; none is needed on the machine of an embedded service without keys.
            timeout_s: How long to wait for an answer; where the service computes or checks, ten minutes at least.
            retries: How often to ask again what may be asked again; ``Retries(attempts=1)`` for never.
        """
        super().__init__(Transport(base_url, api_key, timeout_s, retries or Retries()))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()
