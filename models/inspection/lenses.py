"""What can be wrong with one camera's lens: K of another image, sides swapped, an angle that no lens has, a fold."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from models.inspection.findings import Finding, error, hint, replaced, warning
from models.inspection.reading import Station

Array = NDArray[np.float64]
_ANGLES = (5.0, 170.0)  # degrees across the longer side
_NORMALISED = 10.0  # a focal length in pixels is never so short
_OFF_CENTRE = 0.2  # of the image: lenses are mounted better, and cropping moves the centre with the size
_SAME = 0.1
_FOLD_LOOKED_AT = 4.0  # tangents: 76° off the axis


def check_lens(station: Station) -> Iterator[Finding]:
    """Findings on K, the image's size and the distortion."""
    if station.K is None:
        return
    found = list(_check_matrix(station))
    yield from found
    if station.width is None or station.height is None or any(each.severity == "error" for each in found):
        return
    other_image = list(_check_image(station, station.K, station.width, station.height))
    yield from other_image
    if not other_image and station.dist is not None and len(station.dist):
        yield from _check_fold(station, station.K, station.dist)


def _check_matrix(station: Station) -> Iterator[Finding]:
    K, place = station.K, f"cameras[{station.index}].K"
    assert K is not None  # noqa: S101 - tells mypy what the caller has seen to
    where = {"cameras": [station.index], "at": place}
    if np.allclose(K.T[2], [0, 0, 1]) and not np.allclose(K[2], [0, 0, 1]):
        upright = replaced("Transpose K", {f"/cameras/{station.index}/K": K.T.tolist()})
        yield error("K_transposed", "K is written transposed: its last row must be 0, 0, 1.", **where, change=upright)
    elif K[0, 0] <= 0 or K[1, 1] <= 0:
        yield error("focal_length", f"The focal lengths {K[0, 0]:g} and {K[1, 1]:g} must be positive.", **where)
    elif abs(K[0, 1]) > 1e-3 * K[0, 0] or not np.isclose(K[1, 0], 0) or not np.allclose(K[2], [0, 0, 1]):
        plain = [[K[0, 0], 0.0, K[0, 2]], [0.0, K[1, 1], K[1, 2]], [0.0, 0.0, 1.0]]
        is_skew = abs(K[0, 1]) < 0.02 * K[0, 0] and np.allclose(K[2], [0, 0, 1])
        change = replaced("Leave the skew out", {f"/cameras/{station.index}/K": plain}) if is_skew else None
        yield error("K_shape", "K must be [[fx, 0, cx], [0, fy, cy], [0, 0, 1]]: there is no skew.",
                    **where, change=change)  # fmt: skip


def _check_image(station: Station, K: Array, width: int, height: int) -> Iterator[Finding]:
    """Whether K is of this image; the first reason that fits is told."""
    index, place = station.index, f"cameras[{station.index}].K"
    focal, centre, size = np.diag(K)[:2], K[:2, 2], np.array([width, height])
    where = {"cameras": [index], "at": place}
    if (focal < _NORMALISED).all() and (np.abs(centre) < 2).all():
        scale = size if np.ptp(focal * size) < _SAME * (focal * size).max() else np.array([width, width])
        change = replaced("Multiply K by the image's size", {f"/cameras/{index}/K": _scaled(K, scale)})
        yield error("K_normalised", "K is in parts of the image, not in pixels.", **where, change=change)
    elif _is_swapped(centre, size):
        sides = {f"/cameras/{index}/width": height, f"/cameras/{index}/height": width}
        told = f"The principal point ({centre[0]:g}, {centre[1]:g}) is in the middle of {height}×{width}"
        yield warning("sides_swapped", f"{told}: width and height seem swapped.", cameras=[index],
                      at=f"cameras[{index}].width", change=replaced("Swap width and height", sides))  # fmt: skip
    elif (np.abs(centre - size / 2) > _OFF_CENTRE * size).any():
        yield from _explain_centre(station, K, size)
    elif not 1 / 1.25 < focal[0] / focal[1] < 1.25:
        yield warning("focal_lengths_differ", f"The focal lengths {focal[0]:g} and {focal[1]:g} differ by more than "
                      "lenses do: is K of an image of another shape?", **where)  # fmt: skip
    else:
        angle = _angle(station, focal, size)
        if not _ANGLES[0] < angle < _ANGLES[1]:
            yield warning("angle_of_view", f"The camera would see {angle:.1f}° across: does the focal length of "
                          f"{focal[0]:g} fit an image of {width}×{height}?", **where)  # fmt: skip


