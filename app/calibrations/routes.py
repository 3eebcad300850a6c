"""The endpoint of calibrations: look before a rig is registered."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request

from app.access.principal import Scope
from app.calibrations import service
from app.calibrations.schemas import CALIBRATION_BODY, CalibrationOut
from app.errors import UnsupportedMedia
from app.problems import responses

router = APIRouter(prefix="/calibrations", tags=["rigs"])
_READ: dict[str, Any] = {"x-rigfuse-scope": Scope.READ.value}
_TAKEN = {"application/json", "text/plain", "application/octet-stream", ""}


async def read_body(request: Request) -> bytes:
    """The body as it came; its content tells its format."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in _TAKEN:
        raise UnsupportedMedia("Send the calibration as application/json or text/plain.", at="header.content-type")
    return await request.body()


@router.post(
    "/inspect",
    summary="Inspect a calibration",
    openapi_extra=CALIBRATION_BODY | _READ,
    responses=responses(401, 415, 422),
)
def inspect(body: Annotated[bytes, Depends(read_body)]) -> CalibrationOut:
    """What looks wrong with a calibration, and what would mend it; where its cameras stand and what they see together.

    Nothing is stored. The body may be in any format that is known, and wrong in any way.
    """
    calibration, inspection = service.examine(body)
    return CalibrationOut.of(calibration.format, calibration.document, inspection)
