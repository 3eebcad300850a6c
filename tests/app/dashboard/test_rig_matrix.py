"""The matrix of pairs: which numbers stand where, in which colour, and what is left out."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from app.artifacts import ArtifactStore
from app.captures.contents import Labels
from app.dashboard.rig.figures import Change, PairFigures
from app.dashboard.rig.labels import LabelCounts, count_labels
from app.dashboard.rig.matrix import Cell, matrix

IDS = ("a", "b", "c")


def pair(target: str, source: str, gain: float, found: float | None = None, dropped: str = "") -> PairFigures:
    told = Change() if found is None else Change(20.0, 20.0 + found)
    return PairFigures(target, source, gain, told, Change(1.5, 0.5), dropped)


def test_labels_are_counted_by_pair_in_the_direction_of_help() -> None:
    visibility = np.zeros((2, 3, 2), np.uint8)
    visibility[0, 0] = [1, 2]  # in frame 0 camera a does not see joint 0,
    visibility[0, 1] = [2, 2]  # which b sees
    visibility[1, 0] = [1, 0]  # and in frame 1 nobody does
    visibility[1, 1] = [1, 0]
    counts = LabelCounts.of(visibility)
    assert counts.frames == 2
    assert counts.visible.tolist() == [[0, 1], [1, 1], [0, 0]]
    assert counts.hidden.tolist() == [[2, 0], [1, 0], [0, 0]]
    assert counts.shared.tolist() == [[3, 3, 0], [3, 3, 0], [0, 0, 0]]
    assert (counts.lent[0, 1], counts.lent[1, 0]) == (1, 0)
    assert counts.unseen.tolist() == [1, 1, 0]
    grid = matrix(IDS, {}, counts)
    assert [measure.key for measure in grid.measures] == ["shared", "lent"]
    assert [cell and cell.text for cell in grid.cells["lent"][0]] == [None, "1", "0"]
    assert [cell and cell.text for cell in grid.cells["shared"][1]] == ["3", None, "0"]


def test_labels_in_a_store_that_is_away_are_not_asked_for_again_at_once(tmp_path: Path) -> None:
    store = ArtifactStore((tmp_path / "store").as_uri())
    labels = Labels(("0",), np.zeros((1, 3, 2, 2)), np.full((1, 3, 2), 2, np.uint8))
    here, away = (store.put_bytes(replace(labels, frames=(name,)).to_bytes()) for name in ("1", "2"))
    counts = count_labels(store, here, 3, 2)
    assert counts is not None
    assert counts.visible.tolist() == [[1, 1]] * 3
    assert count_labels(store, here, 2, 2) is None  # of another rig
    store.root.rename(tmp_path / "away")
    assert count_labels(store, away, 3, 2) is None
    assert count_labels(store, here, 3, 2) is counts
    (tmp_path / "away").rename(store.root)
    assert count_labels(store, away, 3, 2) is None


def test_a_gain_is_green_a_loss_red_and_what_nobody_measured_a_dot() -> None:
    pairs = {
        ("a", "b"): pair("a", "b", 0.8, 60.0),
        ("b", "a"): pair("b", "a", 0.4, -30.0),
        ("c", "a"): pair("c", "a", 0),
    }
    grid = matrix(IDS, pairs, None)
    assert grid.cells["found"][0] == (None, Cell("+60", "g6"), Cell("·", ""))
    assert grid.cells["found"][1][0] == Cell("−30", "l6")
    assert grid.cells["found"][2][0] == Cell("·", "")
    assert grid.cells["weight"][1][0] == Cell("0.40", "g3")
    assert grid.cells["epipolar"][0][1] == Cell("0.50", "e2")
    assert grid.cells["sent"][0][1] == Cell("1.50", "e4")


def test_the_first_measure_that_there_is_something_of_is_shown_unless_another_is_wanted() -> None:
    grid = matrix(IDS, {("a", "b"): pair("a", "b", 1.0)}, None)
    assert [measure.key for measure in grid.measures] == ["weight", "epipolar", "sent"]
    shown = [grid.shown(wanted) for wanted in ("", "epipolar", "found", "<script>")]
    assert [measure and measure.key for measure in shown] == ["weight", "epipolar", "weight", "weight"]
    assert matrix(IDS, {}, None).shown("") is None


def test_cameras_that_were_not_repaired_have_one_epipolar_error() -> None:
    as_sent = replace(pair("a", "b", 1.0), epipolar_px=Change(0.5, 0.5))
    assert [measure.key for measure in matrix(IDS, {("a", "b"): as_sent}, None).measures] == ["weight", "epipolar"]


def test_a_pair_that_is_no_longer_listened_to_says_why_and_one_of_unknown_cameras_is_passed_over() -> None:
    pairs = {("b", "c"): pair("b", "c", 0.0, dropped="It harmed."), ("x", "y"): pair("x", "y", 1.0, dropped="Gone.")}
    grid = matrix(IDS, pairs, None)
    assert grid.notes == {"1,2": "It harmed."}
    assert grid.script()["cells"]["weight"][1][2] == ["0.00", "g0"]
