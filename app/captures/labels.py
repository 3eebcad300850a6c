"""The labels part of an upload: bounded, strict JSON, then the rig's own checks."""

import json
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from app.captures.contents import Labels
from app.errors import UploadTooLarge
from app.heatmap_files import MAX_FRAME_NAME
from models.errors import InvalidLabels
from models.labelled import labels_from_document
from models.rig import Rig

PART = "labels"


def read_labels(path: Path, rig: Rig, max_frames: int) -> Labels:
    """Read and check API.md's labels JSON; raises InvalidLabels or InsufficientLabels with the place."""
    document = _parse(path)
    entries = document.get("frames") if isinstance(document, dict) else None
    if isinstance(entries, list) and len(entries) > max_frames:
        raise UploadTooLarge(
            f"{len(entries)} labelled frames came; at most {max_frames} are taken.",
            at="labels.frames",
            code="too_many_frames",
        )
    with np.errstate(all="ignore"):
        labels = Labels(*labels_from_document(rig, document))
    for index, name in enumerate(labels.frames):
        if len(name) > MAX_FRAME_NAME or not name.isprintable():
            raise InvalidLabels("The frame's id is too long or not printable.", at=f"labels.frames[{index}].frame")
    return labels


def check_frames_agree(labels: Labels, frames: tuple[str, ...]) -> list[str]:
    """Refuse labels of frames that did not come; answer a warning for frames that have no labels."""
    present, labelled = set(frames), set(labels.frames)
    for index, name in enumerate(labels.frames):
        if name not in present:
            raise InvalidLabels(
                f"Frame {name!r} is labelled, but it is not among the {len(frames)} frames that came.",
                at=f"labels.frames[{index}].frame",
                code="unknown_frame",
            )
    unused = [name for name in frames if name not in labelled]
    if not unused:
        return []
    return [f"{len(unused)} frames have no labels and are not used, the first of them {unused[0]!r}."]


def _parse(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes(), parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise InvalidLabels(f"The labels are not JSON: {reason}.", at=PART, code="invalid_json") from error


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")
