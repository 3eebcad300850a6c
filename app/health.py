"""Operations: does the process live, are all its parts there, and what do the counters say."""

from collections.abc import Callable
from typing import Annotated

import structlog
from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel

from app.auth import require_key
from app.errors import ServiceUnavailable
from app.metrics import CONTENT_TYPE
from app.problems import responses
from models.weights import default_omega, load_omega

log = structlog.get_logger(__name__)
router = APIRouter(tags=["operations"])


class Alive(BaseModel):
    """The process answers."""

    status: str = "ok"


class Ready(BaseModel):
    """Every part answers; the digests tell which weights are served."""

    status: str = "ready"
    parts: list[str]
    backbone: str
    omega_base: str


@router.get("/healthz", summary="Does the process live?")
async def healthz() -> Alive:
    """Answers as long as the process does, whatever its surroundings do and however busy its threads are."""
    return Alive()


@router.get("/readyz", summary="Is everything there that serving needs?", responses=responses(503))
def readyz(request: Request) -> Ready:
    """Asks the database, the broker, the artifact store and the backbone; the problem names what does not answer."""
    state = request.app.state
    checks: dict[str, Callable[[], object]] = {
        "database": state.db.ping,
        "broker": state.queue.ping,
        "artifacts": state.artifacts.check_writable,
        "weights": lambda: (state.backbone.digest, load_omega()),
    }
    missing = [name for name, check in checks.items() if not _answers(name, check)]
    if missing:
        raise ServiceUnavailable(f"These parts do not answer: {', '.join(missing)}.", at=missing[0], code="not_ready")
    return Ready(parts=list(checks), backbone=state.backbone.digest, omega_base=default_omega().digest)


@router.get(
    "/metrics",
    summary="Metrics for Prometheus",
    response_class=Response,
    responses={200: {"content": {"text/plain": {}}}, **responses(401)},
)
def metrics(request: Request, _key: Annotated[None, Depends(require_key)]) -> Response:
    """Needs an API key where one is configured, as Prometheus can send one."""
    return Response(request.app.state.metrics.render(), media_type=CONTENT_TYPE)


def _answers(name: str, check: Callable[[], object]) -> bool:
    try:
        check()
    except Exception as error:  # whatever a driver raises, the part does not answer
        log.warning("not_ready", part=name, error=repr(error))
        return False
    return True
