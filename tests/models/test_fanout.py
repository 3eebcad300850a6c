"""An adaptation in pieces ends as one in a single run does, whoever worked on the pieces and in whatever order."""

from typing import Any

import numpy as np
import pytest

from models.adaptation import adapt
from models.errors import CorruptArtifact
from models.fanout import Arrays, Needed, PieceDone, Replay, from_bytes, in_turn, to_bytes
from models.worlds import World, make_world, random_rig


@pytest.fixture(scope="module")
def world() -> World:
    rng = np.random.default_rng(11)
    return make_world(rng, random_rig(rng, 2), 16)


def run_in_pieces(world: World, method: str, options: dict[str, Any]) -> tuple[bytes, list[str]]:
    """Run again and again, every piece in a run of its own, the last one asked for first."""
    known: dict[str, Arrays] = {}
    asked: list[str] = []
    for _ in range(10):
        try:
            made = adapt(world.rig, world.labelled(), method=method, options=options, spread=Replay(known))
        except Needed as needed:
            asked += needed.pieces
            for piece in reversed(needed.pieces):
                with pytest.raises(PieceDone) as done:
                    adapt(world.rig, world.labelled(), method=method, options=options, spread=Replay(known, piece))
                known[piece] = from_bytes(to_bytes(done.value.result))
        else:
            return made.to_bytes(), asked
    raise AssertionError("it never came to an end")


@pytest.mark.parametrize(
    ("method", "options", "pieces"),
    [
        ("metafuse", {"steps": 2}, [f"width/{width}" for width in range(3)]),
        ("naivefuse", {}, [f"target/{v}" for v in range(2)]),
    ],
)
def test_pieces_come_to_the_same_bytes(world: World, method: str, options: dict[str, Any], pieces: list[str]) -> None:
    whole = adapt(world.rig, world.labelled(), method=method, options=options)
    in_pieces, asked = run_in_pieces(world, method, options)
    assert asked == pieces
    assert in_pieces == whole.to_bytes()


def test_all_pieces_that_were_handed_out_are_asked_for_together() -> None:
    spread = Replay({"b/0": {"x": np.zeros(1)}})
    spread("a", [lambda: {"x": np.ones(1)}] * 2)
    with pytest.raises(Needed) as needed:
        spread("b", [lambda: {"x": np.ones(1)}] * 2)()
    assert needed.value.pieces == ("a/0", "a/1", "b/1")


def test_one_process_works_on_a_piece_when_it_is_needed() -> None:
    worked: list[int] = []

    def work() -> Arrays:
        worked.append(1)
        return {"x": np.arange(3)}

    results = in_turn("a", [work, work])
    assert worked == []
    assert [result["x"].tolist() for result in results()] == [[0, 1, 2]] * 2


def test_other_bytes_are_no_result() -> None:
    with pytest.raises(CorruptArtifact, match="not the result of a piece"):
        from_bytes(b"nothing of the kind")
