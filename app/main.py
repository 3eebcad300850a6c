"""The application: the one place where the parts of the API service are put together."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog
from anyio import CapacityLimiter, to_thread
from fastapi import Depends, FastAPI
from fastapi.middleware.cors import CORSMiddleware

from app import auth, health, openapi, parameters, problems, readiness, tracing
from app.access.browser import BrowserSessions
from app.access.guard import Guard
from app.access.headers import CORS, SecurityHeaders
from app.access.hosts import AllowedHosts
from app.access.keyring import KeyRing
from app.access.routes import router as access
from app.access.usage import Usage
from app.adaptations.routes import router as adaptations
from app.artifact_stores import open_artifacts
from app.bundles.routes import router as bundles
from app.calibrations.routes import router as calibrations
from app.captures.routes import router as captures
from app.checkpoints.routes import router as checkpoints
from app.dashboard import routers as dashboard_routers
from app.dashboard.frames.viewer import Viewer
from app.dashboard.problem_pages import ProblemPages
from app.db import Database
from app.draining import Draining, DrainingGate
from app.limits import RequestLimits
from app.live.routes import router as live
from app.metrics import Metrics
from app.observability import RequestContext, configure_logging
from app.operation_ids import operation_id
from app.poses.routes import router as poses
from app.poses.serving import Serving
from app.queue import JobQueue
from app.redaction import conceal
from app.reference import router as reference
from app.resumable.protocol import TusHeaders
from app.resumable.routes import router as uploads
from app.resumable.routes import sweeping
from app.resumable.store import UploadStore
from app.rigs.cache import RigCache
from app.rigs.routes import router as rigs
from app.settings import Settings
from app.uploads import forget_abandoned
from app.workers.routes import router as workers
from models.backbone import Backbone

log = structlog.get_logger(__name__)

VERSION = "1"
DESCRIPTION = """Few-shot calibration of multi-camera rigs by heatmap fusion.

Register a rig, upload about 50 labelled frames, start an adaptation, and ask for poses. Every error is an
`application/problem+json` with a stable `code`, a sentence, and the place in the input.
"""


def create_app(settings: Settings) -> FastAPI:
    """Put the service together; raises MisconfiguredService where it must not run with these settings."""
    configure_logging(settings.log_format)
    conceal(settings)
    database = Database(settings.database_url)
    keys = KeyRing(settings, database)
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    app = FastAPI(
        title="RigFuse",
        version=VERSION,
        description=DESCRIPTION,
        lifespan=_lifespan,
        telemetry=tracing.of_requests(),
        generate_unique_id_function=operation_id,
        docs_url=None,  # ours needs nothing from elsewhere
        redoc_url=None,
    )
    state = app.state
    state.settings = settings
    state.db = database
    state.keys = keys
    state.artifacts = open_artifacts(settings)
    state.queue = JobQueue(settings.broker_url)
    state.resumable = UploadStore(settings)
    state.rigs = RigCache()
    state.metrics = Metrics(state.db)
    state.serving = Serving(settings, database, state.artifacts, state.rigs)
    state.viewer = Viewer(settings, state.artifacts, state.serving)
    state.engines = state.serving.engines
    state.guard = Guard(settings, keys, BrowserSessions(database, settings.sign_in_s), state.metrics)
    state.usage = Usage(database)
    state.metrics.watch_engines(lambda: len(state.engines), lambda: state.engines.nbytes)
    state.metrics.watch_disk(settings.data_dir, "data")
    state.draining = Draining()
    state.metrics.watch_under_way(lambda: state.draining.under_way)
    state.readiness = readiness.of_application(app)
    state.metrics.watch_poses(lambda: state.serving.admission.waiting)
    state.capture_slots = CapacityLimiter(settings.capture_concurrency)
    state.backbone = None  # loaded at start-up; until then only /healthz and what needs no images answers
    _add_routes(app)
    problems.install(app)
    app.openapi = lambda: openapi.describe(app)  # type: ignore[method-assign]
    _add_middleware(app, settings)
    return app


def _add_middleware(app: FastAPI, settings: Settings) -> None:
    """The layers around every request, the innermost first."""
    state = app.state
    app.add_middleware(RequestLimits, settings=settings, usage=state.usage)
    app.add_middleware(TusHeaders)
    app.add_middleware(DrainingGate, draining=state.draining)
    if settings.cors_origins:
        app.add_middleware(CORSMiddleware, allow_origins=settings.cors_origins, **CORS)
    if settings.allowed_hosts:
        app.add_middleware(AllowedHosts, hosts=settings.allowed_hosts)
    app.add_middleware(ProblemPages)
    app.add_middleware(RequestContext, metrics=state.metrics)
    app.add_middleware(SecurityHeaders, hsts_s=settings.hsts_s)


def _add_routes(app: FastAPI) -> None:
    api = (rigs, calibrations, captures, uploads, adaptations, checkpoints, bundles, poses, live, workers, access)
    for router in api:
        app.include_router(
            router,
            prefix="/v1",
            dependencies=[Depends(auth.require_key), Depends(parameters.require_known)],
            responses=problems.responses(401, 403, 404, 409, 422),
        )
    app.include_router(health.router)
    app.include_router(reference)
    for router in dashboard_routers.ROUTERS:
        app.include_router(router)


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    await to_thread.run_sync(prepare, app)
    log.info("started", database=app.state.settings.database_kind, device=app.state.settings.device)
    # Requests whose poses are computed or waited for hold threads, and must leave some to all others.
    to_thread.current_default_thread_limiter().total_tokens += app.state.serving.admission.inside
    app.state.usage.start()
    async with sweeping(app.state.resumable, app.state.settings.upload_expiry_s):
        with app.state.serving.attendant, app.state.serving.keeper:
            yield
    app.state.usage.stop()
    app.state.readiness.close()
    app.state.db.dispose()


def prepare(app: FastAPI) -> None:
    """Migrate the database and load the network, unless that is done; raises what keeps the service from starting."""
    state = app.state
    if state.backbone is not None:
        return
    state.db.upgrade()
    state.keys.check_start()
    forget_abandoned(state.settings)
    state.backbone = _load_backbone(state.settings)


def _load_backbone(settings: Settings) -> Backbone:
    # A device that was asked for and is not there ends the start: there is no silent fall-back.
    return Backbone.load(settings.backbone_manifest, device=settings.device, threads=settings.threads)
