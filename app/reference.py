"""``/docs``: the API's reference as Swagger UI shows it, with nothing from elsewhere and no script in the page."""

from importlib.resources import files

from fastapi import APIRouter
from fastapi.responses import HTMLResponse, Response

from app.errors import NotFound

router = APIRouter(include_in_schema=False)

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>RigFuse: reference</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="docs/swagger-ui.css">
</head>
<body>
<div id="reference"></div>
<script src="docs/swagger-ui-bundle.js"></script>
<script src="docs/start.js"></script>
</body>
</html>
"""
_START = """SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#reference",
  deepLinking: true,
  docExpansion: "list",
  validatorUrl: null,
});
"""
_CSS, _SCRIPT = "text/css", "text/javascript"
_TYPES = {"swagger-ui.css": _CSS, "swagger-ui-bundle.js": _SCRIPT}


@router.get("/docs")
def reference() -> HTMLResponse:
    """The page."""
    return HTMLResponse(_PAGE, headers={"Content-Security-Policy": _POLICY})


@router.get("/docs/{name}")
def part(name: str) -> Response:
    """A part of the page: of Swagger UI, as the package fastapi-offline brings it, or the few lines that start it."""
    if name == "start.js":
        return Response(_START, media_type=_SCRIPT)
    if name not in _TYPES:
        raise NotFound("There is nothing of that name.", at="path.name")
    data = (files("fastapi_offline") / "static" / name).read_bytes()
    return Response(data, media_type=_TYPES[name], headers={"Cache-Control": "public, max-age=86400"})
