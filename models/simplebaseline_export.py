"""A trained SimpleBaseline as an ONNX file and its manifest, held against torch before either is put in place."""

import hashlib
import json
import logging
import tempfile
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from models.backbone import Backbone
from models.errors import CorruptArtifact
from models.geometry import INPUT_SIZE
from models.simplebaseline import Detector, SimpleBaseline

TOLERANCE: Final = 1e-4  # of heatmaps in 0…1, between torch and ONNX Runtime; float32 gives about 1e-6
_RANDOM_IMAGES: Final = 4
_INPUT: Final = {"name": "images", "layout": "NHWC", "dtype": "uint8", "colour": "RGB"}
_OUTPUT: Final = "heatmaps"


def export(
    network: SimpleBaseline,
    skeleton: str,
    folder: Path,
    *,
    images: NDArray[np.uint8],
    name: str = "simplebaseline",
    licence: str | None = None,
    provenance: Mapping[str, Any] | None = None,
) -> Path:
    """Write ``<name>.onnx`` and ``<name>.json`` into a folder; returns the manifest's path.

    ``images`` uint8 [N, 256, 256, 3] are views to compare on, beside random ones. Raises CorruptArtifact where ONNX
    Runtime, through models.backbone as the service uses it, differs from torch by more than ``TOLERANCE``.
    """
    detector = Detector(network).eval()
    model = to_onnx(detector)
    document: dict[str, Any] = {
        "name": name, "file": f"{name}.onnx", "sha256": hashlib.sha256(model).hexdigest(), "joints": skeleton,
        "input": _INPUT, "output": {"name": _OUTPUT},
    }  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as staging:
        manifest = _write(Path(staging), name, model, document)
        difference = parity(detector, Backbone.load(manifest), images)
        parts = {"torch": torch.__version__, "parity": {**difference, "bound": TOLERANCE}, **(provenance or {})}
        document |= ({"licence": licence} if licence else {}) | {"provenance": parts}
        manifest = _write(Path(staging), name, model, document)
        manifest.with_suffix(".onnx").replace(folder / f"{name}.onnx")
        return manifest.replace(folder / f"{name}.json")


def to_onnx(detector: Detector) -> bytes:
    """The detector as ONNX, its batch of any size; nothing of the machine, its paths or the time goes into it."""
    example = torch.zeros(2, INPUT_SIZE, INPUT_SIZE, 3, dtype=torch.uint8)
    log = logging.getLogger("torch.onnx")
    level = log.level
    log.setLevel(logging.ERROR)  # it warns that torchvision, which is not used, is not installed
    try:
        with warnings.catch_warnings():
            # torch copies its own data while it exports, and warns of a class of its own that is to go
            warnings.filterwarnings("ignore", category=FutureWarning)
            program = torch.onnx.export(
                detector, (example,), dynamo=True, verbose=False, input_names=[_INPUT["name"]],
                output_names=[_OUTPUT], dynamic_shapes={"images": {0: torch.export.Dim("batch")}},
            )  # fmt: skip
    finally:
        log.setLevel(level)
    if program is None:
        raise CorruptArtifact("torch exported nothing.")
    model = program.model_proto
    graph = model.graph
    for part in (graph, *graph.node, *graph.input, *graph.output, *graph.value_info, *graph.initializer):
        del part.metadata_props[:]  # call stacks with the paths of source files
    return bytes(model.SerializeToString(deterministic=True))


def parity(detector: Detector, backbone: Backbone, images: NDArray[np.uint8]) -> dict[str, float]:
    """Largest absolute difference of heatmaps on random and given images; raises CorruptArtifact beyond the bound."""
    shape = (_RANDOM_IMAGES, INPUT_SIZE, INPUT_SIZE, 3)
    random = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    differences = {}
    for kind, batch in (("random_images", random), ("real_images", np.asarray(images))):
        if not len(batch):
            continue
        with torch.inference_mode():
            expected = torch.cat([detector(torch.from_numpy(image[None].copy())) for image in batch]).numpy()
        differences[kind] = float(np.abs(backbone.heatmaps(batch) - expected).max())
        if not differences[kind] <= TOLERANCE:
            raise CorruptArtifact(
                f"The exported network differs from torch by {differences[kind]:.2g} on {kind.replace('_', ' ')}; "
                f"at most {TOLERANCE:g} is taken. Nothing was written.",
            )
    return differences


def _write(folder: Path, name: str, model: bytes, document: Mapping[str, Any]) -> Path:
    (folder / f"{name}.onnx").write_bytes(model)
    path = folder / f"{name}.json"
    path.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    return path
