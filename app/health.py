"""Operations: does the process live, are all its parts there, and what do the counters say."""

from typing import Annotated

from anyio import to_thread
from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel

from app.access.principal import Principal
from app.auth import require_operator
from app.errors import ServiceUnavailable
from app.metrics import CONTENT_TYPE
from app.problems import responses
from app.readiness import Readiness
from models.weights import default_omega

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


@router.head("/healthz", include_in_schema=False)
@router.get("/healthz", summary="Does the process live?")
async def healthz() -> Alive:
    """Answers as long as the process does, whatever its surroundings do and however busy its threads are."""
    return Alive()


@router.head("/readyz", include_in_schema=False)
@router.get("/readyz", summary="Is everything there that serving needs?", responses=responses(503))
async def readyz(request: Request) -> Ready:
    """Asks all parts at once, each for two seconds at most; the problem names those that do not answer, and why."""
    state = request.app.state
    if state.draining.begun:
        detail = "This process is about to end and takes no new work."
        raise ServiceUnavailable(detail, code="draining", retry_after_s=2)
    readiness: Readiness = state.readiness
    faults = await readiness.faults()
    if faults:
        told = "; ".join(f"{part} ({fault})" for part, fault in faults.items())
        detail = f"These parts do not answer as they should: {told}."
        raise ServiceUnavailable(detail, at=next(iter(faults)), code="not_ready", retry_after_s=5)
    return Ready(parts=readiness.parts, backbone=state.backbone.digest, omega_base=default_omega().digest)


@router.get(
    "/metrics",
    summary="Metrics for Prometheus",
    response_class=Response,
    responses={200: {"content": {"text/plain": {}}}, **responses(401, 403)},
)
async def metrics(request: Request, _operator: Annotated[Principal, Depends(require_operator)]) -> Response:
    """Needs a key of no studio with the scope `read` where keys are needed, as Prometheus can send one."""
    text = await to_thread.run_sync(request.app.state.metrics.render)
    return Response(text, media_type=CONTENT_TYPE)
