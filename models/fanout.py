"""Pieces of an adaptation that other processes may work on, and how the whole goes on from their results.

An adaptation is deterministic and cheap up to its first pieces. So nothing half-done travels: every process that takes
part runs the adaptation from its beginning, until it comes to the piece it was sent for, or to one whose result is not
there yet. What is known is put in where it belongs, and the end is that of a run in one process.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from models.errors import CorruptArtifact

Arrays = Mapping[str, NDArray[Any]]
Work = Callable[[], Arrays]
Results = Callable[[], list[Arrays]]


Spread = Callable[[str, Sequence[Work]], Results]
"""Takes independent pieces of work, called ``name/0``, ``name/1``, …, and answers where all their results are had."""


def in_turn(_name: str, works: Sequence[Work]) -> Results:
    """Every piece here, one after another, when the results are needed."""
    return lambda: [work() for work in works]


class Needed(Exception):
    """The adaptation cannot go on before these pieces have been worked on."""

    def __init__(self, pieces: Sequence[str]) -> None:
        super().__init__(", ".join(pieces))
        self.pieces = tuple(pieces)


class PieceDone(Exception):
    """The piece that this run was for has been worked on."""

    def __init__(self, result: Arrays) -> None:
        super().__init__()
        self.result = result


class Replay:
    """A Spread for a run that stops at what is not known: with Needed, or at the piece ``wanted`` with PieceDone."""

    def __init__(self, known: Mapping[str, Arrays], wanted: str | None = None) -> None:
        self._known, self._wanted = known, wanted
        self._asked: list[str] = []

    def __call__(self, name: str, works: Sequence[Work]) -> Results:
        """Work on the wanted piece where it is one of these; else the results are those known."""
        pieces = [f"{name}/{index}" for index in range(len(works))]
        if self._wanted in pieces:
            raise PieceDone(works[pieces.index(self._wanted)]())
        self._asked += pieces

        def results() -> list[Arrays]:
            missing = [piece for piece in self._asked if piece not in self._known]
            if missing:
                raise Needed(missing)
            return [self._known[piece] for piece in pieces]

        return results


def to_bytes(result: Arrays) -> bytes:
    """A piece's result as safetensors."""
    return save({name: np.ascontiguousarray(value) for name, value in result.items()})


def from_bytes(data: bytes) -> Arrays:
    """What ``to_bytes`` wrote; raises CorruptArtifact for anything else."""
    try:
        return load(data)
    except SafetensorError as error:
        raise CorruptArtifact(f"The artifact is not the result of a piece of work: {error}.") from error
