"""What does the work: weights, device, workers, jobs, and the API where its address is given."""

import time
from collections.abc import Iterator
from datetime import timedelta
from urllib.parse import urlsplit

import httpx
import numpy as np
from sqlalchemy import func, select

from app import totals
from app.adaptations.parts import PARTS
from app.adaptations.states import State
from app.doctor.findings import Finding, Patient, bad, good, warning
from app.settings import LOOPBACK_HOSTS
from app.store_identity import store_identity
from app.tables import AdaptationRow, WorkerRow, utc_now
from app.workers.repository import alive
from models.backbone import Backbone
from models.checkpoint import CODE_VERSION
from models.geometry import INPUT_SIZE
from models.weights import load_omega

_TIMEOUT_S = 10.0
_SWEEPS_MISSED = 10
_MESSAGES_PER_ROW, _SPARE_MESSAGES = 10, 100
_LONG_WAIT = timedelta(minutes=10)


def check_weights(patient: Patient) -> Iterator[Finding]:
    """Whether the weights are the ones that their digests say, and the backbone predicts on the device asked for."""
    settings = patient.settings
    omega = load_omega()
    backbone = Backbone.load(settings.backbone_manifest, device=settings.device, threads=settings.threads)
    heatmaps = backbone.heatmaps(np.zeros((1, INPUT_SIZE, INPUT_SIZE, 3), np.uint8))
    if not np.isfinite(heatmaps).all():
        yield bad("weights", "the backbone answers numbers that are none", "install its file again")
        return
    yield good("weights", f"ω_base {omega.digest[:12]}, backbone {backbone.digest[:12]} predicts on {settings.device}")


def check_workers(patient: Patient) -> Iterator[Finding]:
    """Whether somebody works, with this version, and on this artifact store."""
    with patient.database.read_session() as session:
        living = alive(session, patient.settings.lease_s)
        waiting, oldest = session.execute(
            select(func.count(), func.min(AdaptationRow.created_at)).where(AdaptationRow.state == State.QUEUED)
        ).one()
    if not living:
        do = "start rigfuse worker; is its RIGFUSE_DATABASE_URL this one?"
        yield bad("workers", f"none has reported itself lately; {waiting} adaptations wait", do)
        return
    faults = [*_other_versions(living), *_other_stores(patient, living)]
    if oldest is not None and utc_now() - oldest > _LONG_WAIT:
        faults.append(warning("workers", f"an adaptation waits since {oldest:%H:%M}; {waiting} in all", "add workers"))
    yield from faults or [good("workers", f"{len(living)} alive: " + ", ".join(sorted({w.device for w in living})))]


def _other_versions(living: list[WorkerRow]) -> Iterator[Finding]:
    others = sorted({f"{worker.host} has {worker.version}" for worker in living if worker.version != CODE_VERSION})
    if others:
        told = f"this is {CODE_VERSION}, and {'; '.join(others)}"
        yield bad("workers", told, "run the same release everywhere")


def _other_stores(patient: Patient, living: list[WorkerRow]) -> Iterator[Finding]:
    ours = store_identity(patient.settings)
    others = sorted({worker.host for worker in living if ours and worker.store and worker.store != ours})
    if others:
        do = "give all processes the same RIGFUSE_ARTIFACTS_URL, on a volume that they share"
        yield bad("workers", f"the workers on {', '.join(others)} write to another artifact store", do)


def check_queue(patient: Patient) -> Iterator[Finding]:
    """Whether somebody looks for adaptations that no message calls, and the broker's messages are not far too many."""
    with patient.database.read_session() as session:
        rows = session.scalar(select(func.count()).where(AdaptationRow.state == State.QUEUED)) or 0
        swept = totals.read(session, totals.LAST_SWEEP).get("")
    messages = patient.queue.waiting()
    told = f"{rows} adaptations wait, {messages} messages call for them"
    since = None if swept is None else time.time() - swept
    if rows and (since is None or since > _SWEEPS_MISSED * patient.settings.sweep_s):
        ago = "nobody has ever swept" if since is None else f"the last sweep was {since / 60:.0f} min ago"
        yield bad("queue", f"{told}, and {ago}", "is a worker alive? look at its log for 'sweep failed'")
    elif messages > _MESSAGES_PER_ROW * rows + _SPARE_MESSAGES:
        yield warning("queue", told, "does something else use this Redis database? the workers will work them off")
    else:
        yield good("queue", told)


def check_leases(patient: Patient) -> Iterator[Finding]:
    """Whether jobs run whose lease has ended long ago."""
    settings = patient.settings
    late = utc_now() - timedelta(seconds=settings.lease_s + 2 * settings.sweep_s)
    # A job that waits for its parts is held by no process; they have leases of their own.
    held = (AdaptationRow.state == State.RUNNING, AdaptationRow.lease_owner != PARTS)
    stale = (*held, AdaptationRow.lease_expires_at < late)
    with patient.database.read_session() as session:
        ids = list(session.scalars(select(AdaptationRow.id).where(*stale).limit(10)))
    if ids:
        do = "a worker's sweep should have queued them again: is one alive, and is its clock right?"
        yield bad("leases", f"ended long ago: {', '.join(ids)}", do)
    else:
        yield good("leases", "none is stale")


def check_api(patient: Patient) -> Iterator[Finding]:
    """Whether the API answers where it is said to be."""
    if patient.url is None:
        return
    url = patient.url.rstrip("/")
    parts = urlsplit(url)
    headers = {"Authorization": f"Bearer {patient.api_key}"} if patient.api_key else {}
    answer = httpx.get(f"{url}/readyz", timeout=_TIMEOUT_S, headers=headers)
    if answer.status_code != httpx.codes.OK:
        kind = answer.headers.get("content-type", "")
        told = answer.json()["detail"] if "json" in kind else f"status {answer.status_code}"
        yield bad("API", told, "see the checks above, and the log of the API")
    elif parts.scheme == "http" and parts.hostname not in LOOPBACK_HOSTS:
        yield warning(
            "API", f"{url} is ready, without TLS", "keys cross the network in clear: put a TLS proxy in front"
        )
    else:
        yield good("API", f"{url} is ready")
