"""Whatever happens to an upload's bytes, reading it either works or says in a domain error what is wrong."""

import random
import struct
import time
import warnings
import zipfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import payloads
import pytest

from app.captures.labels import read_labels
from app.errors import UploadTooLarge
from app.heatmap_files import check_heatmaps
from app.image_files import check_images
from app.settings import Settings
from models.errors import InvalidHeatmaps, RigFuseError

DAMAGES = 150
WORLD = payloads.world()
RIG = payloads.with_small_images(WORLD.rig)


def read_images(path: Path, settings: Settings) -> None:
    for _, _, image in check_images(path, RIG, settings, 64).images(RIG):
        assert image.shape == (64, 96, 3)


def read_npz(path: Path, settings: Settings) -> None:
    file = check_heatmaps(path, RIG, settings, 64)
    with np.errstate(invalid="ignore"):
        assert np.isfinite(file.load()).all()
    assert all(name.isprintable() for name in file.frames)


def read_json(path: Path, settings: Settings) -> None:
    labels = read_labels(path, RIG, settings.max_capture_frames)
    assert np.isfinite(labels.joints_image[labels.visibility > 0]).all()


def damage(rng: random.Random, data: bytes) -> bytes:
    """Change a few bytes, most often near the start or the end, where headers are; sometimes cut the rest off."""
    damaged = bytearray(data)
    for _ in range(rng.choice([1, 1, 2, 5, 20])):
        near = min(rng.choice([len(data), 150, 400]), len(data))
        place = rng.randrange(near) if rng.random() < 0.6 else len(data) - 1 - rng.randrange(near)
        damaged[place] = rng.choice([0, 255, rng.randrange(256), damaged[place] ^ (1 << rng.randrange(8))])
    return bytes(damaged[: rng.randrange(len(damaged))] if rng.random() < 0.1 else damaged)


def damage_inside(rng: random.Random, data: bytes) -> bytes:
    """The same to one member of an archive, which is then packed again with the right checksum."""
    with zipfile.ZipFile(BytesIO(data)) as archive:
        members = {info.filename: archive.read(info) for info in archive.infolist()}
    name = rng.choice(list(members))
    return payloads.zipped(members | {name: damage(rng, members[name])})


JPEGS = payloads.zipped(payloads.frame_entries(RIG, ["a"]))
PNGS = payloads.zipped(payloads.frame_entries(RIG, ["a"], ".png"))
NPZ = payloads.heatmaps(WORLD, heatmaps=WORLD.heatmaps[:1].astype(np.float16), frames=np.array(["a"]))
HEADER = 128  # bytes of each of its .npy headers
LABELS = payloads.files(payloads.small_labels(RIG))["labels"][1]


@pytest.mark.parametrize(
    ("read", "data", "spoil"),
    [
        pytest.param(read_images, JPEGS, damage, id="zip of jpegs"),
        pytest.param(read_images, JPEGS, damage_inside, id="jpeg in a zip"),
        pytest.param(read_images, PNGS, damage_inside, id="png in a zip"),
        pytest.param(read_npz, NPZ, damage, id="npz"),
        pytest.param(read_npz, NPZ, damage_inside, id="npy in an npz"),
        pytest.param(read_json, LABELS, damage, id="labels"),
    ],
)
def test_damage_is_told_and_never_crashes(
    *,
    tmp_path: Path,
    settings: Settings,
    read: Callable[[Path, Settings], None],
    data: bytes,
    spoil: Callable[[random.Random, bytes], bytes],
) -> None:
    path = tmp_path / "upload"
    path.write_bytes(data)
    read(path, settings)
    refused = 0
    for seed in range(DAMAGES):
        path.write_bytes(spoil(random.Random(seed), data))  # noqa: S311
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)  # NumPy's, about headers as Python 2 wrote them
                read(path, settings)
        except RigFuseError:
            refused += 1
    assert refused > DAMAGES / 10


def ending_early(data: bytes, name: str, kept: int) -> bytes:
    """The archive with ``kept`` bytes of one member, which its directory still calls whole."""
    with zipfile.ZipFile(BytesIO(data)) as archive:
        members = {info.filename: archive.read(info) for info in archive.infolist()}
    short = bytearray(payloads.zipped(members | {name: members[name][:kept]}))
    entry = short.rindex(name.encode()) - 46  # its name is the end of the record in the directory
    assert struct.unpack_from("<I", short, entry + 24) == (kept,)
    struct.pack_into("<I", short, entry + 24, len(members[name]))
    return bytes(short)


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("heatmaps.npy", HEADER),
        ("heatmaps.npy", HEADER + 1),
        ("heatmaps.npy", HEADER + 17 * 64 * 64 * 2),
        ("frames.npy", HEADER),
        ("frames.npy", HEADER + 3),
        ("cameras.npy", HEADER),
        ("cameras.npy", HEADER + 20),
    ],
)
def test_arrays_that_end_early_are_refused(tmp_path: Path, settings: Settings, name: str, kept: int) -> None:
    path = tmp_path / "upload"
    path.write_bytes(ending_early(NPZ, name, kept))
    with pytest.raises(InvalidHeatmaps, match="ends before"):
        check_heatmaps(path, RIG, settings, 64)


def test_heatmaps_that_changed_since_they_were_checked_are_refused(tmp_path: Path, settings: Settings) -> None:
    path = tmp_path / "upload"
    path.write_bytes(NPZ)
    file = check_heatmaps(path, RIG, settings, 64)
    path.write_bytes(ending_early(NPZ, "heatmaps.npy", HEADER + 1000))
    with pytest.raises(InvalidHeatmaps, match="ends before"):
        file.load()


def test_too_many_names_are_refused_before_any_is_read(tmp_path: Path, settings: Settings) -> None:
    path = tmp_path / "upload"
    frames = np.array([b"\xff"] * 65)  # not text: reading one of them would tell so
    path.write_bytes(payloads.npz(frames=frames))
    with pytest.raises(UploadTooLarge, match="65 frames came; at most 64"):
        check_heatmaps(path, RIG, settings, 64)
    with pytest.raises(InvalidHeatmaps, match="not Unicode"):
        check_heatmaps(path, RIG, settings, 65)


def test_a_name_that_comes_twice_is_found_in_one_pass(tmp_path: Path, settings: Settings) -> None:
    path = tmp_path / "upload"
    names = [f"{index:06d}" for index in range(200_000)]
    path.write_bytes(payloads.npz(frames=np.array([*names, names[-1]], "S")))
    began = time.process_time()
    with pytest.raises(InvalidHeatmaps, match=f"{names[-1]}' twice"):
        check_heatmaps(path, RIG, settings, 1_000_000)
    assert time.process_time() - began < 5  # the pairs of so many names take many minutes
