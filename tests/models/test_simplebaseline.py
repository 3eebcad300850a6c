import numpy as np
import pytest
import torch

from models.errors import InvalidInput, InvalidOptions
from models.simplebaseline import Architecture, Detector, SimpleBaseline, load_body, normalised

TINY = Architecture(blocks=(1, 1, 1, 1), width=8, deconvolution=16)


def parameters(network, *, without=()):
    return sum(p.numel() for name, p in network.named_parameters() if not name.startswith(tuple(without)))


def test_the_default_has_the_published_sizes():
    network = SimpleBaseline(17)
    # He et al.'s ResNet-50 has 25 557 032 parameters, 2 049 000 of them in the classifier; Xiao et al. report 34.0 M
    assert parameters(network, without=("deconv", "head")) == 25_557_032 - 2_049_000
    assert round(parameters(network) / 1e6, 1) == 34.0


def test_views_become_heatmaps_within_their_range():
    detector = Detector(SimpleBaseline(19, TINY)).eval()
    torch.nn.init.normal_(detector.network.head.weight, std=1e6)
    images = torch.randint(0, 256, (3, 256, 256, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    heatmaps = detector(images)
    assert heatmaps.shape == (3, 19, 64, 64)
    assert heatmaps.min() == 0
    assert heatmaps.max() == 1
    assert detector.network(normalised(images)).min() < 0  # so there was something to clip


def test_normalisation_is_that_of_published_weights():
    image = torch.tensor([0, 128, 255], dtype=torch.uint8).expand(1, 1, 1, 3)
    expected = [(0 - 0.485) / 0.229, (128 / 255 - 0.456) / 0.224, (1 - 0.406) / 0.225]
    np.testing.assert_allclose(normalised(image).flatten(), expected, rtol=1e-6)


def test_published_weights_fill_the_body_and_nothing_else():
    network, other = SimpleBaseline(5, TINY), SimpleBaseline(9, TINY)
    head = network.head.weight.clone()
    published = {k: v for k, v in other.state_dict().items() if not k.startswith(("deconv", "head"))}
    load_body(network, published | {"fc.weight": torch.zeros(3), "fc.bias": torch.zeros(3)})
    for name, value in published.items():
        assert torch.equal(network.state_dict()[name], value), name
    assert torch.equal(network.head.weight, head)


def test_weights_of_another_body_are_refused_by_name():
    weights = SimpleBaseline(5, Architecture((1, 1, 1, 1), 16, 16)).state_dict()
    with pytest.raises(InvalidInput, match="do not fit: bn1") as caught:
        load_body(SimpleBaseline(5, TINY), weights)
    assert caught.value.at == "bn1.bias"
    with pytest.raises(InvalidInput, match="is missing"):
        load_body(SimpleBaseline(5, TINY), {})


def test_an_impossible_architecture_is_refused():
    with pytest.raises(InvalidOptions):
        Architecture(width=0)
