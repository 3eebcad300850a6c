import json

import numpy as np
import pytest
import torch
from stick_figures import source

from models.backbone import Backbone
from models.errors import CorruptArtifact
from models.simplebaseline import Architecture, Detector, SimpleBaseline
from models.simplebaseline_data import gather
from models.simplebaseline_export import TOLERANCE, export, parity, to_onnx

TINY = Architecture(blocks=(1, 1, 1, 1), width=8, deconvolution=16)


def lively(joints, seed):
    """A network whose heatmaps fill 0…1 though nobody trained it."""
    torch.manual_seed(seed)
    network = SimpleBaseline(joints, TINY).eval()
    views = torch.randint(0, 256, (2, 256, 256, 3), dtype=torch.uint8)
    with torch.inference_mode():
        top = float(Detector(network)(views).max())
    network.head.weight.data /= top
    return network


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp("figures")
    return gather([source(folder, frames=8)], folder / "views.npy").images[:5]


@pytest.fixture(scope="module")
def exported(tmp_path_factory, images):
    network, folder = lively(19, 0), tmp_path_factory.mktemp("out")
    manifest = export(
        network, "panoptic19", folder, images=images, name="mine", licence="CC0-1.0", provenance={"seed": 0}
    )
    return network, manifest


def test_the_service_loads_it_and_finds_what_torch_finds(exported, images):
    network, manifest = exported
    backbone = Backbone.load(manifest)
    assert backbone.skeleton == "panoptic19"
    assert backbone.batch > 1  # any number of images at a time
    for count in (1, 3, 5):
        with torch.inference_mode():
            expected = Detector(network)(torch.from_numpy(np.array(images[:count]))).numpy()
        assert expected.std() > 1e-3
        np.testing.assert_allclose(backbone.heatmaps(images[:count]), expected, atol=1e-5)


def test_the_manifest_tells_where_it_comes_from_and_how_near_it_is(exported):
    _, manifest = exported
    document = json.loads(manifest.read_text())
    assert (document["name"], document["file"], document["licence"]) == ("mine", "mine.onnx", "CC0-1.0")
    told = document["provenance"]
    assert told["seed"] == 0
    assert told["parity"]["bound"] == TOLERANCE
    assert 0 < told["parity"]["random_images"] < TOLERANCE
    assert 0 < told["parity"]["real_images"] < TOLERANCE
    assert sorted(path.name for path in manifest.parent.iterdir()) == ["mine.json", "mine.onnx"]


def test_the_file_holds_nothing_of_the_machine(exported):
    model = exported[1].with_suffix(".onnx").read_bytes()
    assert b".py" not in model
    assert to_onnx(Detector(exported[0]).eval()) == model


def test_a_network_that_is_not_the_exported_one_is_refused(exported, images):
    with pytest.raises(CorruptArtifact, match="differs from torch by"):
        parity(Detector(lively(19, 1)), Backbone.load(exported[1]), images)


def test_what_does_not_pass_is_not_written(tmp_path, images):
    network = lively(17, 0)
    network.head.weight.data[0, 0] = torch.nan
    with pytest.raises(CorruptArtifact, match="Nothing was written"):
        export(network, "coco17", tmp_path, images=images)
    assert not list(tmp_path.iterdir())
