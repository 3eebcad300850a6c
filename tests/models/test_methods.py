import subprocess
import sys

import pytest

from models.errors import InvalidOptions
from models.methods import AdaptationOptions, validate_options


def test_nothing_set_is_the_defaults():
    assert validate_options("metafuse", {}) == AdaptationOptions()


def test_what_is_set_is_kept():
    options = {"holdout": 0.5, "repair_cameras": False, "steps": 0}
    assert validate_options("metafuse", options) == AdaptationOptions(**options)


@pytest.mark.parametrize(
    ("options", "place"),
    [
        ({"speed": 1}, "speed"), ({"steps": 1.5}, "steps"), ({"steps": True}, "steps"), ({"steps": "5"}, "steps"),
        ({"steps": -1}, "steps"), ({"steps": 1001}, "steps"), ({"steps": None}, "steps"), ({"holdout": 0}, "holdout"),
        ({"holdout": 0.61}, "holdout"), ({"holdout": float("nan")}, "holdout"), ({"holdout": [0.3]}, "holdout"),
        ({"holdout": True}, "holdout"), ({"repair_cameras": 1}, "repair_cameras"),
        ({"repair_cameras": "no"}, "repair_cameras"),
    ],
)  # fmt: skip
def test_an_option_at_fault_is_refused_with_its_place(options, place):
    with pytest.raises(InvalidOptions) as caught:
        validate_options("metafuse", options)
    assert caught.value.at == f"options.{place}"


def test_an_unknown_method_is_refused():
    with pytest.raises(InvalidOptions) as caught:
        validate_options("guess", {})
    assert (caught.value.at, caught.value.code) == ("method", "unknown_method")


def test_options_are_checked_and_engines_run_without_torch():
    code = "import sys, models.methods, models.runtime, models.weights; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
