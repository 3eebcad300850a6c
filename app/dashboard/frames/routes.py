"""What the viewer's page asks for, frame by frame: a document, pictures and heatmaps."""

import gzip
from collections.abc import AsyncIterator, Callable
from typing import Annotated

from fastapi import APIRouter, Depends, Header, Path, Response
from starlette.requests import HTTPConnection

from app.dashboard.frames.subjects import Subject, frame_of_capture, frame_of_request
from app.dashboard.frames.viewer import Viewer
from app.deps import BackboneDep
from app.errors import NotFound
from models.skeletons import SKELETONS

router = APIRouter(include_in_schema=False)
_BYTES = "application/octet-stream"
_KEPT_BY_NOBODY = {"Cache-Control": "private, no-store", "Vary": "Accept-Encoding"}
_MOST_JOINTS = max(len(skeleton.joints) for skeleton in SKELETONS.values())


def get_viewer(connection: HTTPConnection) -> Viewer:
    """The application's viewer."""
    return connection.app.state.viewer


ViewerDep = Annotated[Viewer, Depends(get_viewer)]


async def viewer_turn(viewer: ViewerDep) -> AsyncIterator[None]:
    """Wait without holding a thread: those that look at frames leave some to all other requests."""
    async with viewer.turns:
        yield


Turn = Depends(viewer_turn, scope="function")
AcceptDep = Annotated[str, Header(alias="accept-encoding", include_in_schema=False)]


def _add(path: str, find: Callable[..., Subject]) -> None:
    """The endpoints of one kind of frame, which ``find`` finds by the path."""

    @router.get(f"{path}/document", dependencies=[Turn])
    def document(
        subject: Annotated[Subject, Depends(find)], viewer: ViewerDep, backbone: BackboneDep, accepted: AcceptDep = ""
    ) -> Response:
        return _compressed(viewer.shown(subject, backbone).document, "application/json", accepted)

    @router.get(f"{path}/heatmaps", dependencies=[Turn])
    def heatmaps(
        subject: Annotated[Subject, Depends(find)], viewer: ViewerDep, backbone: BackboneDep, accepted: AcceptDep = ""
    ) -> Response:
        return _compressed(viewer.shown(subject, backbone).heatmaps, _BYTES, accepted)

    @router.get(f"{path}/contributions/{{joint}}", dependencies=[Turn])
    def contributions(
        subject: Annotated[Subject, Depends(find)],
        joint: Annotated[int, Path(ge=0, lt=_MOST_JOINTS)],
        viewer: ViewerDep,
        backbone: BackboneDep,
        accepted: AcceptDep = "",
    ) -> Response:
        return _compressed(viewer.contributions(subject, joint, backbone), _BYTES, accepted)

    @router.get(f"{path}/pictures/{{camera}}", dependencies=[Turn])
    def picture(
        subject: Annotated[Subject, Depends(find)],
        camera: Annotated[int, Path(ge=0, le=255)],
        viewer: ViewerDep,
        backbone: BackboneDep,
    ) -> Response:
        pictures = viewer.looked(subject, backbone).pictures
        if camera >= len(pictures):
            told = (
                "These frames came as heatmaps: there are no pictures." if not pictures else "There is no such camera."
            )
            raise NotFound(told, at="path.camera", code="picture_not_found")
        return Response(pictures[camera], media_type="image/jpeg", headers=_KEPT_BY_NOBODY)


def _compressed(data: bytes, media_type: str, accepted: str) -> Response:
    if "gzip" in accepted:
        return Response(data, media_type=media_type, headers={**_KEPT_BY_NOBODY, "Content-Encoding": "gzip"})
    return Response(gzip.decompress(data), media_type=media_type, headers=_KEPT_BY_NOBODY)


_add("/captures/{capture_id}/frames/{index}", frame_of_capture)
_add("/rigs/{rig_id}/requests/{number}", frame_of_request)
