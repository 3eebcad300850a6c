"""SimpleBaseline: a ResNet body, three deconvolutions and a 1×1 head turn a view into one heatmap a joint.

Xiao, Wu and Wei, *Simple Baselines for Human Pose Estimation and Tracking*, ECCV 2018, section 2; the body is that of
He et al., *Deep Residual Learning*, CVPR 2016, with the stride in the 3×3 convolution. Its parameters have the names
that published ImageNet weights of such bodies have (``layer1.0.conv1.weight``), so that those can be loaded.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

import torch
from torch import Tensor, nn

from models.errors import InvalidInput, InvalidOptions

DEPTHS: Final = {26: (2, 2, 2, 2), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}  # 26: half the work of 50
MEAN: Final = (0.485, 0.456, 0.406)  # of ImageNet's RGB in 0…1, as published weights expect
STD: Final = (0.229, 0.224, 0.225)
_EXPANSION: Final = 4
_DECONVOLUTIONS: Final = 3


@dataclass(frozen=True)
class Architecture:
    """Blocks a stage, channels of the first stage, and channels of the deconvolutions; the default is the paper's."""

    blocks: tuple[int, int, int, int] = DEPTHS[50]
    width: int = 64
    deconvolution: int = 256

    def __post_init__(self) -> None:
        if len(self.blocks) != 4 or min(*self.blocks, self.width, self.deconvolution) < 1:
            raise InvalidOptions(f"{asdict(self)} is no architecture: four stages, and sizes of at least 1.")


class Bottleneck(nn.Module):
    """1×1, 3×3, 1×1 with a shortcut: He et al., figure 5, right."""

    def __init__(self, channels: int, width: int, stride: int) -> None:
        super().__init__()
        wide = _EXPANSION * width
        self.conv1 = nn.Conv2d(channels, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, wide, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(wide)
        self.relu = nn.ReLU(inplace=True)
        self.downsample: nn.Sequential | None = None
        if stride != 1 or channels != wide:
            self.downsample = nn.Sequential(nn.Conv2d(channels, wide, 1, stride, bias=False), nn.BatchNorm2d(wide))

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] → [N, 4·width, H/stride, W/stride]."""
        shortcut = x if self.downsample is None else self.downsample(x)
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.relu(self.bn2(self.conv2(x)))
        return self.relu(self.bn3(self.conv3(x)) + shortcut)


class SimpleBaseline(nn.Module):
    """Normalised images [N, 3, 256, 256] → heatmaps [N, joints, 64, 64]."""

    def __init__(self, joints: int, architecture: Architecture | None = None) -> None:
        super().__init__()
        shape = architecture or Architecture()
        self.conv1 = nn.Conv2d(3, shape.width, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(shape.width)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        channels = shape.width
        for stage, count in enumerate(shape.blocks):
            width = shape.width * 2**stage
            strides = [1 if stage == 0 else 2, *[1] * (count - 1)]
            blocks = [Bottleneck(channels if i == 0 else _EXPANSION * width, width, s) for i, s in enumerate(strides)]
            self.add_module(f"layer{stage + 1}", nn.Sequential(*blocks))
            channels = _EXPANSION * width
        self.deconv = _deconvolutions(channels, shape.deconvolution)
        self.head = nn.Conv2d(shape.deconvolution, joints, 1)
        _initialise(self)

    def forward(self, x: Tensor) -> Tensor:
        """Normalised images [N, 3, 256, 256] → heatmaps [N, joints, 64, 64], not clipped."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        for stage in range(1, 5):
            x = self.get_submodule(f"layer{stage}")(x)
        return self.head(self.deconv(x))


class Detector(nn.Module):
    """What the service runs: uint8 RGB views [N, 256, 256, 3] → heatmaps in 0…1, the normalisation inside."""

    def __init__(self, network: SimpleBaseline) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        """Uint8 [N, 256, 256, 3] → float32 [N, joints, 64, 64]."""
        return self.network(normalised(images)).clamp(0, 1)


def normalised(images: Tensor) -> Tensor:
    """Uint8 RGB [N, H, W, 3] → float32 [N, 3, H, W] by ImageNet's mean and standard deviation."""
    mean, std = (torch.tensor(values, device=images.device) for values in (MEAN, STD))
    return ((images.float() / 255 - mean) / std).permute(0, 3, 1, 2).contiguous()


def load_body(network: SimpleBaseline, weights: Mapping[str, Any]) -> None:
    """Take over the body from published ImageNet weights; raises InvalidInput where they are of another network.

    The deconvolutions and the head stay as they are, and the classifier's weights are not looked at.
    """
    own = network.state_dict()
    body = {name for name in own if not name.startswith(("deconv.", "head."))}
    needed = {name for name in body if not name.endswith("num_batches_tracked")}  # older files lack these counters
    for name in sorted(needed):
        found = weights.get(name)
        if not isinstance(found, Tensor) or found.shape != own[name].shape:
            told = list(found.shape) if isinstance(found, Tensor) else "missing"
            raise InvalidInput(
                f"The ImageNet weights do not fit: {name} is {told}, not {list(own[name].shape)}.", at=name
            )
    network.load_state_dict({name: weights[name] for name in body if name in weights}, strict=False)


def _deconvolutions(channels: int, width: int) -> nn.Sequential:
    """Three times 4×4, stride 2, with batch normalisation and ReLU: 8×8 → 64×64."""
    layers: list[nn.Module] = []
    for _ in range(_DECONVOLUTIONS):
        layers += [
            nn.ConvTranspose2d(channels, width, 4, 2, 1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
        ]
        channels = width
    return nn.Sequential(*layers)


def _initialise(network: SimpleBaseline) -> None:
    """He et al.'s normal for the body; deviation 0.001 for deconvolutions and head, as the paper's own code has it."""
    for name, module in network.named_modules():
        small = name.startswith(("deconv", "head"))
        fill: Callable[[Tensor], Any] = _small if small else _he
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            fill(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def _small(weight: Tensor) -> None:
    nn.init.normal_(weight, std=0.001)


def _he(weight: Tensor) -> None:
    nn.init.kaiming_normal_(weight, mode="fan_out", nonlinearity="relu")
