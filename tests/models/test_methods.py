import subprocess
import sys
from dataclasses import fields

import pytest

from models.errors import InvalidOptions
from models.methods import DEFAULT_METHOD, METHODS, OPTIONS, AdaptationOptions, Option, described, validate_options


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


WORDS = Option("what is charged for weights", str, choices=("l2", "none"))


def test_one_of_some_words_is_taken():
    for word in WORDS.choices:
        WORDS.check("regularisation", word)
    assert WORDS.describe() == "what is charged for weights (l2, none)"


@pytest.mark.parametrize(
    ("value", "says"), [("l3", "'l3', but must be one of l2, none"), (2, "a word"), (None, "a word")]
)
def test_any_other_word_is_refused_with_those_that_may_be(value, says):
    with pytest.raises(InvalidOptions, match=says) as caught:
        WORDS.check("regularisation", value)
    assert caught.value.at == "options.regularisation"


@pytest.mark.parametrize("option", ["body_height_m", "first_distance"])
def test_an_option_without_effect_is_refused(option):
    with pytest.raises(InvalidOptions, match="with extrinsics=labels only, and extrinsics is sent") as caught:
        validate_options("metafuse", {option: 2.0})
    assert caught.value.at == f"options.{option}"
    assert getattr(validate_options("metafuse", {option: 2.0, "extrinsics": "labels"}), option) == 2.0


@pytest.mark.parametrize(
    ("option", "value", "says"),
    [("steps", 1.5, "steps must be a whole number."), ("repair_cameras", 1, "repair_cameras must be true or false.")],
)
def test_a_value_of_the_wrong_kind_is_refused_in_plain_words(option, value, says):
    with pytest.raises(InvalidOptions) as caught:
        validate_options("metafuse", {option: value})
    assert str(caught.value) == says


def test_the_tables_agree_with_each_other():
    assert DEFAULT_METHOD in METHODS
    assert set(OPTIONS) == {field.name for field in fields(AdaptationOptions)}
    for name, method in METHODS.items():
        own = {option: getattr(method.defaults, option) for option in method.options}
        assert validate_options(name, own) == method.defaults  # every default may be set


def test_methods_and_options_are_described_for_clients():
    methods, options = described()
    assert all(f"`{name}`: {method.meaning}" in methods for name, method in METHODS.items())
    assert "share of the frames held out of the finetuning to judge the result on (number from 0.1 to 0.6)" in options
    (holdout,) = (line for line in options.splitlines() if line.startswith("- `holdout`"))
    assert all(f"`{name}`" in holdout for name in METHODS)


def test_an_unknown_method_is_refused():
    with pytest.raises(InvalidOptions) as caught:
        validate_options("guess", {})
    assert (caught.value.at, caught.value.code) == ("method", "unknown_method")


def test_options_are_checked_and_engines_run_without_torch():
    code = "import sys, models.methods, models.runtime, models.weights; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("value", ["L1", "", 1, True])
def test_an_unknown_regularisation_is_refused_with_its_place(value):
    assert validate_options("naivefuse", {"regularisation": "l21"}).regularisation == "l21"
    with pytest.raises(InvalidOptions) as caught:
        validate_options("naivefuse", {"regularisation": value})
    assert caught.value.at == "options.regularisation"
    with pytest.raises(InvalidOptions, match="does not apply to metafuse"):
        validate_options("metafuse", {"regularisation": "l1"})
