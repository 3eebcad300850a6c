"""The estimate of memory: above what was measured, and growing with what makes an adaptation larger."""

import itertools

import pytest

from models.memory import estimate_bytes
from models.methods import METHODS

MB = 1_000_000
# Peak above the idle process and the frames, in MB; 17 joints.
MEASURED = {
    ("metafuse", 4, 50): 415, ("metafuse", 8, 50): 746, ("metafuse", 16, 50): 1852, ("metafuse", 4, 100): 502,
    ("metafuse", 8, 100): 962, ("naivefuse", 4, 50): 264, ("naivefuse", 8, 50): 792, ("naivefuse", 16, 50): 2482,
    ("naivefuse_meta", 4, 50): 269, ("naivefuse_meta", 8, 50): 759, ("epipolar", 4, 50): 239, ("epipolar", 8, 50): 532,
    ("affinefuse", 4, 50): 1626,
}  # fmt: skip


@pytest.mark.parametrize(("case", "measured"), MEASURED.items())
def test_it_lies_above_what_was_measured_and_not_far(case: tuple[str, int, int], measured: int) -> None:
    method, views, frames = case
    frames_themselves = frames * views * 17 * 64 * 64 * 4
    estimate = (estimate_bytes(method, views, frames, 17) - frames_themselves) / MB
    assert measured <= estimate <= 1.6 * measured + 50


@pytest.mark.parametrize("method", [*METHODS, "one of tomorrow"])
def test_it_grows_with_all_that_takes_memory(method: str) -> None:
    sizes = [estimate_bytes(method, views, frames, 17) for views, frames in ((2, 10), (2, 50), (4, 50), (16, 200))]
    assert all(a < b for a, b in itertools.pairwise(sizes))
    assert estimate_bytes(method, 2, 10, 17, images=True) > sizes[0]
    assert estimate_bytes(method, 2, 10, 25) > sizes[0]


def test_an_unknown_method_is_taken_for_the_most_demanding() -> None:
    assert estimate_bytes("one of tomorrow", 8, 50, 17) == max(estimate_bytes(name, 8, 50, 17) for name in METHODS)
