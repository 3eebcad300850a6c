"""Captures of images: the worker makes the heatmaps, frame by frame, and says how far it is."""

import io
import zipfile
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import cv2
import numpy as np
import pytest
from job_rows import add_capture, add_job, add_rig, get_job
from sqlalchemy import select

from app.adaptations.states import State
from app.archives import Archive, open_archive
from app.captures.contents import Labels
from app.framesets import read_heatmaps, reopen_frames
from app.settings import Settings
from app.tables import AdaptationPartRow, CaptureRow
from models.errors import Cancelled
from models.geometry import view_to_image
from models.rig import Camera, Rig
from models.worlds import World
from worker.adapt import gather, run_adaptation
from worker.captures import labelled_frames
from worker.context import WorkerContext
from worker.parts import run_part

FRAMES = ("a", "b", "c")


def picture(camera: Camera, seed: int) -> bytes:
    small = np.random.default_rng(seed).integers(0, 255, (6, 6, 3), dtype=np.uint8)
    return cv2.imencode(".jpg", cv2.resize(small, (camera.width, camera.height)))[1].tobytes()


@pytest.fixture
def stored(context: WorkerContext, world: World) -> CaptureRow:
    """Three frames of noise in a zip, of which the last and the first are labelled, in that order."""
    rig, labelled = world.rig, world.labelled()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for index, frame in enumerate(FRAMES):
            for view, camera in enumerate(rig.cameras):
                archive.writestr(f"{frame}/{camera.id}.jpg", picture(camera, 10 * index + view))
    image = [
        view_to_image(camera, view, labelled.joints_view[:2, index])
        for index, (camera, view) in enumerate(zip(rig.cameras, rig.views, strict=True))
    ]
    labels = Labels(("c", "a"), np.stack(image, axis=1), labelled.visibility[:2])
    capture_id = add_capture(
        context.db,
        add_rig(context.db, rig.to_dict()),
        kind="images",
        labels_sha256=context.artifacts.put_bytes(labels.to_bytes()),
        source_sha256=context.artifacts.put_bytes(buffer.getvalue()),
    )
    with context.db.read_session() as session:
        return session.get_one(CaptureRow, capture_id)


@pytest.fixture
def database_url(new_database_url: Callable[[str], str]) -> str:
    """One kind of database is enough here."""
    return new_database_url("sqlite")


def heatmaps_at_once(context: WorkerContext, rig: Rig, capture: CaptureRow) -> np.ndarray:
    path = context.artifacts.path(capture.source_sha256)
    source = reopen_frames("images", path, rig, Settings(data_dir=path.parent), 10)
    return read_heatmaps(source, rig, lambda: context.backbone, wanted=("c", "a"))


def test_images_become_heatmaps_of_the_labelled_frames(
    context: WorkerContext, world: World, stored: CaptureRow, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[Path] = []

    def counting(path: Path, *rest: object) -> AbstractContextManager[Archive]:
        opened.append(path)
        return open_archive(path, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr("app.image_files.open_archive", counting)
    told: list[tuple[str, float]] = []
    labelled = labelled_frames(context, world.rig, stored, lambda *now: told.append(now))
    assert labelled.frames == ("c", "a")
    assert told == [("heatmaps", 0.0), ("heatmaps", 0.5), ("heatmaps", 1.0)]
    assert len(opened) == 2  # once for its directory, once for all images
    expected = heatmaps_at_once(context, world.rig, stored)
    np.testing.assert_allclose(labelled.heatmaps, expected, atol=1e-5)
    assert np.abs(expected[0] - expected[1]).max() > 1e-3  # the frames are told apart
    np.testing.assert_allclose(labelled.joints_view, world.labelled().joints_view[:2], atol=1e-6)


@pytest.mark.parametrize("after", [0.0, 0.5])
def test_making_heatmaps_can_be_stopped(context: WorkerContext, world: World, stored: CaptureRow, after: float) -> None:
    told = []

    def stop(_stage: str, fraction: float) -> None:
        told.append(fraction)
        if fraction >= after:
            raise Cancelled("cancelled by request")

    with pytest.raises(Cancelled):
        labelled_frames(context, world.rig, stored, stop)
    assert told[-1] == after
    assert ("backbone" in context.__dict__) == (after > 0)  # nothing was loaded for what was stopped at once


def test_who_works_on_a_part_gets_the_heatmaps_and_needs_no_images(fleet: WorkerContext, stored: CaptureRow) -> None:
    job = add_job(fleet.db, stored.rig_id, stored.id)
    assert run_adaptation(fleet, job)
    fleet.artifacts.delete(stored.source_sha256)
    with fleet.db.read_session() as session:
        rows = list(session.scalars(select(AdaptationPartRow).order_by(AdaptationPartRow.number)))
    assert [(row.work["piece"], row.state) for row in rows] == [
        ("heatmaps/0", "done"), ("width/0", "queued"), ("width/1", "queued"), ("width/2", "queued"),
    ]  # fmt: skip
    for row in rows:
        run_part(fleet, job, row.number)
    gather(fleet, job)
    assert get_job(fleet.db, job).state == State.SUCCEEDED
