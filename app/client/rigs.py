"""Rigs: register, look at, describe, archive."""

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from app.asking import segment
from app.client.calls import Calls
from app.rigs.schemas import RigOut

if TYPE_CHECKING:
    from app.calibrations.schemas import CalibrationOut
    from app.poses.rig_serving import RigServing
    from app.request_frames.schemas import RequestFrame


class Rigs(Calls):
    """Calibrated sets of cameras."""

    def register_rig(self, rig: Mapping[str, Any]) -> RigOut:
        """Register a rig from the contract's document."""
        return self._ask(RigOut, "POST", "/v1/rigs", json=dict(rig))

    def inspect_calibration(self, calibration: Mapping[str, Any] | str | bytes) -> "CalibrationOut":
        """What looks wrong with a calibration, in any format that the service reads; nothing is stored."""
        from app.calibrations.schemas import CalibrationOut  # noqa: PLC0415 - it comes with the science

        text = json.dumps(dict(calibration)) if isinstance(calibration, Mapping) else calibration
        headers = {"Content-Type": "text/plain; charset=utf-8"}
        return self._ask(CalibrationOut, "POST", "/v1/calibrations/inspect", content=text, headers=headers)

    def rig(self, rig_id: str) -> RigOut:
        """A rig with each camera's view, its status and its active checkpoint."""
        return self._ask(RigOut, "GET", f"/v1/rigs/{segment(rig_id)}")

    def rigs(self, *, archived: bool = False) -> Iterator[RigOut]:
        """All rigs in use, or those archived; the newest first."""
        return self._list(RigOut, "/v1/rigs", archived=str(archived).lower())

    def update_rig(self, rig_id: str, **changes: Any) -> RigOut:
        """Change what describes a rig: ``name``, ``notes``, ``tags``, and what it keeps."""
        return self._ask(RigOut, "PATCH", f"/v1/rigs/{segment(rig_id)}", json=changes)

    def serving(self, rig_id: str) -> "RigServing":
        """How a rig is served of late, and whether its cameras seem to have moved."""
        from app.poses.rig_serving import RigServing  # noqa: PLC0415 - it comes with the whole service

        return self._ask(RigServing, "GET", f"/v1/rigs/{segment(rig_id)}/serving")

    def request_frames(self, rig_id: str) -> Iterator["RequestFrame"]:
        """The frames of pose requests that a rig keeps to be looked at, the newest first."""
        from app.request_frames.schemas import RequestFrame  # noqa: PLC0415 - it comes with the whole service

        return self._list(RequestFrame, f"/v1/rigs/{segment(rig_id)}/request-frames")

    def purge_request_frames(self, rig_id: str) -> None:
        """Delete the kept frames of a rig for good."""
        self._transport.request("DELETE", f"/v1/rigs/{segment(rig_id)}/request-frames")

    def archive_rig(self, rig_id: str) -> None:
        """Archive a rig: it is kept, but serves no longer."""
        self._transport.request("DELETE", f"/v1/rigs/{segment(rig_id)}")
