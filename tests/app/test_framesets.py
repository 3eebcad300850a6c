"""Frames as they were sent, within what they need in memory as heatmaps."""

from pathlib import Path

import numpy as np
import payloads
import pytest

from app.errors import UploadTooLarge
from app.framesets import HEATMAP_BYTES, check_frames, read_heatmaps
from app.settings import Settings
from app.uploads import Upload
from models.backbone import Backbone

WORLD = payloads.world()
RIG = payloads.with_small_images(WORLD.rig)
NAMES = ("a", "b", "c")
BYTES_OF_THREE = 3 * 3 * 17 * HEATMAP_BYTES


def sent(folder: Path, part: str) -> Upload:
    """Three frames, as little as they can be packed into."""
    maps = np.zeros((3, 3, 17, 64, 64), np.float16)
    data = {
        "heatmaps": payloads.heatmaps(WORLD, heatmaps=maps, frames=np.array(NAMES)),
        "frames": payloads.zipped(payloads.frame_entries(RIG, NAMES)),
    }[part]
    (folder / part).write_bytes(data)
    return Upload(folder, {part: folder / part})


def never() -> Backbone:
    """Heatmaps need no backbone."""
    raise AssertionError


@pytest.mark.parametrize("part", ["heatmaps", "frames"])
def test_no_more_frames_are_taken_than_fit_into_memory_as_heatmaps(tmp_path: Path, part: str) -> None:
    upload = sent(tmp_path, part)
    enough = Settings(data_dir=tmp_path, max_heatmap_bytes=BYTES_OF_THREE)
    assert check_frames(upload, RIG, enough, 2000).frames == NAMES
    short = Settings(data_dir=tmp_path, max_heatmap_bytes=BYTES_OF_THREE - 1)
    with pytest.raises(UploadTooLarge, match="3 frames came; at most 2") as refused:
        check_frames(upload, RIG, short, 2000)
    assert refused.value.code == "too_many_frames"


def test_the_promised_bytes_are_those_of_the_heatmaps(tmp_path: Path, settings: Settings) -> None:
    file = check_frames(sent(tmp_path, "heatmaps"), RIG, settings, 3)
    assert read_heatmaps(file, RIG, never).nbytes == BYTES_OF_THREE


@pytest.mark.parametrize("wanted", [None, ("000001",), ("000007", "000002")])
@pytest.mark.parametrize("order", ["C", "F"])
def test_only_the_wanted_frames_are_loaded_in_the_order_asked_for(
    *, tmp_path: Path, settings: Settings, wanted: tuple[str, ...] | None, order: str
) -> None:
    cameras = [2, 0, 1]
    maps = WORLD.heatmaps.astype(np.float16)
    shuffled = np.asarray(maps[:, cameras], order=order)  # type: ignore[call-overload]
    names = np.array([WORLD.rig.cameras[camera].id for camera in cameras])
    (tmp_path / "heatmaps").write_bytes(payloads.heatmaps(WORLD, heatmaps=shuffled, cameras=names))
    file = check_frames(Upload(tmp_path, {"heatmaps": tmp_path / "heatmaps"}), WORLD.rig, settings, 10)
    loaded = read_heatmaps(file, WORLD.rig, never, wanted=wanted)
    frames = slice(None) if wanted is None else [int(name) for name in wanted]
    np.testing.assert_array_equal(loaded, maps[frames].astype(np.float32))
    assert loaded.dtype == np.float32
    assert loaded.flags.c_contiguous
