"""Operations: whether the service is ready, who works for it, and what its counters say."""

from app.client.calls import Calls
from app.retries import ClientError, Repeat
from app.workers.schemas import Worker, Workers


class Operations(Calls):
    """For whoever runs the service."""

    def ready(self) -> bool:
        """Whether the service and all its parts answer."""
        try:
            self._transport.request("GET", "/readyz", repeat=Repeat.NEVER)
        except ClientError:
            return False
        return True

    def workers(self) -> list[Worker]:
        """The workers that reported themselves of late, the youngest first."""
        return self._ask(Workers, "GET", "/v1/workers").items

    def metrics(self) -> str:
        """The service's metrics in Prometheus' format."""
        return self._transport.request("GET", "/metrics").text
