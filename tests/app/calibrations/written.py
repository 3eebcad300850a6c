"""A rig as other tools write it."""

import json
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from models.rig import Rig


def toml(rig: Rig, *, nested: bool = False, vectors: bool = True) -> str:
    """As Pose2Sim, Anipose and FreeMoCap do; ``nested`` and with matrices as Caliscope has done."""
    tables = []
    for number, camera in enumerate(rig.cameras):
        turn = Rotation.from_matrix(camera.R).as_rotvec().tolist() if vectors else camera.R.tolist()
        tables.append(
            f"[{'cameras.' if nested else 'cam_'}{number}]\nname = {json.dumps(camera.id)}\n"
            f"size = [{camera.width}.0, {camera.height}.0]\nmatrix = {camera.K.tolist()}\n"
            f"distortions = {camera.dist.tolist()}\nrotation = {turn}\ntranslation = {camera.t.tolist()}\n"
            "fisheye = false\n"
        )
    return "\n".join([*tables, "[metadata]\nadjusted = false\nerror = 0.0\n"])


def panoptic(rig: Rig) -> dict[str, Any]:
    """As the Panoptic Studio does, a VGA camera among the others."""
    cameras = [
        {
            "name": camera.id, "type": "hd", "resolution": [camera.width, camera.height], "panel": 0, "node": 0,
            "K": camera.K.tolist(), "distCoef": camera.dist.tolist(), "R": camera.R.tolist(),
            "t": camera.t[:, None].tolist(),
        }
        for camera in rig.cameras
    ]  # fmt: skip
    return {"calibDataSource": "160422", "cameras": [{**cameras[0], "name": "01_01", "type": "vga"}, *cameras]}


def _matrix(name: str, value: np.ndarray) -> str:
    rows = np.atleast_2d(value)
    shape = f"   rows: {rows.shape[0]}\n   cols: {rows.shape[1]}\n   dt: d\n"
    return f"{name}: !!opencv-matrix\n{shape}   data: [ {', '.join(map(repr, rows.ravel().tolist()))} ]\n"


def easymocap(rig: Rig) -> tuple[str, str]:
    """``intri.yml`` and ``extri.yml``."""
    head = "%YAML:1.0\n---\nnames:\n" + "".join(f'  - "{camera.id}"\n' for camera in rig.cameras)
    inner = [
        _matrix(f"K_{c.id}", c.K) + _matrix(f"dist_{c.id}", c.dist) + f"H_{c.id}: {c.height}\nW_{c.id}: {c.width}\n"
        for c in rig.cameras
    ]
    outer = [
        _matrix(f"R_{c.id}", Rotation.from_matrix(c.R).as_rotvec()[:, None])
        + _matrix(f"Rot_{c.id}", c.R)
        + _matrix(f"T_{c.id}", c.t[:, None])
        for c in rig.cameras
    ]
    return head + "".join(inner), head + "".join(outer)


def stereo(rig: Rig) -> str:
    """The first two cameras as OpenCV's stereo calibration leaves them, the first in the origin."""
    first, second = rig.cameras[:2]
    R = second.R @ first.R.T
    matrices = {"M1": first.K, "D1": first.dist, "M2": second.K, "D2": second.dist, "R": R,
                "T": (second.t - R @ first.t)[:, None]}  # fmt: skip
    size = f"imageSize: [ {first.width}, {first.height} ]\n"
    return "%YAML:1.0\n---\n" + size + "".join(_matrix(name, value) for name, value in matrices.items())
