"""How the client makes requests: problems become exceptions, what may be repeated is, files and lists are streamed."""

import io
import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import httpx

from app.retries import ApiError, ClientError, Repeat, Retries, Unreachable, repeat_of

__all__ = ["ApiError", "ClientError", "Document", "Event", "File", "Transport", "Unreachable", "UploadProgress"]

Document = dict[str, Any]
File = Path | bytes | None
UploadProgress = Callable[[int, int], None]
"""Called with the bytes that were sent and the bytes in all."""
Body = Callable[[ExitStack], dict[str, Any]]

_CONNECT_S = 10.0
_AT_WORK_S = 600.0  # an upload is answered once it has been checked


@dataclass(frozen=True)
class Event:
    """One server-sent event of an adaptation; ``kind`` is a state, ``progress`` or ``cancel_requested``."""

    id: int
    kind: str
    data: Document


@dataclass(frozen=True)
class _Asked:
    """One request; ``body`` opens what it sends, anew for each attempt."""

    method: str
    path: str
    options: Mapping[str, Any]
    repeat: Repeat | None
    body: Body | None = None

    @property
    def allowed(self) -> Repeat:
        """When it may be sent again."""
        return self.repeat or repeat_of(self.method, self.options.get("headers") or {})


class Transport:
    """Requests to one service."""

    def __init__(self, base_url: str, api_key: str | None, timeout_s: float, retries: Retries) -> None:
        headers = {} if api_key is None else {"Authorization": f"Bearer {api_key}"}
        connect_s = min(timeout_s, _CONNECT_S)
        timeout = httpx.Timeout(timeout_s, connect=connect_s)
        self._http = httpx.Client(base_url=base_url, headers=headers, timeout=timeout)
        self._at_work = httpx.Timeout(timeout_s, connect=connect_s, read=max(timeout_s, _AT_WORK_S))
        self._retries = retries

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def json(self, method: str, path: str, **options: Any) -> Document:
        """The JSON document that a request is answered with."""
        answer = self.request(method, path, **options)
        try:
            return answer.json()
        except ValueError as error:
            raise ClientError(f"{self._http.base_url} is no RigFuse service: it answered no JSON.") from error

    def items(self, path: str, params: Mapping[str, Any] | None = None) -> Iterator[Document]:
        """All items of a list, page after page."""
        cursor: dict[str, str] = {}
        while True:
            page = self.json("GET", path, params={**(params or {}), **cursor})
            yield from page["items"]
            if page["next_cursor"] is None:
                return
            cursor = {"cursor": page["next_cursor"]}

    def request(self, method: str, path: str, *, repeat: Repeat | None = None, **options: Any) -> httpx.Response:
        """A response, read whole."""
        with ExitStack() as stack:
            return self._answered(stack, _Asked(method, path, options, repeat), whole=True)

    def upload(
        self, path: str, files: Mapping[str, File], params: Mapping[str, str],
        on_progress: UploadProgress | None, repeat: Repeat | None = None,
    ) -> httpx.Response:  # fmt: skip
        """The response to files, read whole."""
        with ExitStack() as stack:
            options = {"params": params, "timeout": self._at_work}
            asked = _Asked("POST", path, options, repeat, _multipart(files, on_progress))
            return self._answered(stack, asked, whole=True)

    @contextmanager
    def sending(
        self, path: str, files: Mapping[str, File], params: Mapping[str, str],
        on_progress: UploadProgress | None = None, repeat: Repeat | None = None,
    ) -> Iterator[httpx.Response]:  # fmt: skip
        """Send files as multipart/form-data, those on the disk without holding them in memory; see stream()."""
        options = {"params": params, "timeout": self._at_work}
        with self.stream("POST", path, repeat=repeat, body=_multipart(files, on_progress), **options) as response:
            yield response

    def events(self, path: str, after: int, opened: Callable[[], None] = lambda: None) -> Iterator[Event]:
        """Server-sent events, those after the one numbered ``after``; ``opened`` is called before the first."""
        headers = {"Last-Event-ID": str(after)} if after else {}
        with self.stream("GET", path, headers=headers, timeout=self._at_work) as response:
            opened()
            yield from _read_events(response.iter_lines())

    @contextmanager
    def stream(
        self, method: str, path: str, *, repeat: Repeat | None = None, body: Body | None = None, **options: Any
    ) -> Iterator[httpx.Response]:
        """A response whose body the caller reads; raises ApiError and Unreachable."""
        with ExitStack() as stack:
            response = self._answered(stack, _Asked(method, path, options, repeat, body), whole=False)
            try:
                yield response
            except httpx.TransportError as error:
                raise self._unreachable(error) from error

    def _answered(self, stack: ExitStack, asked: "_Asked", *, whole: bool) -> httpx.Response:
        """A response that is a success, after as many attempts as allowed; ``stack`` closes it."""
        for attempt in count(1):
            answer = self._attempt(stack, asked, whole=whole)
            if isinstance(answer, httpx.Response):
                return answer
            pause = self._retries.pause(answer, asked.allowed, attempt)
            if pause is None:
                raise answer
            time.sleep(pause)
        raise AssertionError  # pragma: no cover -- counting has no end

    def _attempt(self, stack: ExitStack, asked: "_Asked", *, whole: bool) -> httpx.Response | ClientError:
        with ExitStack() as trial:
            body = {} if asked.body is None else asked.body(trial)
            try:
                response = trial.enter_context(self._http.stream(asked.method, asked.path, **asked.options, **body))
                if whole or not response.is_success:
                    response.read()
            except httpx.TransportError as error:
                unreachable = self._unreachable(error)
                unreachable.__cause__ = error
                return unreachable
            if not response.is_success:
                return _api_error(response)
            stack.push(trial.pop_all())
            return response

    def _unreachable(self, error: httpx.TransportError) -> Unreachable:
        reason = str(error) or type(error).__name__
        never = isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.UnsupportedProtocol)
        return Unreachable(f"The service at {self._http.base_url} does not answer: {reason}", never_connected=never)


def _api_error(response: httpx.Response) -> ApiError:
    told = {
        "retry_after_s": _seconds(response.headers.get("retry-after", "")),
        "request_id": response.headers.get("x-request-id"),
    }
    try:
        problem = response.json()
        return ApiError(response.status_code, problem["code"], problem["detail"], problem.get("at"), **told)
    except (ValueError, KeyError, TypeError):
        detail = f"The service answered {response.status_code} {response.reason_phrase}.".replace(" .", ".")
        return ApiError(response.status_code, "error", detail, **told)


def _seconds(text: str) -> float | None:
    return float(text) if text.isdecimal() else None


def _read_events(lines: Iterator[str]) -> Iterator[Event]:
    fields: dict[str, str] = {}
    for line in lines:
        if line and not line.startswith(":"):
            name, _, value = line.partition(":")
            fields[name] = value.removeprefix(" ")
        elif not line and "data" in fields:
            yield Event(int(fields.get("id", "0")), fields.get("event", "message"), json.loads(fields["data"]))
            fields = {}


def _multipart(files: Mapping[str, File], tell: UploadProgress | None) -> Body:
    def open_files(stack: ExitStack) -> dict[str, Any]:
        counted = _ByteCount(sum(_size(file) for file in files.values()), tell)
        parts = {
            name: (name, stack.enter_context(_Watched(file, counted)) if isinstance(file, Path) else file)
            for name, file in files.items()
            if file is not None
        }
        return {"files": parts}

    return open_files


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
