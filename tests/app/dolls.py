"""Images with somebody in them: a doll that the backbone which ships takes for a person."""

import cv2
import numpy as np
from numpy.typing import NDArray

from models.distortion import distort
from models.rig import Camera

_SKIN, _SHIRT, _TROUSERS, _HAIR = (214, 170, 140), (40, 60, 140), (45, 45, 50), (60, 40, 25)


def picture(camera: Camera, joints: NDArray[np.float64]) -> bytes:
    """A PNG of a doll whose COCO joints [17, 3] are in metres."""
    x = joints @ camera.R.T + camera.t
    points = distort(camera, x[:, :2] / x[:, 2:])
    metre = float(camera.K[0, 0] / x[:, 2].mean())
    image = np.full((camera.height, camera.width, 3), (150, 160, 165), np.uint8)
    image[camera.height // 2 :] = (120, 110, 100)
    bones = [(11, 13, 0.15, _TROUSERS), (13, 15, 0.11, _TROUSERS), (5, 7, 0.095, _SHIRT), (7, 9, 0.075, _SKIN)]
    trunk = points[[5, 6, 12, 11]]
    for first, second, width, colour in bones[:2]:
        _both(image, points, (first, second), width * metre, colour)
    cv2.fillPoly(image, [np.round(trunk).astype(np.int32)], _SHIRT, cv2.LINE_AA)
    for a, b in zip(trunk, np.roll(trunk, -1, axis=0), strict=True):
        _line(image, a, b, 0.14 * metre, _SHIRT)
    head = points[[3, 4]].mean(0)
    _line(image, points[[5, 6]].mean(0), head, 0.1 * metre, _SKIN)
    for place, radius, colour in ((head, 0.115, _HAIR), ((head + points[0]) / 2, 0.09, _SKIN)):
        centre = (round(float(place[0])), round(float(place[1])))
        cv2.circle(image, centre, int(radius * metre), colour, -1, cv2.LINE_AA)
    for first, second, width, colour in bones[2:]:
        _both(image, points, (first, second), width * metre, colour)
    done, data = cv2.imencode(".png", cv2.cvtColor(cv2.GaussianBlur(image, (0, 0), 1.0), cv2.COLOR_RGB2BGR))
    assert done
    return data.tobytes()


def _both(
    image: NDArray[np.uint8],
    points: NDArray[np.float64],
    bone: tuple[int, int],
    width: float,
    colour: tuple[int, int, int],
) -> None:
    """A limb on either side: in COCO's order the right joint follows the left one."""
    for side in (0, 1):
        _line(image, points[bone[0] + side], points[bone[1] + side], width, colour)


def _line(
    image: NDArray[np.uint8],
    a: NDArray[np.float64],
    b: NDArray[np.float64],
    width: float,
    colour: tuple[int, int, int],
) -> None:
    start, end = ([round(float(16 * value)) for value in point] for point in (a, b))
    cv2.line(image, start, end, colour, max(1, int(width)), cv2.LINE_AA, 4)
