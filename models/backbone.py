"""Images → heatmaps: an ONNX network finds the joints in the views that models.cutting cuts out of raw images.

Any network that takes [N,256,256,3] or [N,3,256,256] and gives [N,J,64,64] works, through a manifest of its own beside
the model file (``weights/movenet-thunder.json`` is one). Heatmap values should lie in 0…1, as confidences do.
"""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from models.errors import CorruptArtifact, DeviceUnavailable, InvalidImage, InvalidInput, SkeletonMismatch
from models.geometry import INPUT_SIZE
from models.manifest import Manifest
from models.rig import HEATMAP_SIZE, Rig
from models.skeletons import skeleton

DEFAULT_MANIFEST: Final = Path(__file__).parent / "weights" / "movenet-thunder.json"
BATCH: Final = 4  # on a CPU images cost about the same one by one and by four; more at a time cost more
PROVIDERS: Final = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}

Images = NDArray[np.uint8]
Heatmaps = NDArray[np.float32]


class Session(Protocol):
    """What is used of onnxruntime.InferenceSession."""

    def run(self, output_names: list[str], input_feed: dict[str, NDArray[Any]]) -> list[Heatmaps]: ...  # noqa: D102
    def get_inputs(self) -> list[Any]: ...  # noqa: D102
    def get_outputs(self) -> list[Any]: ...  # noqa: D102
    def get_providers(self) -> list[str]: ...  # noqa: D102


@dataclass(frozen=True)
class Backbone:
    """A loaded network; ``load`` makes one."""

    manifest: Manifest
    session: Session
    batch: int = BATCH

    @classmethod
    def load(cls, manifest_path: Path | None = None, *, device: str = "cpu", threads: int | None = None) -> "Backbone":
        """Load the network that a manifest describes, or the one that ships, on exactly the device asked for.

        Raises InvalidInput for a manifest that is wrong or does not fit its network, CorruptArtifact where the file is
        not the one of the manifest, and DeviceUnavailable where the device cannot run it.
        """
        path = manifest_path or DEFAULT_MANIFEST
        manifest = Manifest.read(path)
        model = _verified(path.parent / manifest.file, manifest.sha256)
        session = _session(model, device, threads)
        return cls(manifest, session, batch=_checked_batch(manifest, session))

    @property
    def skeleton(self) -> str:
        """Name of the joint set it predicts."""
        return self.manifest.joints

    @property
    def digest(self) -> str:
        """SHA-256 of everything that decides the heatmaps: the network and how it is fed."""
        return self.manifest.digest

    def heatmaps(self, images: Images) -> Heatmaps:
        """Views, uint8 RGB [N,256,256,3] → heatmaps float32 [N,J,64,64]."""
        expected = (INPUT_SIZE, INPUT_SIZE, 3)
        if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1:] != expected:
            raise InvalidImage(f"The backbone takes uint8 [N,256,256,3], not {images.dtype} {list(images.shape)}.")
        result = np.empty((len(images), len(skeleton(self.skeleton).joints), HEATMAP_SIZE, HEATMAP_SIZE), np.float32)
        for start in range(0, len(images), self.batch):
            chunk = slice(start, start + self.batch)
            feed = {self.manifest.input.name: self.manifest.input.apply(images[chunk])}
            result[chunk] = self.session.run([self.manifest.output], feed)[0]
        return result


def check_skeleton(rig: Rig, backbone: Backbone) -> None:
    """Raise SkeletonMismatch where images of this rig cannot be turned into its joints."""
    if rig.joints != backbone.skeleton:
        raise SkeletonMismatch(
            f"The rig has the joints {rig.joints}, but the backbone {backbone.manifest.name} finds "
            f"{backbone.skeleton}: send heatmaps instead of images, or register the rig with {backbone.skeleton}.",
            at="joints",
        )


def _verified(path: Path, sha256: str) -> bytes:
    try:
        model = path.read_bytes()
    except OSError as error:
        raise CorruptArtifact(f"The backbone's model {path.name} cannot be read: {error.strerror}.") from error
    digest = hashlib.sha256(model).hexdigest()
    if digest != sha256.lower():
        raise CorruptArtifact(f"{path.name} has SHA-256 {digest[:12]}…, but its manifest says {sha256[:12]}….")
    return model


