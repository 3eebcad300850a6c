"""``rigfuse poses``: frames in, joints or fused heatmaps out."""

import json
from pathlib import Path
from typing import Annotated

import typer

from app.commands.shared import DEFAULT_URL, ApiKey, File, RigId, Url, check_one, connected, say


def poses(
    rig: RigId,
    *,
    frames: Annotated[Path | None, File] = None,
    heatmaps: Annotated[Path | None, File] = None,
    checkpoint: Annotated[str, typer.Option(help="active, none, epipolar, or a checkpoint's id.")] = "active",
    triangulation: Annotated[str, typer.Option(help="robust, dlt or pictorial.")] = "robust",
    view: Annotated[str, typer.Option(help="rig: fixed windows; person: they follow the person; auto.")] = "auto",
    smoothing: Annotated[str, typer.Option(help="none, savgol or causal; the frames are then one take.")] = "none",
    fps: Annotated[float | None, typer.Option(help="Frames a second, for smoothing.")] = None,
    covariance: Annotated[bool, typer.Option(help="Tell how far off each joint in space may be.")] = False,
    output: Annotated[Path | None, typer.Option(help="File for the JSON; printed when left out.")] = None,
    npz: Annotated[Path | None, typer.Option(help="File for the fused heatmaps, instead of JSON.")] = None,
    url: Url = DEFAULT_URL,
    api_key: ApiKey = None,
) -> None:
    """Ask for the fused 2D joints and the 3D joints of frames (a zip of images, or an npz of heatmaps)."""
    check_one(frames, heatmaps)
    with connected(url, api_key) as client:
        if npz is not None:
            client.fused_heatmaps(
                rig,
                npz,
                frames=frames,
                heatmaps=heatmaps,
                checkpoint=checkpoint,
                triangulation=triangulation,
                view=view,
            )
            say(f"The fused heatmaps are in {npz}.")
            return
        answer = client.poses(
            rig, frames=frames, heatmaps=heatmaps, checkpoint=checkpoint, triangulation=triangulation, view=view,
            smoothing=smoothing, fps=fps, covariance=covariance,
        )  # fmt: skip
    document = json.dumps(answer.model_dump(mode="json"), indent=None if output else 2)
    if output is None:
        say(document)
    else:
        output.write_text(document)
        say(f"{len(answer.frames)} frames written to {output}.")