def _is_swapped(centre: Array, size: Array) -> bool:
    swapped = size[::-1]
    return bool((np.abs(centre - swapped / 2) < _SAME / 2 * swapped).all() and
                (np.abs(centre - size / 2) > _SAME * size).all())  # fmt: skip


def _angle(station: Station, focal: Array, size: Array) -> float:
    side = int(size.argmax())
    half = size[side] / 2 / focal[side]
    return float(np.degrees(2 * half if station.model == "fisheye" else 2 * np.arctan(half)))


def _explain_centre(station: Station, K: Array, size: Array) -> Iterator[Finding]:
    index, centre = station.index, K[:2, 2]
    told = f"The principal point ({centre[0]:g}, {centre[1]:g}) is far from the middle of {size[0]}×{size[1]}"
    ratio = 2 * centre / size
    where = {"cameras": [index], "at": f"cameras[{index}].K"}
    if (ratio > 0).all() and np.ptp(ratio) < _SAME * ratio.max():
        factor = float(ratio.mean())
        change = replaced("Scale K to this image", {f"/cameras/{index}/K": _scaled(K, np.full(2, 1 / factor))})
        yield warning("K_of_another_size", f"{told}: K seems to be of an image {factor:.2g} times as large.",
                      **where, change=change)  # fmt: skip
    else:
        yield warning("principal_point", f"{told}: is K of another image?", **where)


def _scaled(K: Array, scale: Array) -> list[list[float]]:
    return [[K[0, 0] * scale[0], 0.0, K[0, 2] * scale[0]], [0.0, K[1, 1] * scale[1], K[1, 2] * scale[1]],
            [0.0, 0.0, 1.0]]  # fmt: skip


def _check_fold(station: Station, K: Array, dist: Array) -> Iterator[Finding]:
    """Where the distortion turns back: points farther from the axis would be drawn nearer to it."""
    reach = _reach(station.model, dist)
    size = np.array([station.width, station.height])
    middle_to_edge = float((np.minimum(K[:2, 2], size - K[:2, 2]) / np.diag(K)[:2]).min())
    corners = (np.array([[0, 0], [1, 0], [0, 1], [1, 1]]) * size - K[:2, 2]) / np.diag(K)[:2]
    farthest = float(np.linalg.norm(corners, axis=1).max())
    where = {"cameras": [station.index], "at": f"cameras[{station.index}].dist"}
    told = "The distortion folds over inside the image, "
    if reach < middle_to_edge:
        share = f"{reach / middle_to_edge:.0%} of the way to the nearest edge"
        yield warning("distortion_folds", f"{told}{share}: are the coefficients in their order (k1 k2 p1 p2 k3)?",
                      **where)  # fmt: skip
    elif reach < farthest:
        yield hint("distortion_folds", f"{told}beyond {reach / farthest:.0%} of the way to its corners.", **where)


def _reach(model: str, dist: Array) -> float:
    """The largest radius in the normalised image that the distortion draws before it turns back; infinite if never."""
    k = np.zeros(8)
    k[: len(dist)] = dist
    if model == "fisheye":
        angle = np.linspace(0, np.pi / 2, 512)
        drawn = angle * (1 + k[0] * angle**2 + k[1] * angle**4 + k[2] * angle**6 + k[3] * angle**8)
    else:
        r2 = np.linspace(0, _FOLD_LOOKED_AT, 2048) ** 2
        drawn = np.sqrt(r2) * (1 + k[0] * r2 + k[1] * r2**2 + k[4] * r2**3)
        drawn /= 1 + k[5] * r2 + k[6] * r2**2 + k[7] * r2**3
    falls = np.flatnonzero(np.diff(drawn) <= 0)
    return float(drawn[falls[0]]) if len(falls) else float("inf")
