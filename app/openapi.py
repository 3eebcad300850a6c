"""The OpenAPI description: what FastAPI derives, with every answer that may come, its headers and an example.

What all routes have in common is said here once: problems instead of FastAPI's own validation errors, refusals that
come from in front of the routes (keys, rates, sizes, a draining process), headers, and which scope a key needs.
"""

from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from app.auth import scope_of
from app.openapi_examples import PARAMETERS, add_examples
from app.problems import Problem, responses

_POSES = (
    "Frames in, fused heatmaps and poses out. Live frames go over a WebSocket at `/v1/rigs/{rig_id}/live`, which "
    "docs/live.md of the repository describes."
)
_TAGS = [
    {"name": "rigs", "description": "Calibrated sets of cameras."},
    {"name": "captures", "description": "Labelled frames of a rig, checked and sealed."},
    {"name": "uploads", "description": "Large files that go on where they broke off: tus 1.0."},
    {"name": "adaptations", "description": "Jobs that turn a capture into a checkpoint."},
    {"name": "checkpoints", "description": "What adaptations made; one is active per rig."},
    {"name": "bundles", "description": "A rig and its checkpoint in one signed file."},
    {"name": "poses", "description": _POSES},
    {"name": "workers", "description": "The processes that run adaptations."},
    {"name": "access", "description": "Keys, and who did what."},
    {"name": "operations", "description": "Health and metrics."},
]
_SCHEME = "ApiKey"
_SECURITY = {
    "type": "http",
    "scheme": "bearer",
    "description": "An API key, of `POST /v1/keys` or of RIGFUSE_API_KEYS. Its scopes say what it may do: `read` "
    "looks, `write` works (registers, uploads, adapts, activates, asks for poses), `admin` makes and revokes keys, "
    "reads the audit trail and deletes. None implies another; each operation says which it needs. A key of a studio "
    "sees only what is that studio's. The embedded service on a loopback address may run without any.",
}
_EVERYWHERE = (429, 500, 503)
_WITH_BODY = (400, 408, 413)
_MAKERS = {
    "register_rig": "rig_id",
    "upload_capture": "capture_id",
    "create_upload": "upload_id",
    "start_adaptation": "adaptation_id",
    "retry_adaptation": "adaptation_id",
    "create_key": "key_id",
}
_TEXT = {"schema": {"type": "string"}}
_HEADERS = {
    "X-Request-ID": {"description": "what the service's log knows the request by", **_TEXT},
    "Retry-After": {"description": "seconds to wait before asking again", "schema": {"type": "integer", "minimum": 1}},
    "Location": {"description": "where the new resource is", **_TEXT},
    "WWW-Authenticate": {"description": "how to send a key", **_TEXT},
}


def describe(app: FastAPI) -> dict[str, Any]:
    """The description, made once."""
    if app.openapi_schema is None:
        schema = get_openapi(
            title=app.title, version=app.version, description=app.description, routes=app.routes, tags=_TAGS
        )
        _use_problems(schema)
        for path, method, operation in _operations(schema):
            _tell_refusals(path, operation, writes=method not in {"get", "head", "options"})
            _tell_headers(operation)
            _plain_parameters(operation)
            _tell_scope(operation, method)
        schema["components"]["securitySchemes"] = {_SCHEME: _SECURITY}
        add_examples(schema)
        _add_links(schema)
        app.openapi_schema = schema
    return app.openapi_schema


def _operations(schema: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, operations in schema["paths"].items():
        for method, operation in operations.items():
            yield path, method, operation


def _use_problems(schema: dict[str, Any]) -> None:
    components = schema.setdefault("components", {}).setdefault("schemas", {})
    problem = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
    components.update(problem.pop("$defs", {}))
    components["Problem"] = problem
    for name in ("HTTPValidationError", "ValidationError"):
        components.pop(name, None)


def _tell_refusals(path: str, operation: dict[str, Any], *, writes: bool) -> None:
    """Name what may be answered from in front of a route, and leave out what cannot."""
    told = operation["responses"]
    told.pop("default", None)
    guarded = "security" in operation
    statuses = [*(_EVERYWHERE if guarded else (500, 503)), *(_WITH_BODY if "requestBody" in operation else ())]
    statuses += [507] if writes else []
    told |= {str(status): answer for status, answer in responses(*statuses).items() if str(status) not in told}
    if "422" in told:
        told["422"] = responses(422)[422]
    if "{" not in path:
        told.pop("404", None)
    for status in sorted(told):
        told[status] = told.pop(status)
        if told[status]["description"] == "Successful Response":
            told[status]["description"] = HTTPStatus(int(status)).phrase


def _tell_headers(operation: dict[str, Any]) -> None:
    for status, answer in operation["responses"].items():
        names = ["X-Request-ID"]
        names += ["Retry-After"] if status in {"429", "503"} else []
        names += ["WWW-Authenticate"] if status == "401" else []
        names += ["Location"] if status in {"201", "202"} and "cancel" not in operation["operationId"] else []
        answer["headers"] = {name: _HEADERS[name] for name in names} | answer.get("headers", {})


def _plain_parameters(operation: dict[str, Any]) -> None:
    """A parameter is there or not; it is never null, which FastAPI says of those that may be left out."""
    for parameter in operation.get("parameters", []):
        schema = parameter["schema"]
        kinds = [kind for kind in schema.get("anyOf", []) if kind != {"type": "null"}]
        if len(kinds) == 1:
            parameter["schema"] = kinds[0] | {key: value for key, value in schema.items() if key != "anyOf"}
        if parameter["name"] in PARAMETERS:
            parameter.setdefault("example", PARAMETERS[parameter["name"]])


def _add_links(schema: dict[str, Any]) -> None:
    """Say where the id that a new thing is answered with can be used."""
    using: dict[str, list[str]] = {}
    for _, _, operation in _operations(schema):
        for parameter in operation.get("parameters", []):
            if parameter["in"] == "path":
                using.setdefault(parameter["name"], []).append(operation["operationId"])
    for _, _, operation in _operations(schema):
        name = _MAKERS.get(operation["operationId"])
        for status in {"201", "202"} & operation["responses"].keys() if name else ():
            operation["responses"][status]["links"] = {
                target: {"operationId": target, "parameters": {f"path.{name}": "$response.body#/id"}}
                for target in using.get(name or "", [])
            }


def _tell_scope(operation: dict[str, Any], method: str) -> None:
    if "security" not in operation:
        return
    scope = operation.setdefault("x-rigfuse-scope", scope_of(None, method.upper()).value)
    operation["security"] = [{_SCHEME: []}]
    operation["description"] = f"{operation.get('description', '')}\n\nNeeds a key with the scope `{scope}`.".strip()
