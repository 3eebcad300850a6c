"""A backbone trained by models.warmup, here an untrained one, in the place of the one that ships."""

from collections.abc import Callable
from pathlib import Path

import httpx
import numpy as np
import payloads
import pytest
import torch
from running import Service, serving

from app.settings import Settings
from models.rig import Rig
from models.simplebaseline import Architecture, SimpleBaseline
from models.simplebaseline_export import export


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny network for Panoptic's 19 joints, exported."""
    torch.manual_seed(0)
    network = SimpleBaseline(19, Architecture((1, 1, 1, 1), 8, 16)).eval()
    network.head.weight.data *= 1e5
    images = np.random.default_rng(0).integers(0, 256, (2, 256, 256, 3), np.uint8)
    return export(network, "panoptic19", tmp_path_factory.mktemp("backbone"), images=images)


def ask(service: Service, joints: str) -> tuple[Rig, httpx.Response]:
    """Register a rig with these joints and send it images of two frames."""
    rig = Rig.from_dict(payloads.with_small_images(payloads.world().rig).to_dict() | {"joints": joints})
    name = service.client.post("/v1/rigs", json=payloads.rig_document(rig, joints)).json()["id"]
    sent = payloads.files(frames=payloads.zipped(payloads.frame_entries(rig, ["000000", "000001"])))
    return rig, service.client.post(f"/v1/rigs/{name}/poses", files=sent)


def test_images_of_a_rig_with_its_joints_become_poses(manifest: Path, make_settings: Callable[..., Settings]) -> None:
    with serving(make_settings(backbone_manifest=manifest)) as service:
        rig, answer = ask(service, "panoptic19")
        _, other = ask(service, "coco17")
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert body["joints"] == list(rig.skeleton.joints)
    points = [point for frame in body["frames"] for rows in frame["poses2d"].values() for point in rows]
    assert len(points) == 2 * len(rig.cameras) * 19
    assert np.isfinite(np.array(points)).all()
    assert len({point[2] for point in points}) > 1  # peaks of the network, not one number
    assert other.json()["code"] == "skeleton_mismatch"
