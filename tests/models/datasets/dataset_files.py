"""Small data sets in the formats of their publishers, made of a studio and a person that walks in it."""

import json
from pathlib import Path

import cdflib
import cv2
import numpy as np
from scipy.spatial.transform import Rotation

from models.datasets.human36m import JOINTS as H36M_JOINTS
from models.datasets.human36m_metadata import CAMERAS as H36M_CAMERAS
from models.datasets.totalcapture import JOINTS as TC_JOINTS
from models.distortion import distort
from models.skeletons import skeleton

TC_NAMES = (
    "Hips", "Spine", "Spine1", "Spine2", "Spine3", "Neck", "Head", "RightShoulder", "RightArm", "RightForeArm",
    "RightHand", "LeftShoulder", "LeftArm", "LeftForeArm", "LeftHand", "RightUpLeg", "RightLeg", "RightFoot",
    "LeftUpLeg", "LeftLeg", "LeftFoot",
)  # fmt: skip
H36M_ROOM = {(9, 5, 2): "Greeting", (9, 2, 1): "Directions 1", (1, 2, 1): "Directions 1", (11, 2, 2): "Directions"}

_BODY = {
    "ankle": (0.1, 0.0, 0.1), "knee": (0.1, 0.02, 0.5), "hip": (0.1, 0.0, 0.95), "shoulder": (0.18, 0.0, 1.45),
    "elbow": (0.28, 0.02, 1.17), "wrist": (0.33, 0.12, 0.95), "eye": (0.03, 0.1, 1.68), "ear": (0.08, 0.02, 1.66),
}  # fmt: skip
_MIDDLE = {
    "neck": (0, 0, 1.5), "nose": (0, 0.12, 1.64), "body_centre": (0, 0, 0.95), "pelvis": (0, 0, 0.97),
    "spine": (0, 0, 1.2), "head": (0, 0, 1.75),
}  # fmt: skip


def person(joints, frames, seed=0):
    """A person of ``joints`` [F, J, 3] in metres, z up, who turns, strolls and swings arms and legs."""
    rng, names = np.random.default_rng(seed), skeleton(joints).joints
    places = []
    for name in names:
        side, _, part = name.partition("_")
        x, y, z = _BODY[part] if side in {"left", "right"} else _MIDDLE[name]
        places.append((-x if side == "left" else x, y, z))
    base, result = np.array(places, float), []
    for frame in range(frames):
        swing = 0.08 * np.sin(frame + np.arange(len(names)))[:, None] * [0.3, 1, 0.3] + rng.normal(0, 0.01, base.shape)
        turn = Rotation.from_euler("z", 0.3 * frame).as_matrix()
        result.append((base + swing) @ turn.T + [0.5 * np.cos(frame / 3), 0.5 * np.sin(frame / 3), 0])
    return np.array(result)


def picture(camera, joints, names):
    """A drawn person [height, width, 3] uint8 RGB as the camera sees it; joints [J, 3] in the camera's world."""
    seen = joints @ camera.R.T + camera.t
    points = distort(camera, seen[:, :2] / seen[:, 2:])
    at = dict(zip(names, points, strict=True))
    middle = {part: (at[f"left_{part}"] + at[f"right_{part}"]) / 2 for part in ("shoulder", "hip")}
    size = max(np.linalg.norm(middle["shoulder"] - middle["hip"]) / 5, 1.0)  # about 10 cm in pixels
    image = np.full((camera.height, camera.width, 3), (150, 150, 140), np.uint8)

    def limb(a, b, colour, width):
        cv2.line(image, *(tuple(int(16 * v) for v in p) for p in (a, b)), colour, max(1, int(width)), cv2.LINE_AA, 4)

    for side in ("left", "right"):
        for a, b in (("hip", "knee"), ("knee", "ankle")):
            limb(at[f"{side}_{a}"], at[f"{side}_{b}"], (40, 50, 90), 1.4 * size)
    torso = np.array([at[n] for n in ("left_shoulder", "right_shoulder", "right_hip", "left_hip")])
    cv2.fillPoly(image, [torso.astype(np.int32)], (150, 40, 40))
    limb(middle["shoulder"], middle["hip"], (150, 40, 40), 2.4 * size)
    for side in ("left", "right"):
        limb(at[f"{side}_shoulder"], at[f"{side}_elbow"], (150, 40, 40), 1.0 * size)
        limb(at[f"{side}_elbow"], at[f"{side}_wrist"], (215, 170, 140), 0.8 * size)
    head = (at["left_ear"] + at["right_ear"]) / 2 if "left_ear" in at else at["head"]
    limb(middle["shoulder"], head, (215, 170, 140), 0.9 * size)
    depth = dict(zip(names, seen[:, 2], strict=True))
    towards = depth["nose"] < (depth["left_ear"] + depth["right_ear"]) / 2 if "left_ear" in at else True
    skin = (215, 170, 140) if towards else (60, 40, 30)  # the back of the head is hair
    cv2.circle(image, (int(head[0]), int(head[1])), int(1.25 * size), skin, -1, cv2.LINE_AA)
    for eye in ("left_eye", "right_eye") if towards and "left_eye" in at else ():
        limb(at[eye], at[eye], (20, 20, 20), 0.4 * size)
    return image


def write_json(file, document):
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(document))


