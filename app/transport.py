"""How the client makes requests: problems become exceptions, files are streamed, lists and events are iterated."""

import io
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

Document = dict[str, Any]
File = Path | bytes | None
UploadProgress = Callable[[int, int], None]
"""Called with the bytes that were sent and the bytes in all."""

_TIMEOUT = httpx.Timeout(30.0, read=600.0)  # an upload is answered once it has been checked


class ClientError(Exception):
    """A request did not succeed."""


class Unreachable(ClientError):
    """No answer came."""


class ApiError(ClientError):
    """The service refused: ``code`` is stable, ``detail`` a sentence, ``at`` the place in the input."""

    def __init__(self, status: int, code: str, detail: str, at: str | None = None) -> None:
        super().__init__(detail if at is None else f"{detail} (at {at})")
        self.status = status
        self.code = code
        self.detail = detail
        self.at = at


@dataclass(frozen=True)
class Event:
    """One server-sent event of an adaptation; ``kind`` is a state, ``progress`` or ``cancel_requested``."""

    id: int
    kind: str
    data: Document


class Transport:
    """Requests to one service."""

    def __init__(self, base_url: str, api_key: str | None) -> None:
        headers = {} if api_key is None else {"Authorization": f"Bearer {api_key}"}
        self._http = httpx.Client(base_url=base_url, headers=headers, timeout=_TIMEOUT)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def json(self, method: str, path: str, **options: Any) -> Document:
        """The JSON document that a request is answered with."""
        return self.request(method, path, **options).json()

    def items(self, path: str, params: Mapping[str, str] | None = None) -> Iterator[Document]:
        """All items of a list, page after page."""
        cursor: dict[str, str] = {}
        while True:
            page = self.json("GET", path, params={**(params or {}), **cursor})
            yield from page["items"]
            if page["next_cursor"] is None:
                return
            cursor = {"cursor": page["next_cursor"]}

    def upload(
        self,
        path: str,
        files: Mapping[str, File],
        params: Mapping[str, str],
        on_progress: UploadProgress | None,
    ) -> httpx.Response:
        """The response to files, read whole."""
        with self.sending(path, files, params, on_progress) as response:
            response.read()
            return response

    @contextmanager
    def sending(
        self,
        path: str,
        files: Mapping[str, File],
        params: Mapping[str, str],
        on_progress: UploadProgress | None = None,
    ) -> Iterator[httpx.Response]:
        """Send files as multipart/form-data, those on the disk without holding them in memory; see stream()."""
        with ExitStack() as stack:
            count = _ByteCount(sum(_size(file) for file in files.values()), on_progress)
            parts = {
                name: (name, stack.enter_context(_Watched(file, count)) if isinstance(file, Path) else file)
                for name, file in files.items()
                if file is not None
            }
            yield stack.enter_context(self.stream("POST", path, files=parts, params=params))

    def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        """A response, read whole."""
        with self.stream(method, path, **options) as response:
            response.read()
            return response

    def events(self, path: str, after: int) -> Iterator[Event]:
        """Server-sent events, those after the one numbered ``after``."""
        with self.stream("GET", path, headers={"Last-Event-ID": str(after)} if after else {}) as response:
            yield from _read_events(response.iter_lines())

    @contextmanager
    def stream(self, method: str, path: str, **options: Any) -> Iterator[httpx.Response]:
        """A response whose body the caller reads; raises ApiError and Unreachable."""
        try:
            with self._http.stream(method, path, **options) as response:
                if not response.is_success:
                    response.read()
                    raise _api_error(response)
                yield response
        except httpx.TransportError as error:
            raise Unreachable(f"The service at {self._http.base_url} does not answer: {error}") from error


def _api_error(response: httpx.Response) -> ApiError:
    try:
        problem = response.json()
        return ApiError(response.status_code, problem["code"], problem["detail"], problem.get("at"))
    except (ValueError, KeyError, TypeError):
        return ApiError(response.status_code, "error", f"The service answered {response.status_code}.")


def _read_events(lines: Iterator[str]) -> Iterator[Event]:
    fields: dict[str, str] = {}
    for line in lines:
        if line and not line.startswith(":"):
            name, _, value = line.partition(":")
            fields[name] = value.removeprefix(" ")
        elif not line and "data" in fields:
            yield Event(int(fields.get("id", "0")), fields.get("event", "message"), json.loads(fields["data"]))
            fields = {}


class _ByteCount:
    """Adds up what all files of an upload have sent."""

    def __init__(self, total: int, tell: UploadProgress | None) -> None:
        self.total, self.sent, self._tell = total, 0, tell

    def add(self, count: int) -> None:
        self.sent += count
        if self._tell is not None and count:
            self._tell(self.sent, self.total)


class _Watched(io.FileIO):
    """A file that tells how much of it has been read."""

    def __init__(self, path: Path, count: _ByteCount) -> None:
        super().__init__(path)
        self._count = count

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(-1 if size is None else size) or b""
        self._count.add(len(data))
        return data


def _size(file: File) -> int:
    return 0 if not isinstance(file, Path) else file.stat().st_size
