import pytest
from model_rigs import in_units, studio

from models.errors import InvalidRig
from models.plausibility import check_plausible
from models.rig import Rig


def studio_with(**fields):
    """A studio whose second camera has other fields, as it would be sent."""
    document = studio(3).to_dict()
    document["cameras"][1] |= fields
    return Rig.from_dict(document)


def test_a_studio_is_plausible_in_every_unit():
    for units in ("m", "cm", "mm"):
        check_plausible(in_units(studio(), units))


@pytest.mark.parametrize(
    ("fields", "place"),
    [
        ({"K": [[0.8, 0, 0.5], [0, 0.8, 0.5], [0, 0, 1]]}, "K"),
        ({"K": [[1e9, 0, 640], [0, 1e9, 480], [0, 0, 1]]}, "K"),
        ({"K": [[9000, 0, 640], [0, 900, 480], [0, 0, 1]]}, "K"),
        ({"K": [[1000, 0, 90000], [0, 1000, 480], [0, 0, 1]]}, "K"),
        ({"id": ".."}, "id"),
        ({"id": "cam\u202e01"}, "id"),
        ({"id": "a/b"}, "id"),
    ],
)
def test_a_camera_of_no_real_studio_is_refused_and_named(fields, place):
    with pytest.raises(InvalidRig) as caught:
        check_plausible(studio_with(**fields))
    assert caught.value.at == f"cameras[1].{place}"
    assert caught.value.message.startswith("Camera")


def test_kilometres_between_cameras_are_a_wrong_unit():
    with pytest.raises(InvalidRig) as caught:
        check_plausible(Rig.from_dict(in_units(studio(), "mm").to_dict() | {"units": "m"}))
    assert caught.value.at == "units"


def test_cameras_within_two_centimetres_are_a_wrong_unit():
    tight = in_units(studio(), "m").to_dict()
    for camera in tight["cameras"]:
        camera["t"] = [2e-3 * x for x in camera["t"]]
    with pytest.raises(InvalidRig) as caught:
        check_plausible(Rig.from_dict(tight))
    assert caught.value.at == "cameras"
