"""Every error as RFC 9457 ``application/problem+json``: a stable code, a sentence, and the place in the input."""

import math
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError, WebSocketRequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from sqlalchemy import exc as database_errors
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from app.disks import database_is_full, is_full, storage_full
from app.errors import HTTP_STATUS, ServiceUnavailable, TooManyRequests, Unauthorized, http_status
from app.methods import allowed_methods
from models.errors import RigFuseError

log = structlog.get_logger(__name__)

MEDIA_TYPE = "application/problem+json"
_HTTP_CODES = {
    400: "bad_request",
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    408: "request_timeout",
    412: "precondition_failed",
    413: "upload_too_large",
    415: "unsupported_media_type",
    422: "invalid_input",
}
# A body that is wrong in form has the same code as one that is wrong in meaning.
_BODY_CODES = {("POST", "/v1/rigs"): "invalid_rig"}
_MAX_ERRORS = 20


class FieldProblem(BaseModel):
    """One thing that is wrong in the input."""

    at: str | None = Field(default=None, examples=["cameras[1].K[0][2]"])
    code: str
    detail: str


class Problem(BaseModel):
    """What went wrong, for a machine (`code`, `at`) and for a person (`detail`)."""

    type: str = Field(examples=["urn:rigfuse:error:invalid_rig"])
    title: str = Field(examples=["Invalid rig"])
    status: int = Field(examples=[422])
    detail: str = Field(examples=["R is not a rotation: its rows must be orthonormal and its determinant +1."])
    code: str = Field(examples=["invalid_rig"])
    at: str | None = Field(default=None, examples=["cameras[1].R"])
    errors: list[FieldProblem] | None = None


def problem(
    status: int, code: str, detail: str, *, at: str | None = None, errors: Sequence[FieldProblem] | None = None
) -> Problem:
    """One problem as it is told."""
    return Problem(
        type=f"urn:rigfuse:error:{code}",
        title=code.replace("_", " ").capitalize(),
        status=status,
        detail=detail,
        code=code,
        at=at,
        errors=None if errors is None else list(errors),
    )


def problem_response(
    status: int,
    code: str,
    detail: str,
    *,
    at: str | None = None,
    errors: Sequence[FieldProblem] | None = None,
    headers: Mapping[str, str] | None = None,
) -> JSONResponse:
    """The response for one problem; members that do not apply are left out."""
    found = problem(status, code, detail, at=at, errors=errors)
    content = found.model_dump(exclude_none=True)
    return JSONResponse(content, status, headers=headers, media_type=MEDIA_TYPE)


def responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """How an endpoint documents the problems it may answer with."""
    return {
        status: {
            "description": HTTPStatus(status).phrase,
            "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
        for status in statuses
    }


def install(app: FastAPI) -> None:
    """Make ``app`` answer every error as a problem."""
    app.add_exception_handler(RigFuseError, _on_domain_error)
    app.add_exception_handler(RequestValidationError, _on_validation_error)
    app.add_exception_handler(WebSocketRequestValidationError, _on_validation_error)
    app.add_exception_handler(HTTPException, _on_http_error)
    app.add_exception_handler(OSError, _on_disk_full)
    app.add_exception_handler(ClientDisconnect, _on_disconnect)
    app.add_exception_handler(database_errors.DataError, _on_data_error)
    app.add_exception_handler(database_errors.OperationalError, _on_database_down)
    app.add_exception_handler(database_errors.InterfaceError, _on_database_down)
    app.add_exception_handler(database_errors.TimeoutError, _on_database_down)  # no connection of the pool came free


def _on_disk_full(request: Request, error: Exception) -> JSONResponse:
    if not is_full(error):
        raise error
    return _on_domain_error(request, storage_full())


def _on_domain_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RigFuseError)  # noqa: S101 -- tells mypy what Starlette promises
    if isinstance(error, TooManyRequests | ServiceUnavailable):
        request.app.state.metrics.refusals.labels(error.code).inc()
    status = http_status(error)
    if status >= 500 and status != 503:
        log.error("request_failed", code=error.code, detail=error.message, known=type(error) in HTTP_STATUS)
    return problem_response(status, error.code, error.message, at=error.at, headers=_headers(error))


