"""Fit the simulated detector to the real one: ``python -m benchmarks.fit_detector`` writes models/data/detector.json.

The backbone that ships reads Pose2Sim's demonstration clips (fetched as `rigfuse demo` does); the consensus labels of
the clean clip are the truth for both. They come from the same network, so what all views get wrong alike is not seen
here. Limb joints only: faces are blurred in the footage.
"""

import argparse
import json
from dataclasses import asdict, replace
from pathlib import Path

import cv2
import numpy as np
from rich.progress import track

from app.demo.clip import FIRST_LIMB_JOINT, FRAME_SHIFT, ClipLabels, calibrated_frames, shipped_rig
from app.demo.fetch import REQUIREMENT, Recording, fetch
from app.demo.qualisys import read_cameras
from models.backbone import Backbone
from models.cutting import ViewCutter
from models.detector_fit import Seen, fit
from models.geometry import image_to_view
from models.occluders import body_parts, capsules, clearance
from models.rig import HEATMAP_SIZE, Rig
from models.skeletons import skeleton

MARGINS_M = (0.1, 0.4)  # of the capture volume about the person's path: the view's scale
_EVERY = 2  # of sixty frames a second, next to each other, hardly two say anything new
_CLEAR = 1.15  # rays that miss the person's own body by less are neither visible nor hidden here
_CHANGED = 24  # grey levels by which the second person differs from what stands behind


def takes(recording: Recording, backbone: Backbone) -> list[Seen]:
    """Both clips through the backbone, in views of every margin."""
    labels = ClipLabels.load()
    shipped = shipped_rig(read_cameras(recording.calibration), labels)
    rigs = [_widened(shipped, margin - MARGINS_M[0]) for margin in MARGINS_M]
    cutters = [ViewCutter(rig) for rig in rigs]
    size = (shipped.cameras[0].width, shipped.cameras[0].height)
    views = {clip: [[] for _ in rigs] for clip in recording.videos}
    for clip, videos in recording.videos.items():
        frames = calibrated_frames(videos, labels.video_affine[clip], size, FRAME_SHIFT[clip])
        for index, images in track(frames, description=f"{clip} clip", total=len(labels.joints3d)):
            if index % _EVERY:
                continue
            rgb = [cv2.cvtColor(image, cv2.COLOR_BGR2RGB) for image in images]
            for cutter, into in zip(cutters, views[clip], strict=True):
                into.append(np.stack([cutter.cut(v, image) for v, image in enumerate(rgb)]))
    cut = {(i, clip): np.stack(views[clip][i]) for i in range(len(rigs)) for clip in views}
    return [
        _seen(rigs[i], labels, clip, images, _heatmaps(backbone, images), clean=cut[i, "clean"])
        for (i, clip), images in cut.items()
    ]


def _heatmaps(backbone: Backbone, images: np.ndarray) -> np.ndarray:
    return np.stack([backbone.heatmaps(image) for image in track(images, description="backbone")])


def _widened(rig: Rig, margin: float) -> Rig:
    assert rig.volume is not None  # noqa: S101 - shipped_rig draws one
    return replace(rig, volume=(rig.volume[0] - margin, rig.volume[1] + margin))


def _seen(
    rig: Rig, labels: ClipLabels, clip: str, images: np.ndarray, heatmaps: np.ndarray, *, clean: np.ndarray
) -> Seen:
    """``images`` and ``clean`` [F, V, 256, 256, 3] are the clip's views and those of the clean clip."""
    frames = min(len(images), len(clean))
    chosen = _EVERY * np.arange(frames)
    points = np.stack(
        [
            image_to_view(c, v, labels.labels2d[chosen, i])
            for i, (c, v) in enumerate(zip(rig.cameras, rig.views, strict=True))
        ],
        axis=1,
    )
    joints = labels.joints3d[chosen]
    centres = np.stack([camera.centre for camera in rig.cameras])
    clear = clearance(joints, centres, *capsules(joints, rig.skeleton), body_parts(rig.joints).own)
    covered = labels.hidden(clip)[chosen]
    limb = labels.label_ok[chosen][:, None] & (np.arange(points.shape[2]) >= FIRST_LIMB_JOINT)
    changed = np.abs(images[:frames].astype(int) - clean[:frames]).max(-1) > _CHANGED
    other = changed.reshape(frames, len(centres), HEATMAP_SIZE, 4, HEATMAP_SIZE, 4).mean((3, 5)) > 0.5
    return Seen(
        heatmaps[:frames],
        points,
        limb & ~covered & (clear > _CLEAR),
        limb & covered,
        other if clip == "occluded" else None,
    )


def main() -> None:
    """Fit, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cache", type=Path, default=Path.home() / ".cache" / "rigfuse")
    parser.add_argument("--out", type=Path, default=Path("models/data/detector.json"))
    arguments = parser.parse_args()
    backbone = Backbone.load(threads=1)
    detector, counts = fit(takes(fetch(arguments.cache), backbone), skeleton(backbone.skeleton))
    found = {name: value for name, value in asdict(detector).items() if name != "hidden"}
    provenance = {
        "made_by": "python -m benchmarks.fit_detector",
        "backbone": backbone.manifest.name,
        "recording": f"{REQUIREMENT}: Demo_SinglePerson and Demo_MultiPerson, limbs, consensus labels",
        "margins_m": MARGINS_M,
        "joints": counts,
    }
    document = json.dumps({"detector": found, "provenance": provenance}, indent=1)
    arguments.out.write_text(document + "\n", encoding="utf-8")
    print(document)


if __name__ == "__main__":
    main()
