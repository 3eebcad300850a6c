"""All routers of the dashboard; every page but the one for signing in requires a key."""

from fastapi import APIRouter, Depends

from app import auth
from app.dashboard import sign_in, static_files
from app.dashboard.adaptation.routes import router as adaptation
from app.dashboard.frames.pages import router as frame_pages
from app.dashboard.frames.routes import router as frames
from app.dashboard.new_rig.routes import router as new_rig
from app.dashboard.operations.routes import router as operations
from app.dashboard.rig.routes import router as rig
from app.dashboard.rigs.routes import router as rigs

PAGES = (rigs, rig, frame_pages, frames, adaptation, operations, new_rig)


def _behind_the_door() -> APIRouter:
    pages = APIRouter(include_in_schema=False, dependencies=[Depends(auth.require_key)])
    for router in PAGES:
        pages.include_router(router)
    return pages


ROUTERS = (sign_in.router, static_files.router, _behind_the_door())
