"""The OpenAPI description: what FastAPI derives, with our problems in place of its own validation errors."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from app.problems import MEDIA_TYPE, Problem

_TAGS = [
    {"name": "rigs", "description": "Calibrated sets of cameras."},
    {"name": "captures", "description": "Labelled frames of a rig, checked and sealed."},
    {"name": "adaptations", "description": "Jobs that turn a capture into a checkpoint."},
    {"name": "checkpoints", "description": "What adaptations made; one is active per rig."},
    {"name": "poses", "description": "Frames in, fused heatmaps and poses out."},
    {"name": "operations", "description": "Health and metrics."},
]
_REFERENCE = {"$ref": "#/components/schemas/Problem"}


def describe(app: FastAPI) -> dict[str, Any]:
    """The description, made once."""
    if app.openapi_schema is None:
        schema = get_openapi(
            title=app.title, version=app.version, description=app.description, routes=app.routes, tags=_TAGS
        )
        _use_problems(schema)
        app.openapi_schema = schema
    return app.openapi_schema


def _use_problems(schema: dict[str, Any]) -> None:
    components = schema.setdefault("components", {}).setdefault("schemas", {})
    problem = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
    components.update(problem.pop("$defs", {}))
    components["Problem"] = problem
    for name in ("HTTPValidationError", "ValidationError"):
        components.pop(name, None)
    for operations in schema["paths"].values():
        for operation in operations.values():
            if "422" in operation["responses"]:
                operation["responses"]["422"]["content"] = {MEDIA_TYPE: {"schema": _REFERENCE}}
            operation["responses"]["default"] = {
                "description": "Any other problem",
                "content": {MEDIA_TYPE: {"schema": _REFERENCE}},
            }
