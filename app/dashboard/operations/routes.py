"""The operations page, for who may know of the deployment as a whole, and what keeps it true."""

import platform
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from typing import Any

from fastapi import APIRouter, Depends, FastAPI, Request
from fastapi.responses import HTMLResponse, StreamingResponse
from sqlalchemy.orm import Session

from app.auth import require_operator
from app.dashboard.live import live
from app.dashboard.operations import reading
from app.dashboard.operations.wellbeing import Watch, Wellbeing, newest_schema
from app.dashboard.pages import PageDep
from app.deps import DatabaseDep, ReadSessionDep
from app.doctor.findings import Mark
from app.tables import utc_now
from models.checkpoint import CODE_VERSION
from models.weights import load_omega

router = APIRouter(include_in_schema=False, dependencies=[Depends(require_operator)])

SUBJECTS = {"rig": "/rigs/{}", "ada": "/adaptations/{}", "cap": "/captures/{}/frames"}
"""Where what an act was done to can be looked at."""


@dataclass(frozen=True)
class Process:
    """This API process at this moment."""

    under_way: int
    poses_waiting: int
    engines: int
    engine_bytes: int


@router.get("/operations")
def operations(page: PageDep, session: ReadSessionDep) -> HTMLResponse:
    """The whole page."""
    return page.show("operations.html", **_context(page.request.app, session))


@router.get("/operations/live")
def live_operations(request: Request, page: PageDep, database: DatabaseDep) -> StreamingResponse:
    """Its content, again and again."""
    return live(request, database, lambda session: page.part("_operations.html", **_context(request.app, session)))


def _context(app: FastAPI, session: Session) -> dict[str, Any]:
    now, state = utc_now(), app.state
    well = _watch(app).read()
    workers = reading.workers(session, state.settings.lease_s)
    return {
        "well": well,
        "Mark": Mark,
        "workers": workers,
        "alive": sum(worker.state == "alive" for worker in workers),
        "queues": reading.queues(session),
        "outcomes": reading.outcomes(session, now),
        "stages": reading.stages(session),
        "failures": reading.failures(session, now),
        "stored": reading.stored(session),
        "store": state.settings.artifacts_url.partition(":")[0],
        "acts": reading.acts(session),
        "subjects": SUBJECTS,
        "process": _process(app),
        "versions": _versions(app, well),
    }


def _watch(app: FastAPI) -> Watch:
    watch: Watch | None = getattr(app.state, "operations_watch", None)
    if watch is None:
        watch = app.state.operations_watch = Watch(app)
    return watch


def _process(app: FastAPI) -> Process:
    state = app.state
    return Process(
        under_way=state.draining.under_way,
        poses_waiting=state.serving.admission.waiting,
        engines=len(state.engines),
        engine_bytes=state.engines.nbytes,
    )


def _versions(app: FastAPI, well: Wellbeing) -> dict[str, str]:
    state = app.state
    schema = (
        well.schema if well.schema == newest_schema() else f"{well.schema}, this program is made for {newest_schema()}"
    )
    return {
        "RigFuse": CODE_VERSION + (f", {state.settings.source_revision}" if state.settings.source_revision else ""),
        "Database": f"{state.settings.database_kind}, schema {schema}",
        "ω_base": _omega(),
        "Detector": f"{state.backbone.digest[:12]} on {state.settings.device}" if state.backbone else "not loaded yet",
        "ONNX Runtime": _installed("onnxruntime-gpu", "onnxruntime"),
        "Python": platform.python_version(),
    }


@cache
def _omega() -> str:
    return load_omega().digest[:12]


@cache
def _installed(*names: str) -> str:
    for name in names:
        try:
            return metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return "not installed"