def _session(model: bytes, device: str, threads: int | None) -> Session:
    runtime = _runtime()
    provider = _provider(runtime, device)
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads or 0  # 0: as many as there are cores
    options.log_severity_level = 3  # errors only: they come as exceptions
    try:
        session: Session = runtime.InferenceSession(model, options, providers=[provider], enable_fallback=0)
    except Exception as error:
        if device == "cpu":
            raise CorruptArtifact(f"ONNX Runtime cannot load the backbone: {error}") from error
        raise DeviceUnavailable(f"ONNX Runtime cannot run the backbone on {device}: {error}") from error
    if session.get_providers()[0] != provider:
        raise DeviceUnavailable(
            f"{provider} did not start: check the driver, and that its CUDA and cuDNN libraries are found."
        )
    return session


def _runtime() -> ModuleType:
    try:
        os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # a studio's use is nobody else's business
        import onnxruntime  # noqa: PLC0415  an extra: absent where only heatmaps are served
    except ImportError as error:
        raise DeviceUnavailable("ONNX Runtime is missing: install rigfuse[cpu] or rigfuse[gpu].") from error
    return onnxruntime


def _provider(runtime: Any, device: str) -> str:
    if device not in PROVIDERS:
        raise DeviceUnavailable(f"The device {device!r} is not known: use cpu or cuda.")
    provider = PROVIDERS[device]
    if provider not in runtime.get_available_providers():
        raise DeviceUnavailable(
            f"{device} was asked for, but the ONNX Runtime installed has no {provider}: "
            f"install rigfuse[{'gpu' if device == 'cuda' else device}] in place of the other, or set the device to cpu."
        )
    if device == "cuda":
        runtime.preload_dlls()  # finds the CUDA libraries that pip installed, for example with torch
    return provider


def _checked_batch(manifest: Manifest, session: Session) -> int:
    """Hold the network's own shapes against the manifest; returns how many images go in at a time."""
    joints = len(skeleton(manifest.joints).joints)
    dtype = {"uint8": "tensor(uint8)", "float32": "tensor(float)"}[manifest.input.dtype]
    batch = _check_tensor("input", manifest.input.name, session.get_inputs(), dtype, manifest.input.shape)
    expected = (joints, HEATMAP_SIZE, HEATMAP_SIZE)
    _check_tensor("output", manifest.output, session.get_outputs(), "tensor(float)", expected)
    probe = np.zeros((1, *manifest.input.shape), manifest.input.dtype)
    try:
        found = session.run([manifest.output], {manifest.input.name: probe})[0].shape
    except Exception as error:
        raise _unfit("input", f"fails on a black image: {error}") from error
    if found != (1, *expected):
        raise _unfit("output", f"gives {list(found)} for one image; {manifest.joints} needs {[1, *expected]}")
    return batch


def _check_tensor(at: str, name: str, tensors: list[Any], dtype: str, shape: tuple[int, ...]) -> int:
    """Dimensions of variable size are left to the probe; the first may be variable or 1."""
    named = {tensor.name: tensor for tensor in tensors}
    if name not in named or (at == "input" and len(named) != 1):
        raise _unfit(at, f"has {at}s {', '.join(named)}; the manifest names {name}")
    tensor = named[name]
    sizes = [size if isinstance(size, int) else None for size in tensor.shape]
    fits = len(sizes) == 4 and all(a in (b, None) for a, b in zip(sizes, (1, *shape), strict=True))
    if tensor.type != dtype or not fits:
        raise _unfit(at, f"has {at} {tensor.type} {tensor.shape}; expected {dtype} {['N or 1', *shape]}")
    return BATCH if sizes[0] is None else 1


def _unfit(at: str, reason: str) -> InvalidInput:
    return InvalidInput(f"The backbone's network {reason}.", at=at, code="invalid_backbone")
