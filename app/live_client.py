"""Live frames from Python: ``with LiveClient("http://127.0.0.1:8000", rig, api_key="…") as live: live.send(heatmaps)``.

Frames are sent as they come; answers may be fewer, since the service drops the oldest frame that waits when it cannot
keep up. Each answer tells by ``sequence`` which frame it is of, counting from 0.
"""

import io
import json
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import Any
from urllib.parse import urlencode

import numpy as np
from numpy.typing import NDArray
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus
from websockets.sync.client import connect

from app.asking import authorization, segment, service_address, shown
from app.transport import ClientError, Unreachable

Answer = dict[str, Any]
_TIMEOUT_S = 10.0


class Refused(ClientError):
    """The service does not open the stream, or has closed it; ``code`` is an HTTP status or a WebSocket's."""

    def __init__(self, code: int, detail: str) -> None:
        super().__init__(detail)
        self.code = code


class LiveClient:
    """One stream of one rig; keywords are the query of the protocol, such as ``checkpoint`` and ``smoothing``."""

    def __init__(self, base_url: str, rig_id: str, api_key: str | None = None, **query: str | float) -> None:
        address, headers = service_address(base_url), authorization(api_key)
        url = f"{str(address).rstrip('/').replace('http', 'ws', 1)}/v1/rigs/{segment(rig_id)}/live"
        self._held = ExitStack()
        try:
            self._socket = self._held.enter_context(
                connect(
                    f"{url}?{urlencode(query)}", additional_headers=headers, max_size=None, open_timeout=_TIMEOUT_S,
                    compression=None,
                )
            )  # fmt: skip
        except InvalidStatus as error:
            raise Refused(error.response.status_code, _detail(error.response.body)) from error
        except (OSError, InvalidHandshake) as error:
            raise Unreachable(f"{shown(address)} cannot be reached: {error}") from error

    def __enter__(self) -> "LiveClient":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the stream; what has not been answered yet is lost."""
        self._held.close()

    def send(self, heatmaps: NDArray[np.floating], cameras: Sequence[str]) -> None:
        """Send one frame's heatmaps [V, J, 64, 64], in the order of ``cameras``."""
        buffer = io.BytesIO()
        np.savez(buffer, heatmaps=heatmaps.astype(np.float16), cameras=np.array(cameras, dtype="U"))
        self.send_bytes(buffer.getvalue())

    def send_images(self, images: Mapping[str, bytes], extension: str = "jpg") -> None:
        """Send one frame's encoded images, by camera."""
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            for camera, data in images.items():
                archive.writestr(f"{camera}.{extension}", data)
        self.send_bytes(buffer.getvalue())

    def send_bytes(self, data: bytes) -> None:
        """Send one frame as it goes over the wire."""
        with _closing():
            self._socket.send(data)

    def receive(self, timeout_s: float | None = None) -> Answer:
        """The next answer, poses or a ``problem``; raises TimeoutError, or Refused once the stream has ended."""
        with _closing():
            answer: Answer = json.loads(self._socket.recv(timeout_s))
            return answer

    def __iter__(self) -> Iterator[Answer]:
        """Answers until the stream ends in order."""
        while True:
            try:
                yield self.receive()
            except Refused as ended:
                if ended.code in {1000, 1001}:
                    return
                raise


class _closing:  # noqa: N801 - reads as the statement that it is
    """Tell of a closed stream in the client's own way."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, ConnectionClosed):
            closed = error.rcvd or error.sent
            code, reason = (closed.code, closed.reason) if closed else (1006, "the connection was lost")
            raise Refused(code, f"The stream has ended ({code}): {reason or 'no reason told'}.") from error


def _detail(body: bytes | bytearray | None) -> str:
    try:
        return str(json.loads(body or b"")["detail"])
    except (ValueError, KeyError, TypeError):
        return "The service does not open the stream."
