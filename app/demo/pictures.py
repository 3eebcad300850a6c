"""From an outcome to its pictures: what to show is chosen by rules, cut out of the views, and drawn."""

from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from app.demo import choose
from app.demo.choose import Choice
from app.demo.evaluate import align
from app.demo.figures import Example, Overlay, Panel, montage, overlays
from app.demo.figures3d import Motion, motion
from app.demo.job import FUSED, NO_FUSION, Outcome
from models.geometry import image_pixels_per_heatmap_pixel, image_to_view, view_to_image
from models.heatmap import HEATMAP_SIZE, decode
from models.runtime import Engine

RGB = NDArray[np.uint8]
Array = NDArray[np.float64]
Fused = Mapping[str, NDArray[np.float32]]  # by frame, [V, J, 64, 64]
_PIXELS = 512
_FAINT = 0.2  # a detector's map that is all fainter than this is drawn faint, instead of as loud noise
_MONTAGE_NOTE = (
    "Circle: half a head around the truth. ×: best peak. ◇: the joint as served, after the views settled on one point "
    "in space. Every map is drawn on its own scale.\n"
    "Rows: the hidden joints with the largest gains, and last the hidden joint with the largest error after fusion. "
    "Truth: {truth}."
)


def frames_needed(outcome: Outcome) -> tuple[str, ...]:
    """The frames whose fused heatmaps the montage shows."""
    return tuple(sorted({outcome.scene.truth.frames[choice.frame] for choice in _chosen(outcome)}))


def draw(outcome: Outcome, fused: Fused, output: Path) -> dict[str, Path]:
    """Write the three pictures of a scene; ``fused`` holds the fused heatmaps of the frames needed."""
    name = outcome.scene.name
    return {
        "montage": draw_montage(outcome, fused, output / f"{name}-montage.png"),
        "skeletons": draw_skeletons(outcome, output / f"{name}-skeletons.png"),
        "motion": draw_motion(outcome, output / f"{name}-motion.png"),
    }


def _chosen(outcome: Outcome) -> tuple[Choice, ...]:
    return choose.examples(outcome.scene.truth, outcome.predictions[NO_FUSION], outcome.predictions[FUSED])


def draw_montage(outcome: Outcome, fused: Fused, path: Path) -> Path:
    """Truth, first heatmap, what each other view says, and the fused heatmap."""
    scene = outcome.scene
    engine = Engine.load(scene.rig, outcome.checkpoint)
    rows = [_example(outcome, engine, fused[scene.truth.frames[c.frame]], c) for c in _chosen(outcome)]
    others = [f"other view {n}, warped" for n in range(1, len(scene.cameras))]
    columns = ("first heatmap", *others, "fused")
    note = _MONTAGE_NOTE.format(truth=scene.truth_source)
    return montage(rows, columns, f"{scene.title}: what the other cameras know", note, path)


def _example(outcome: Outcome, engine: Engine, fused: NDArray[np.float32], choice: Choice) -> Example:
    scene, view, joint = outcome.scene, choice.view, choice.joint
    frame, name = choice.frame, scene.truth.frames[choice.frame]
    served = _in_view(outcome, outcome.predictions[FUSED].poses2d, frame, view)[joint]
    return Example(
        title=f"{scene.truth.skeleton.joints[joint].replace('_', ' ')}\n{scene.cameras[view]}, frame {int(name)}",
        note=f"no fusion: {choice.before_px:.0f} px off\nfused: {choice.after_px:.0f} px off",
        helped=choice.helped,
        background=_cut(outcome, view, name),
        body=_in_view(outcome, scene.truth.joints_image, frame, view),
        skeleton=scene.truth.skeleton,
        joint=joint,
        radius=_radius(outcome, choice),
        panels=_panels(outcome, engine, fused[view, joint], choice, served),
    )