def _headers(error: RigFuseError) -> dict[str, str] | None:
    if isinstance(error, Unauthorized):
        return {"WWW-Authenticate": error.challenge}
    if isinstance(error, TooManyRequests | ServiceUnavailable) and error.retry_after_s is not None:
        return {"Retry-After": str(max(1, math.ceil(error.retry_after_s)))}
    return None


def _on_validation_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError | WebSocketRequestValidationError)  # noqa: S101
    code = _body_code(request)
    found = [_field_problem(entry) for entry in error.errors()[:_MAX_ERRORS]]
    first = found[0]
    detail = f"{first.at}: {first.detail}" if first.at else first.detail
    if len(error.errors()) > 1:
        detail += f" ({len(error.errors()) - 1} more below)"
    return problem_response(422, code, detail, at=first.at, errors=found)


def _body_code(request: Request) -> str:
    return _BODY_CODES.get((request.scope.get("method", ""), request.url.path.rstrip("/")), "invalid_input")


def _unreadable_json(request: Request, cause: BaseException) -> JSONResponse:
    reason = "it is not UTF-8"
    if not isinstance(cause, UnicodeDecodeError):
        reason = (
            "it is nested too deeply" if isinstance(cause, RecursionError) else "it has a number of too many digits"
        )
    found = FieldProblem(at="body", code="json_invalid", detail=f"The body is not JSON that can be read: {reason}.")
    return problem_response(422, _body_code(request), f"body: {found.detail}", at=found.at, errors=[found])


def _on_http_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)  # noqa: S101
    code = _HTTP_CODES.get(error.status_code, "error")
    detail = str(error.detail)
    if isinstance(error.__cause__, RecursionError | ValueError):  # of FastAPI's reading of JSON
        return _unreadable_json(request, error.__cause__)
    if error.status_code == 404:
        detail = f"There is nothing at {request.url.path}; the API's paths are listed at /docs."
    elif error.status_code == 405:
        detail = f"{request.method} is not possible at {request.url.path}."
        methods = allowed_methods(request.app, request.url.path)
        headers = {"Allow": ", ".join(methods)} if methods else error.headers
        return problem_response(405, code, detail, headers=headers)
    return problem_response(error.status_code, code, detail, headers=error.headers)


def _on_disconnect(_request: Request, _error: Exception) -> JSONResponse:
    return problem_response(400, "client_disconnected", "The client went away before its request was complete.")


def _on_data_error(_request: Request, _error: Exception) -> JSONResponse:
    return problem_response(422, "invalid_input", "A value holds a character or number that cannot be stored.")


def _on_database_down(request: Request, error: Exception) -> JSONResponse:
    if database_is_full(error):
        return _on_domain_error(request, storage_full())
    log.error("database_failed", error=repr(error))
    detail = "The database does not answer; try again in a moment."
    return problem_response(503, "service_unavailable", detail, headers={"Retry-After": "5"})


def _field_problem(entry: Mapping[str, Any]) -> FieldProblem:
    kind = str(entry["type"])
    if kind == "json_invalid":
        reason = entry.get("ctx", {}).get("error", "it ends too early")
        return FieldProblem(at=f"body[{entry['loc'][-1]}]", code=kind, detail=f"The body is not JSON: {reason}.")
    return FieldProblem(at=place_of(entry["loc"]), code=kind, detail=_sentence(kind, str(entry["msg"])))


def place_of(location: Sequence[int | str]) -> str | None:
    """``("body", "cameras", 1, "K", 0, 2)`` → ``cameras[1].K[0][2]``."""
    source, *rest = location
    place = "" if source == "body" else str(source)
    for step in rest:
        place += f"[{step}]" if isinstance(step, int) else f".{step}" if place else str(step)
    return place or None


def _sentence(kind: str, message: str) -> str:
    sentences = {
        "missing": "This field is required.",
        "extra_forbidden": "This field is not known here.",
        "finite_number": "The number must be finite: neither NaN nor infinite.",
        "model_attributes_type": "Send a JSON object, with the content type application/json.",
    }
    return sentences.get(kind, message.removeprefix("Value error, ").rstrip(".") + ".")
