"""Which methods a path answers: of all routes with that path, while Starlette's 405 names those of the first alone."""

import re
from functools import lru_cache
from typing import Any

from fastapi import FastAPI


def allowed_methods(app: FastAPI, path: str) -> tuple[str, ...]:
    """The methods that the description has for ``path``; empty where it is not described."""
    described: dict[str, dict[str, Any]] = app.openapi()["paths"]
    return tuple(
        sorted(
            method.upper()
            for template, operations in described.items()
            if _pattern(template).fullmatch(path)
            for method in operations
        )
    )


@lru_cache(maxsize=256)
def _pattern(template: str) -> re.Pattern[str]:
    return re.compile("[^/]+".join(re.escape(part) for part in re.split(r"\{[^}]+\}", template)))
