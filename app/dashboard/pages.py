"""How every page is made: one set of templates, one Content-Security-Policy, and who looks at it."""

import base64
import hashlib
import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

from fastapi import Depends, Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from app.access.principal import LOCAL, Principal, Scope
from app.auth import caller
from app.dashboard.static_files import static_files
from models.checkpoint import CODE_VERSION

_BARE_MODULES = {
    "three": "vendor/three/three.module.min.js",
    "three/addons/controls/OrbitControls.js": "vendor/three/OrbitControls.js",
    "three/addons/renderers/CSS2DRenderer.js": "vendor/three/CSS2DRenderer.js",
}


NOBODY = Principal("", "", frozenset())
"""Who looks at a page that needs no key, or asked for one that is not there."""


def _import_map() -> str:
    return json.dumps({"imports": {name: static_files().url(path) for name, path in _BARE_MODULES.items()}})


def _policy() -> str:
    """Scripts and styles are our own files, nothing inline but the one import map; nobody may frame a page."""
    import_map = base64.b64encode(hashlib.sha256(_import_map().encode()).digest()).decode()
    return (
        f"default-src 'none'; script-src 'self' 'sha256-{import_map}'; style-src 'self'; img-src 'self' data: blob:; "
        "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )


HEADERS = {"Content-Security-Policy": _policy(), "Cache-Control": "no-store"}


def told_time(when: datetime | None, otherwise: str = "never") -> Markup:
    """A time as a ``<time>`` element, which a script tells relatively and in the reader's own zone."""
    if when is None:
        return Markup('<span class="muted">{}</span>').format(otherwise)
    return Markup('<time datetime="{}">{} UTC</time>').format(
        when.isoformat(timespec="milliseconds"), when.strftime("%Y-%m-%d %H:%M")
    )


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["time"] = told_time
    environment.globals |= {
        "static": static_files().url,
        "import_map": Markup(_import_map()),  # noqa: S704 -- names of our own files
        "version": CODE_VERSION,
    }
    return environment


ENVIRONMENT = _environment()


@dataclass(frozen=True)
class Page:
    """What a request's pages are made with: its path, and who asks."""

    request: Request
    principal: Principal

    def show(self, template: str, status: int = 200, /, **context: Any) -> HTMLResponse:
        """A whole page."""
        return HTMLResponse(self.part(template, **context), status, headers=HEADERS)

    def part(self, template: str, /, **context: Any) -> str:
        """A page, or a part of one, as text."""
        return ENVIRONMENT.get_template(template).render(context | self._common())

    @property
    def wants_part(self) -> bool:
        """Whether htmx asks, for a part of the page that it is on."""
        return self.request.headers.get("hx-request") == "true"

    def _common(self) -> dict[str, Any]:
        return {
            "path": self.request.url.path,
            "principal": self.principal,
            "may_write": self.principal.may(Scope.WRITE),
            "may_administrate": self.principal.may(Scope.ADMIN),
            "signed_in": self.principal not in {LOCAL, NOBODY},
        }


def get_page(request: Request) -> Page:
    """The pages of this request; its route requires a key."""
    return Page(request, caller(request))


PageDep = Annotated[Page, Depends(get_page)]
