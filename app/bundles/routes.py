"""The endpoints of bundles."""

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response, status

from app.auth import ADMIN
from app.bundles import service
from app.bundles.format import fingerprint
from app.bundles.keys import public_key, signing_key
from app.bundles.schemas import BUNDLE_BODY, Imported, SigningKey
from app.captures.routes import capture_slot
from app.checkpoints.schemas import Checkpoint
from app.deps import ArtifactsDep, DatabaseDep, SettingsDep
from app.downloads import MEDIA_TYPE
from app.problems import responses
from app.uploads import Upload, receive
from app.wire import Id

router = APIRouter(tags=["bundles"])
PART = "bundle"


async def receive_bundle(request: Request, settings: SettingsDep) -> AsyncIterator[Upload]:
    """Stream the bundle to disk, bounded; it is gone when the endpoint has returned."""
    async with receive(request, settings, {PART: settings.max_bundle_bytes}) as upload:
        yield upload


@router.get("/signing-key", summary="The key that signs bundles here", responses=responses(401))
def get_signing_key(settings: SettingsDep) -> SigningKey:
    """Another deployment takes our bundles once it has the public key among its RIGFUSE_TRUSTED_KEYS."""
    key = public_key(signing_key(settings))
    return SigningKey(public_key=key, fingerprint=fingerprint(key))


@router.get(
    "/checkpoints/{checkpoint_id}/bundle",
    summary="Download a checkpoint with its rig, signed",
    response_class=Response,
    responses={
        200: {"content": {MEDIA_TYPE: {"schema": {"type": "string", "format": "binary"}}}},
        **responses(401, 404, 409, 503, 507),
    },
)
def export(checkpoint_id: Id, database: DatabaseDep, artifacts: ArtifactsDep, settings: SettingsDep) -> Response:
    """A safetensors file that says of itself what it is; every deployment that trusts our key can import it."""
    data = service.export(database, artifacts, settings, checkpoint_id)
    disposition = f'attachment; filename="{checkpoint_id}.rigfuse.safetensors"'
    return Response(data, media_type=MEDIA_TYPE, headers={"Content-Disposition": disposition})


@router.post(
    "/bundles",
    status_code=status.HTTP_201_CREATED,
    summary="Import a bundle",
    openapi_extra={**BUNDLE_BODY, **ADMIN},
    responses={
        200: {"model": Imported, "description": "The rig had this checkpoint already"},
        **responses(401, 403, 404, 409, 413, 415, 422, 503, 507),
    },
)
def import_bundle(
    *,
    database: DatabaseDep,
    artifacts: ArtifactsDep,
    settings: SettingsDep,
    upload: Annotated[Upload, Depends(receive_bundle, scope="function")],
    _slot: Annotated[None, Depends(capture_slot, scope="function")],
    response: Response,
    rig: Annotated[str | None, Query(max_length=40, description="the rig it is for; else one with its digest")] = None,
    activate: Annotated[bool, Query(description="serve the rig with it at once")] = False,
) -> Imported:
    """Checks signature, digests, rig and checkpoint, then registers what is not there; any mismatch leaves nothing.

    Without `rig` it goes to your studio's rig with the same calibration, and where there is none, that is registered.
    """
    path = upload.require(PART, "it is what is to be imported")
    checked = service.check(path.read_bytes(), settings)
    if rig is not None:
        with database.read_session() as session:
            service.check_target(session, checked, rig)
    artifacts.put_bytes(checked.bundle.artifact)
    with database.session() as session:
        taken = service.take(session, artifacts, checked, rig, activate=activate)
        answer = Imported(
            rig=taken.rig.id,
            rig_registered=taken.rig_is_new,
            checkpoint=Checkpoint.of(taken.checkpoint, taken.rig.active_checkpoint_id),
            checkpoint_registered=taken.checkpoint_is_new,
        )
    response.status_code = status.HTTP_201_CREATED if taken.checkpoint_is_new else status.HTTP_200_OK
    response.headers["Location"] = f"/v1/checkpoints/{taken.checkpoint.id}"
    return answer
