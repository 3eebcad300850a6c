"""Engines in memory: as many as fit the bytes that a deployment gives them."""

from pathlib import Path

from app.artifacts import ArtifactStore
from app.poses.engines import EPIPOLAR, NO_FUSION, Engines, Fusion
from models.rig import Rig
from models.worlds import World


def renamed(rig: Rig, index: int) -> Rig:
    document = rig.to_dict()
    document["cameras"][0]["id"] = f"renamed{index}"
    return Rig.from_dict(document)


def test_engines_are_forgotten_by_the_bytes_they_hold(tmp_path: Path, world: World) -> None:
    artifacts, rigs = ArtifactStore(tmp_path.as_uri()), [renamed(world.rig, index) for index in range(3)]
    one = Engines(artifacts, 8, 1).get(rigs[0], Fusion(EPIPOLAR)).nbytes
    assert one > 0
    engines = Engines(artifacts, 8, 2 * one)
    first, *_ = [engines.get(rig, Fusion(EPIPOLAR)) for rig in rigs]
    assert len(engines) == 2
    assert engines.get(rigs[2], Fusion(EPIPOLAR)) is engines.get(rigs[2], Fusion(EPIPOLAR))
    assert engines.get(rigs[0], Fusion(EPIPOLAR)) is not first
    engines.get(rigs[0], Fusion(NO_FUSION))  # holds nothing, so nothing goes for it
    assert len(engines) == 3
