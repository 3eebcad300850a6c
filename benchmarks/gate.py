"""The benchmark of the gate: how often rules of promotion are wrong, by how many frames are held out.

``python -m benchmarks.gate --cache FOLDER`` adapts simulated rigs, spoils their checkpoints, and measures all on many
more frames than were held out (a minute a case, kept in the folder). Then frames are drawn as a split would hold them
out, every rule decides by them, and the other frames tell whether it was right. ``--report FILE`` writes the tables.
"""

import argparse
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track

from benchmarks._gate_cases import RIVALS, TAKE, TEST_FRAMES, Trial, cases, trials
from models.evaluation import Measures
from models.gate import Evidence

Rule = Callable[[Sequence[Evidence]], bool]
DRAWS = 20  # verdicts a checkpoint and number of frames
HELD_OUT = {3: (3, 1), 6: (3, 2), 15: (3, 5), 30: (6, 5)}  # frames: takes, frames of each
MATTERS = 0.002  # of JDR: less is neither better nor worse


def _all_above(rows: Sequence[Evidence], rivals: Sequence[str] = (*RIVALS, "incumbent")) -> bool:
    return all(row.ranks_above for row in rows if row.rival in rivals)


def _shown(rows: Sequence[Evidence], rivals: Sequence[str]) -> bool:
    return all(row.verdict == "better" for row in rows if row.rival in rivals)


RULES: Mapping[str, Rule] = {
    "ranks above No-Fusion and epipolar fusion": lambda rows: _all_above(rows, ("no_fusion", "epipolar")),
    "ranks above all rivals": _all_above,
    "and is shown to be better than what serves": lambda rows: (
        _all_above(rows) and _shown(rows, ("no_fusion", "incumbent"))
    ),
    "**and is shown to be better than what serves, likely than the others**": lambda rows: all(
        row.earns for row in rows
    ),
    "and no interval reaches below −1 point": (
        lambda rows: _all_above(rows) and all(row.jdr.low > -0.01 for row in rows)
    ),
    "is shown to be better than all rivals": lambda rows: _shown(rows, (*RIVALS, "incumbent")),
}


@dataclass
class Count:
    """What became of the verdicts of a rule."""

    worse: int = 0
    false_promotions: int = 0
    better: int = 0
    false_refusals: int = 0
    verdicts: int = 0
    lost: float = 0.0

    def add(self, lead: float, *, promoted: bool) -> None:
        """A verdict on what leads the best rival by ``lead``."""
        self.worse += lead < -MATTERS
        self.false_promotions += promoted and lead < -MATTERS
        self.better += lead > MATTERS
        self.false_refusals += not promoted and lead > MATTERS
        self.verdicts += 1
        self.lost += max(0.0, -lead if promoted else lead)

    def cells(self) -> str:
        """Cells of a row of a table."""
        promoted, refused = (
            f"{wrong} of {all_} ({100 * wrong / max(all_, 1):.1f}%)"
            for wrong, all_ in ((self.false_promotions, self.worse), (self.false_refusals, self.better))
        )
        return f"{promoted} | {refused} | {100 * self.lost / max(self.verdicts, 1):.2f}"


def lead(ours: Trial, theirs: Trial) -> float:
    """By how much more of the joints are found on all test frames, by labels without noise."""
    return float(np.nanmean(ours.true.jdr - theirs.true.jdr))