def panoptic(root, name, rig, joints, *, frames=None, images=True):
    """A recording of joints [F, 19, 3] in the rig's unit, which is cm: files of one person and pictures in hdImgs."""
    folder = Path(root) / name
    frames = list(range(len(joints))) if frames is None else frames
    write_json(folder / f"calibration_{name}.json", {"cameras": [panoptic_camera(c) for c in rig.cameras]})
    for frame, body in zip(frames, joints, strict=True):
        write_json(folder / f"hdPose3d_stage1_coco19/body3DScene_{frame:08d}.json", panoptic_frame({0: body}))
        for camera in rig.cameras if images else ():
            file = folder / f"hdImgs/{camera.id}/{camera.id}_{frame:08d}.jpg"
            file.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(file), picture(camera, body, skeleton("panoptic19").joints)[..., ::-1])
    return folder


def panoptic_camera(camera):
    return {
        "name": camera.id, "type": "hd", "resolution": [camera.width, camera.height], "panel": 0,
        "node": int(camera.id[-2:]), "K": camera.K.tolist(), "distCoef": camera.dist.tolist(),
        "R": camera.R.tolist(), "t": camera.t[:, None].tolist(),
    }  # fmt: skip


def panoptic_frame(people):
    """One frame; a joint that is NaN is written as the publisher writes it."""
    rows = {key: np.column_stack([body, np.full(19, 0.5)]) for key, body in people.items()}
    for body in rows.values():
        body[np.isnan(body[:, 0])] = (0, 0, 0, -1)
    bodies = [{"id": key, "joints19": body.ravel().tolist()} for key, body in rows.items()]
    return {"version": 0.7, "univTime": 1.5, "fpsType": "hd_29_97", "bodies": bodies}


def video(file, images, fps=25):
    file.parent.mkdir(parents=True, exist_ok=True)
    height, width = images[0].shape[:2]
    writer = cv2.VideoWriter(str(file), cv2.VideoWriter_fourcc(*"mp4v"), fps, (width, height))
    assert writer.isOpened()
    for image in images:
        writer.write(np.ascontiguousarray(image[..., ::-1]))
    writer.release()


def numbered(camera, count):
    """Pictures whose grey value tells their number."""
    return [np.full((camera.height, camera.width, 3), 20 + 20 * i, np.uint8) for i in range(count)]


def totalcapture_calibration(root, cameras):
    lines = [f"{len(cameras)} 1"]
    for c in cameras:
        lines += [
            f"0 {c.height - 1} 0 {c.width - 1}",
            f"{c.K[0, 0]:.9f} {c.K[1, 1]:.9f} {c.K[0, 2]:.9f} {c.K[1, 2]:.9f}",
            f"{c.dist[0]:.9f}",
            *(" ".join(f"{v:.12f}" for v in row) for row in c.R),
            " ".join(f"{v:.9f}" for v in c.t),
        ]
    Path(root).mkdir(parents=True, exist_ok=True)
    (Path(root) / "calibration.cal").write_text("\n".join(lines) + "\n")


def totalcapture_positions(folder, joints_m):
    """joints [F, 16, 3] in metres as 21 triples in inches: those that we do not read are zero."""
    values = np.zeros((len(joints_m), len(TC_NAMES), 3))
    values[:, [TC_NAMES.index(name) for name in TC_JOINTS]] = joints_m / 0.0254
    rows = ["\t".join(" ".join(f"{v:.6f}" for v in joint) for joint in frame) + "\t" for frame in values]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "gt_skel_gbl_pos.txt").write_text("\n".join(["\t".join(TC_NAMES) + "\t", *rows]) + "\n")


def human36m_metadata(root, angles, places, inner, names=H36M_ROOM):
    """metadata.xml: angles and places [11, 4, 3], inner [4, 9]; as the toolbox's, as far as it is read."""
    outer = np.concatenate([angles, places], axis=-1).swapaxes(0, 1)  # camera by camera, then subject by subject
    w0 = " ".join(repr(float(v)) for v in np.concatenate([outer.ravel(), np.ravel(inner)]))
    cells = [["", "", *(f"S{s}" for s in range(1, 12))]]
    for action in range(1, 17):
        cells += [
            [str(action), str(take), *(names.get((s, action, take), "") for s in range(1, 12))] for take in (1, 2)
        ]
    cells.append(["", "", *["[1002 1000;1000 1000;1000 1000;1002 1000]"] * 11])
    table = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in cells)
    ids = "".join(f"<td>{camera}</td>" for camera in H36M_CAMERAS)
    Path(root).mkdir(parents=True, exist_ok=True)
    (Path(root) / "metadata.xml").write_text(
        f"<metadata><mapping>{table}</mapping><dbcameras><index2id>{ids}</index2id></dbcameras><w0>[{w0}]</w0></metadata>"
    )


def human36m_positions(file, joints_mm):
    """joints [F, 17, 3] as a D3_Positions CDF of 32 joints."""
    values = np.zeros((len(joints_mm), 32, 3), np.float32)
    values[:, list(H36M_JOINTS)] = joints_mm
    file.parent.mkdir(parents=True, exist_ok=True)
    cdf = cdflib.cdfwrite.CDF(str(file))
    spec = {"Variable": "Pose", "Data_Type": 44, "Num_Elements": 1, "Rec_Vary": True, "Dim_Sizes": [len(values), 96]}
    cdf.write_var(spec, var_data=values.reshape(1, len(values), 96))
    cdf.close()


def pixels(camera, point):
    """Where a camera sees a point, by the definition x = R·X + t and OpenCV's projectPoints alone."""
    seen, _ = cv2.projectPoints(np.reshape(point, (1, 3)), cv2.Rodrigues(camera.R)[0], camera.t, camera.K, camera.dist)
    return seen.ravel()
