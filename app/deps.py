"""What an endpoint may ask for: settings, sessions, artifacts, the queue, a page of a list."""

from collections.abc import Callable, Iterator
from typing import Annotated

from fastapi import Depends
from sqlalchemy.orm import Session
from starlette.requests import HTTPConnection

from app.access.usage import Usage
from app.artifacts import Artifacts
from app.auth import caller
from app.db import Database
from app.draining import Draining
from app.errors import ServiceUnavailable, TooManyRequests
from app.metrics import Metrics
from app.queue import JobQueue
from app.settings import Settings
from models.backbone import Backbone


def get_settings(connection: HTTPConnection) -> Settings:
    """The settings that the application was made with."""
    return connection.app.state.settings


def get_database(connection: HTTPConnection) -> Database:
    """The database as the caller may see it, for an endpoint that opens its own short sessions."""
    database: Database = connection.app.state.db
    return database.acting_as(caller(connection))


def get_frames_quota(connection: HTTPConnection) -> Callable[[int], None]:
    """A function that counts frames for the caller's key; raises TooManyRequests where today's quota is used up."""
    usage: Usage = connection.app.state.usage
    metrics: Metrics = connection.app.state.metrics
    principal = caller(connection)

    def take(frames: int) -> None:
        try:
            usage.take_frames(principal, frames)
        except TooManyRequests:
            metrics.key_refusals.labels("frames_per_day").inc()
            raise

    return take


def get_artifacts(connection: HTTPConnection) -> Artifacts:
    """The artifact store."""
    return connection.app.state.artifacts


def get_queue(connection: HTTPConnection) -> JobQueue:
    """The job queue."""
    return connection.app.state.queue


def get_draining(connection: HTTPConnection) -> Draining:
    """Whether this process is about to end, for what lasts long."""
    return connection.app.state.draining


def get_backbone(connection: HTTPConnection) -> Callable[[], Backbone]:
    """A function that answers the backbone, for requests that may turn out to need none."""

    def backbone() -> Backbone:
        loaded = connection.app.state.backbone
        if loaded is None:
            raise ServiceUnavailable("The backbone is not loaded yet.", at="weights", code="not_ready")
        return loaded

    return backbone


def get_session(database: Annotated[Database, Depends(get_database)]) -> Iterator[Session]:
    """A session that the edge commits once, before the response is sent."""
    with database.session() as session:
        yield session


def get_read_session(database: Annotated[Database, Depends(get_database)]) -> Iterator[Session]:
    """A session for an endpoint that only reads."""
    with database.read_session() as session:
        yield session


SettingsDep = Annotated[Settings, Depends(get_settings)]
DatabaseDep = Annotated[Database, Depends(get_database)]
ArtifactsDep = Annotated[Artifacts, Depends(get_artifacts)]
BackboneDep = Annotated[Callable[[], Backbone], Depends(get_backbone)]
DrainingDep = Annotated[Draining, Depends(get_draining)]
FramesQuotaDep = Annotated[Callable[[int], None], Depends(get_frames_quota)]
QueueDep = Annotated[JobQueue, Depends(get_queue)]
# scope="function" ends the dependency, and so commits, before the response leaves.
SessionDep = Annotated[Session, Depends(get_session, scope="function")]
ReadSessionDep = Annotated[Session, Depends(get_read_session, scope="function")]