def held_out(rng: np.random.Generator, frames: int) -> NDArray[np.intp]:
    """Frames of a few takes, as a split would hold them out."""
    takes, each = HELD_OUT[frames]
    chosen = rng.choice(TEST_FRAMES // TAKE, takes, replace=False)
    return np.sort(np.concatenate([take * TAKE + rng.choice(TAKE, each, replace=False) for take in chosen]))


def evidence(ours: Measures, rivals: Mapping[str, Measures], index: NDArray[np.intp]) -> list[Evidence]:
    """What the gate sees of frames ``index``."""
    part = ours.subset(index)
    return [Evidence.of(name, part, theirs.subset(index)) for name, theirs in rivals.items()]


def verdicts(contests: Sequence[tuple[Trial, Mapping[str, Trial]]]) -> Iterator[str]:
    """A table: every rule on every contest of a checkpoint with its rivals, by the number of frames held out."""
    yield "| frames | rule | worse, promoted | better, refused | JDR lost, points | intervals that hold the lead |"
    yield "|---|---|---|---|---|---|"
    rng = np.random.default_rng(0)
    for frames in HELD_OUT:
        counts, held, asked = {name: Count() for name in RULES}, 0, 0
        for ours, rivals in contests:
            least = min(lead(ours, theirs) for theirs in rivals.values())
            means = {name: np.nanmean(ours.labelled.jdr - theirs.labelled.jdr) for name, theirs in rivals.items()}
            labelled = {name: theirs.labelled for name, theirs in rivals.items()}
            for _ in range(DRAWS):
                rows = evidence(ours.labelled, labelled, held_out(rng, frames))
                held += sum(bool(row.jdr.low <= means[row.rival] <= row.jdr.high) for row in rows)
                asked += len(rows)
                for name, rule in RULES.items():
                    counts[name].add(least, promoted=rule(rows))
        for name, count in counts.items():
            yield f"| {frames} | {name} | {count.cells()} | {held / asked:.0%} |"


def really_held_out(contests: Sequence[tuple[str, Trial, Mapping[str, Trial]]]) -> Iterator[str]:
    """A table: each condition's own adaptations, by the frames that they held out."""
    yield "| condition | frames held out | lead over the best rival, points | promoted by the rule in bold |"
    yield "|---|---|---|---|"
    chosen = next(rule for name, rule in RULES.items() if name.startswith("**"))
    for condition in dict.fromkeys(name for name, *_ in contests):
        rows = [(ours, rivals) for name, ours, rivals in contests if name == condition]
        sizes = {len(ours.held_out.jdr) for ours, _ in rows}
        leads = [min(lead(ours, theirs) for theirs in rivals.values()) for ours, rivals in rows]
        promoted = [
            chosen([Evidence.of(name, ours.held_out, theirs.held_out) for name, theirs in rivals.items()])
            for ours, rivals in rows
        ]
        told = ", ".join(f"{100 * each:+.1f}" for each in leads)
        yield f"| {condition} | {', '.join(map(str, sorted(sizes)))} | {told} | {sum(promoted)} of {len(promoted)} |"


def report(measured: Mapping[tuple[str, int], Mapping[str, Trial]]) -> str:
    """All tables, in Markdown."""
    fused, spoiled, own, incumbents = [], [], [], []
    for (condition, _), found in measured.items():
        rivals = {name: found[name] for name in RIVALS}
        own.append((condition, found["fused"], rivals))
        fused.append((found["fused"], rivals))
        spoiled += [(trial, rivals) for name, trial in found.items() if name not in {*RIVALS, "fused"}]
    for _, new, old in _rematches(measured):
        incumbents.append((new, {"incumbent": old}))
    about = (
        f"`python -m benchmarks.gate`: {len(fused)} adaptations of simulated rigs, each judged by itself and spoiled "
        f"in four ways; {DRAWS} draws of held-out frames from {TEST_FRAMES} test frames for each. Better and worse "
        f"mean by more than {100 * MATTERS:.1f} points of JDR than the best rival on all test frames; JDR lost is the "
        "mean over all verdicts of what a wrong one costs. The rule in bold is the one that decides "
        "(`models/gate.py`); it was chosen by these tables. Verdicts by draws from the same checkpoint are not "
        "independent."
    )
    tables = {
        "Checkpoints as they are, against No-Fusion, epipolar fusion and robust triangulation": verdicts(fused),
        "Spoiled checkpoints: gains ×3, pairs exchanged, another rig's θ, cameras 0.7° off": verdicts(spoiled),
        "A checkpoint in the place of another one of the same rig": verdicts(incumbents),
        "By the frames that the adaptations held out themselves": really_held_out(own),
    }
    parts = ("\n".join(["", f"## {title}", "", *lines]) for title, lines in tables.items())
    return "\n".join(["# What rules of promotion get wrong", "", about, *parts, ""])


def _rematches(measured: Mapping[tuple[str, int], Mapping[str, Trial]]) -> Iterator[tuple[int, Trial, Trial]]:
    """Checkpoints of one rig, and of the same test frames, that may take each other's place."""
    four = [key for key in measured if not key[0].startswith(("2 cameras", "nothing hidden"))]
    for rig in sorted({index for _, index in four}):
        found = [measured[key]["fused"] for key in four if key[1] == rig]
        found += [measured[key]["cameras 0.7° off"] for key in four if key == ("exact, 50 frames", rig)]
        yield from ((rig, new, old) for new, old in permutations(found, 2))


def main() -> None:
    """Measure what is missing, then report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cache", type=Path, required=True, help="folder of what was measured")
    parser.add_argument("--report", type=Path, help="file for the tables")
    arguments = parser.parse_args()
    every = list(cases())
    measured = {
        (condition.name, rig): trials(condition, rig, arguments.cache)
        for condition, rig in track(every, description="Rigs", console=Console(stderr=True))
    }
    told = report(measured)
    print(told)
    if arguments.report:
        arguments.report.write_text(told)


if __name__ == "__main__":
    main()
