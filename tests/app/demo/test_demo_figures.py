from pathlib import Path

import cv2
import numpy as np
import pytest

from app.demo.figures import Example, Overlay, Panel, montage, overlays
from app.demo.figures3d import Motion, motion
from models.heatmap import render
from models.skeletons import skeleton

COCO = skeleton("coco17")
RNG = np.random.default_rng(5)


def _example(background: bool) -> Example:
    body = RNG.uniform(10, 50, (17, 2))
    maps = [render(body[9] + shift, 2.0) for shift in (12.0, 0.0, 0.0, 0.0, 0.0)]
    image = RNG.integers(0, 255, (128, 128, 3), dtype=np.uint8) if background else None
    panels = tuple(Panel(values, caption="cam02", peak=body[9], served=body[8]) for values in maps)
    return Example("left wrist\ncam01", "no fusion: 120 px off", True, image, body, COCO, 9, 2.0, panels)


def _read(path: Path) -> np.ndarray:
    image = cv2.imread(str(path))
    assert image is not None
    assert image.std() > 10, "the picture is not empty"
    return np.asarray(image)


@pytest.mark.parametrize("background", [True, False])
def test_montage(tmp_path: Path, background: bool) -> None:
    rows = [_example(background) for _ in range(3)]
    columns = ("first heatmap", "from cam02", "from cam03", "from cam04", "fused")
    image = _read(montage(rows, columns, "Heading", "a note", tmp_path / "deep" / "montage.png"))
    assert image.shape[1] > 1500
    assert image.shape[0] > 900


def test_overlays(tmp_path: Path) -> None:
    def view(name: str) -> Overlay:
        truth = RNG.uniform(5, 60, (17, 2))
        wrong = np.arange(17) == 9
        return Overlay(name, None, truth, truth + 9.0 * wrong[:, None], truth, wrong, wrong & False, np.arange(17) >= 5)

    image = _read(overlays([view(f"cam0{n}") for n in range(4)], COCO, "Heading", "note", tmp_path / "o.png"))
    assert image.shape[1] > 1500


def test_motion_with_joints_that_are_missing(tmp_path: Path) -> None:
    truth = RNG.normal(0, 0.4, (1, 17, 3)) + np.linspace(0, 0.5, 20)[:, None, None]
    before = truth + RNG.normal(0, 0.02, truth.shape)
    before[4:9, 9] = np.nan
    data = Motion(
        truth=truth, before=before, after=truth, shown=np.arange(17) >= 5, frame=5, joint=9,
        hidden=(np.arange(20) // 5 == 1).astype(np.intp), seconds=np.arange(20) / 60, frame_name="60",
        truth_name="truth",
    )  # fmt: skip
    image = _read(motion(data, COCO, "Heading", "note", tmp_path / "m.png"))
    assert image.shape[1] > 1500