def _panels(
    outcome: Outcome, engine: Engine, fused: NDArray[np.float32], choice: Choice, served: Array
) -> tuple[Panel, ...]:
    first = outcome.heatmaps[choice.frame]
    warped = np.maximum(engine.contributions(first[None, :, [choice.joint]])[0, choice.view, :, 0], 0)
    own = first[choice.view, choice.joint]
    others = [
        Panel(warped[source], caption=camera)
        for source, camera in enumerate(outcome.scene.cameras)
        if source != choice.view
    ]
    return (
        Panel(own, floor=_FAINT, peak=decode(own)[0]),
        *others,
        Panel(np.maximum(fused, 0), floor=_FAINT, peak=decode(fused)[0], served=served),
    )


def draw_skeletons(outcome: Outcome, path: Path) -> Path:
    """Every view of the telling frame, before and after."""
    scene = outcome.scene
    before, after = outcome.predictions[NO_FUSION], outcome.predictions[FUSED]
    frame = choose.telling_frame(scene.truth, before, after)
    name = scene.truth.frames[frame]
    wrong = [choose.wrong(scene.truth, prediction)[frame] for prediction in (before, after)]
    views = [
        Overlay(
            camera=camera,
            background=_cut(outcome, view, name),
            truth=_in_view(outcome, scene.truth.joints_image, frame, view),
            before=_in_view(outcome, before.poses2d, frame, view),
            after=_in_view(outcome, after.poses2d, frame, view),
            wrong_before=wrong[0][view],
            wrong_after=wrong[1][view],
            shown=scene.truth.scored[frame, view],
        )
        for view, camera in enumerate(scene.cameras)
    ]
    note = f"Frame {int(name)}: the frame with the most joints that fusion puts right. Truth: {scene.truth_source}."
    return overlays(views, scene.truth.skeleton, f"{scene.title}: before and after fusion", note, path)


def draw_motion(outcome: Outcome, path: Path) -> Path:
    """The telling frame in space, and the telling joint over time."""
    scene, truth = outcome.scene, outcome.scene.truth
    before, after = outcome.predictions[NO_FUSION], outcome.predictions[FUSED]
    frame, joint = choose.telling_frame(truth, before, after), choose.telling_joint(truth, before, after)
    data = Motion(
        truth=truth.joints_world,
        before=align(before.pose3d, truth.joints_world, truth.scored3d),
        after=align(after.pose3d, truth.joints_world, truth.scored3d),
        shown=np.asarray(truth.scored3d.any(0)),
        frame=frame,
        joint=joint,
        hidden=truth.hidden[:, :, joint].sum(1),
        seconds=np.arange(len(truth.frames)) / scene.frames_per_second,
        frame_name=str(int(truth.frames[frame])),
        truth_name=scene.truth_name,
    )
    note = (
        "Metres. Both are turned and shifted by the one rigid motion that fits them to the truth best. "
        "The joint is the one that fusion puts right in most frames. Gaps: not triangulated."
    )
    return motion(data, truth.skeleton, f"{scene.title}: in space", note, path)


def _in_view(outcome: Outcome, pixels: Array, frame: int, view: int) -> Array:
    """Raw image pixels [F, V, J, 2] of one view and frame in heatmap pixels [J, 2]."""
    rig = outcome.scene.rig
    return image_to_view(rig.cameras[view], rig.views[view], pixels[frame, view])


def _radius(outcome: Outcome, choice: Choice) -> float:
    rig, pixels = outcome.scene.rig, outcome.scene.truth.radius_px[choice.frame, choice.view, choice.joint]
    return float(pixels / image_pixels_per_heatmap_pixel(rig.cameras[choice.view], rig.views[choice.view]))


def _cut(outcome: Outcome, view: int, frame: str) -> RGB | None:
    """A camera's view as a picture, undistorted and upright; None where there is no image."""
    rig = outcome.scene.rig
    camera = rig.cameras[view]
    image = outcome.scene.test.image(frame, camera.id)
    if image is None:
        return None
    centres = (np.arange(_PIXELS) + 0.5) * HEATMAP_SIZE / _PIXELS - 0.5
    pixels = view_to_image(camera, rig.views[view], np.stack(np.meshgrid(centres, centres), axis=-1))
    x, y = (np.ascontiguousarray(pixels[..., axis], dtype=np.float32) for axis in (0, 1))
    cut = cv2.remap(image, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=(21, 23, 28))
    return np.asarray(cut, np.uint8)
