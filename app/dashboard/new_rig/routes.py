"""The page of a new rig, which also goes on with a rig that is registered; all it does goes through the API."""

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from app.calibrations.formats import FORMATS
from app.dashboard.pages import PageDep
from app.deps import ReadSessionDep
from app.rigs.repository import get_usable_rig
from app.tables import RigRow
from app.wire import Id
from models.backbone import Backbone
from models.labelled import MIN_DISTINCT_POSES, MIN_LABELLED_FRAMES, RECOMMENDED_FRAMES
from models.methods import DEFAULT_METHOD, METHODS
from models.rig import METRES
from models.skeletons import SKELETONS

router = APIRouter(include_in_schema=False)


@router.get("/new")
def page_of_new_rig(request: Request, page: PageDep) -> HTMLResponse:
    """From the first step."""
    return page.show("new.html", setup=_setup(request), rig=None)


@router.get("/rigs/{rig_id}/capture")
def page_of_new_capture(rig_id: Id, request: Request, page: PageDep, session: ReadSessionDep) -> HTMLResponse:
    """From the second, with a rig that is in use."""
    rig = get_usable_rig(session, rig_id)
    return page.show("new.html", setup=_setup(request), rig=_told(rig))


def _setup(request: Request) -> dict[str, Any]:
    """What the page offers to choose from."""
    backbone: Backbone | None = request.app.state.backbone
    predicted = "" if backbone is None else backbone.skeleton
    return {
        "formats": list(FORMATS.values()),
        "units": list(METRES),
        "skeletons": [
            {"name": name, "joints": len(skeleton.joints), "predicted": name == predicted}
            for name, skeleton in SKELETONS.items()
        ],
        "methods": [
            {"name": name, "meaning": method.meaning, "usual": name == DEFAULT_METHOD}
            for name, method in METHODS.items()
        ],
        "least_frames": MIN_LABELLED_FRAMES,
        "least_poses": MIN_DISTINCT_POSES,
        "usual_frames": RECOMMENDED_FRAMES,
    }


def _told(rig: RigRow) -> dict[str, Any]:
    return {
        "id": rig.id,
        "name": rig.name,
        "joints": rig.document["joints"],
        "cameras": [camera["id"] for camera in rig.document["cameras"]],
        "document": rig.document,
    }
