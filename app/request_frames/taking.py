"""The first frame of a request as a file of its own: its images as they came, or its heatmaps; nothing is decoded."""

import shutil
import zipfile
from pathlib import Path

import numpy as np

from app import image_files
from app.archives import open_archive
from app.framesets import FrameFile
from app.heatmap_files import HeatmapFile
from app.image_files import ImageFile
from models.rig import Rig


def kind_of(source: FrameFile) -> str:
    """What came: ``images`` or ``heatmaps``."""
    return "images" if isinstance(source, ImageFile) else "heatmaps"


def take_first(source: FrameFile, rig: Rig, target: Path) -> None:
    """Write the first frame to ``target``, so that ``framesets.reopen_frames`` reads it; the same gives the same."""
    if isinstance(source, ImageFile):
        _copy_images(source, rig, target)
    else:
        _write_heatmaps(source, rig, target)


def _copy_images(source: ImageFile, rig: Rig, target: Path) -> None:
    with (
        open_archive(source.path, image_files.PART, source.limits) as archive,
        zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as kept,
    ):
        infos = {info.filename: info for info in archive.files}
        for camera, entry in zip(rig.cameras, source.entries[0], strict=True):
            name = f"{source.frames[0]}/{camera.id}{Path(entry).suffix}"
            with archive.open(infos[entry]) as image, kept.open(zipfile.ZipInfo(name), "w") as copy:
                shutil.copyfileobj(image, copy)


def _write_heatmaps(source: HeatmapFile, rig: Rig, target: Path) -> None:
    with target.open("wb") as file:
        np.savez(  # packing it would take longer than computing its poses
            file,
            heatmaps=source.part(0, 1),
            frames=np.array(source.frames[:1], dtype="U"),
            cameras=np.array([camera.id for camera in rig.cameras], dtype="U"),
        )
