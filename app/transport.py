"""How the client makes requests: problems become exceptions, what may be repeated is, files and lists are streamed."""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import count
from typing import Any

import h11
import httpx

from app.asking import authorization, service_address, shown
from app.multipart import Body, File, UploadProgress, multipart
from app.retries import ApiError, ClientError, Misused, Repeat, Retries, Unreachable, repeat_of

__all__ = ["ApiError", "ClientError", "Document", "Event", "File", "Transport", "Unreachable", "UploadProgress"]

Document = dict[str, Any]

_CONNECT_S = 10.0
_AT_WORK_S = 600.0  # an upload is answered once it has been checked

_NO_SURROUNDINGS = "The proxy (HTTP_PROXY, HTTPS_PROXY, ALL_PROXY) or the certificates (SSL_CERT_FILE) cannot be used."


@dataclass(frozen=True)
class Event:
    """One server-sent event of an adaptation; ``kind`` is a state, ``progress``, ``curve`` or another."""

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
        address, headers = service_address(base_url), authorization(api_key)
        self._address = shown(address)
        connect_s = min(timeout_s, _CONNECT_S)
        timeout = httpx.Timeout(timeout_s, connect=connect_s)
        try:
            self._http = httpx.Client(base_url=address, headers=headers, timeout=timeout)
        except (httpx.InvalidURL, ImportError, OSError, ValueError) as error:  # a proxy's password may be in it
            raise Misused(_NO_SURROUNDINGS) from error
        self._at_work = httpx.Timeout(timeout_s, connect=connect_s, read=max(timeout_s, _AT_WORK_S))
        self._retries = retries

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def json(self, method: str, path: str, **options: Any) -> Document:
        """The JSON document that a request is answered with."""
        answer = self.request(method, path, **options)
        try:
            document = answer.json()
        except ValueError as error:
            raise self._foreign() from error
        if not isinstance(document, dict):
            raise self._foreign()
        return document

    def items(self, path: str, params: Mapping[str, Any] | None = None) -> Iterator[Document]:
        """All items of a list, page after page."""
        cursor: dict[str, str] = {}
        while True:
            page = self.json("GET", path, params={**(params or {}), **cursor})
            if not {"items", "next_cursor"} <= page.keys():
                raise self._foreign()
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
            asked = _Asked("POST", path, options, repeat, multipart(files, on_progress))
            return self._answered(stack, asked, whole=True)

    @contextmanager
    def sending(
        self, path: str, files: Mapping[str, File], params: Mapping[str, str],
        on_progress: UploadProgress | None = None, repeat: Repeat | None = None,
    ) -> Iterator[httpx.Response]:  # fmt: skip
        """Send files as multipart/form-data, those on the disk without holding them in memory; see stream()."""
        options = {"params": params, "timeout": self._at_work}
        with self.stream("POST", path, repeat=repeat, body=multipart(files, on_progress), **options) as response:
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
                raise self._failed(error) from error

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
            request = self._request(asked, trial)
            try:
                response = self._http.send(request, stream=True)
                trial.callback(response.close)
                if whole or not response.is_success:
                    response.read()
            except (httpx.TransportError, h11.LocalProtocolError) as error:  # of the latter, httpx wraps some only
                failed = self._failed(error)
                failed.__cause__ = error
                return failed
            if not response.is_success:
                return _api_error(response)
            stack.push(trial.pop_all())
            return response

    def _request(self, asked: "_Asked", stack: ExitStack) -> httpx.Request:
        body = {} if asked.body is None else asked.body(stack)
        try:
            return self._http.build_request(asked.method, asked.path, **asked.options, **body)
        except (httpx.InvalidURL, ValueError) as error:  # such as NaN, which JSON does not know
            raise Misused(f"This cannot be sent: {error}.") from error

    def _foreign(self) -> ClientError:
        return ClientError(f"{self._address} is no RigFuse service: it does not answer with its JSON.")

    def _failed(self, error: httpx.TransportError | h11.LocalProtocolError) -> ClientError:
        if isinstance(error, httpx.LocalProtocolError | h11.LocalProtocolError):  # we broke off, not the service
            return ClientError("The request could not be sent as it was begun; has a file changed meanwhile?")
        reason = str(error) or type(error).__name__
        never = isinstance(error, httpx.ConnectError | httpx.ConnectTimeout)
        return Unreachable(f"The service at {self._address} does not answer: {reason}", never_connected=never)


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
