"""The benchmark's rows as tables, with 95% bootstrap intervals."""

from collections.abc import Callable, Iterable, Sequence
from itertools import product
from typing import Any

from benchmarks import _paper
from benchmarks._cells import SYSTEMS
from benchmarks._families import FAMILIES, TAKE_FRAMES
from benchmarks._intervals import Interval, Row, compared, fewer, ratio
from models.skeletons import skeleton

PARTS = ("shoulder", "knee", "ankle")
ALIKE = ("none", "robust", "epipolar-sum", "epipolar-max", "ours")


def pick(rows: Iterable[Row], **wanted: Any) -> list[Row]:
    """The rows with these keys, in order of their rigs; a system that takes no labels has the same row for every K."""
    if "k" in wanted and "system" in wanted and not SYSTEMS[wanted["system"]].labels:
        wanted["k"] = 0
    kept = [row for row in rows if all(row[name] == value for name, value in wanted.items())]
    return sorted(kept, key=lambda row: row["rig"])


def jdr(rows: Sequence[Row]) -> Interval:
    """JDR in percent."""
    return ratio(rows, "found", "labelled", 100, take=TAKE_FRAMES)


def hidden(rows: Sequence[Row]) -> Interval:
    """JDR of hidden joints in percent."""
    return ratio(rows, "found_hidden", "hidden", 100, take=TAKE_FRAMES)


def mpjpe(rows: Sequence[Row]) -> Interval:
    """MPJPE in millimetres of the joints that are placed in space."""
    return ratio(rows, "mm", "placed", take=TAKE_FRAMES)


def pictorial_mpjpe(rows: Sequence[Row]) -> Interval | str:
    """The same of the pictorial model; nothing where it was not measured."""
    if not all("pictorial_mm" in row for row in rows):
        return ""
    take = len(rows[0]["pictorial_mm"]) * TAKE_FRAMES // len(rows[0]["mm"])
    return ratio(rows, "pictorial_mm", "pictorial_placed", take=take)


def gross(rows: Sequence[Row]) -> Interval:
    """Share in percent of joints more than 100 mm off, or not placed."""
    return ratio(rows, "gross", "joints", 100, take=TAKE_FRAMES)


def markdown(header: Sequence[str], lines: Iterable[Sequence[object]]) -> str:
    """A table in Markdown."""
    told = [header, ["---"] * len(header), *lines]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in told) + "\n"


def by_error(rows: Sequence[Row], k: int, *cells: Callable[[Sequence[Row]], Interval | str]) -> str:
    """Family × camera error × system."""
    errors = dict.fromkeys(row["error"] for row in rows)
    groups = (
        (family, error, system, pick(rows, family=family, error=error, k=k, system=system))
        for family, error, system in product(FAMILIES, errors, (*ALIKE, "ours-labels"))
    )
    lines = [
        [FAMILIES[family].title, _told(error), SYSTEMS[system].title, *(cell(found) for cell in cells)]
        for family, error, system, found in groups
        if found
    ]
    return markdown(["rigs", "cameras off by", "system", *(c.__name__.replace("_", " ") for c in cells)], lines)


def by_count(rows: Sequence[Row], family: str) -> str:
    """System × K: shoulder / knee / ankle / all, hidden, MPJPE of the pictorial model; the paper's figures beside."""
    lines = []
    for system in (
        "none",
        "naive",
        "naive-none",
        "naive-l1",
        "naive-l21",
        "naive-meta",
        "affine",
        "paper",
        "paper-search",
        "ours",
    ):
        found = pick(rows, family=family, error="0", system=system, rig=0)
        for row in sorted(found, key=lambda row: row["k"]):
            key = (system, row["k"])
            panoptic = _paper.JDR.get(key)
            average = _paper.AVERAGE_JDR.get(key)
            paper = " / ".join(map(str, panoptic)) if panoptic else ("" if average is None else f"average {average}")
            parts = " / ".join(f"{value:.1f}" for value in by_part(row))
            figures = (jdr([row]), hidden([row]), pictorial_mpjpe([row]), f"{row['seconds']:.0f}")
            lines.append([SYSTEMS[system].title, key[1] or "", parts, *figures, paper, _paper.MPJPE_MM.get(key, "")])
    header = ["system", "K", "shoulder / knee / ankle", "JDR", "hidden", "MPJPE, pictorial", "seconds",
              "paper, Panoptic: shoulder / knee / ankle / average", "paper, MPJPE"]  # fmt: skip
    return markdown(header, lines)


def by_part(row: Row) -> list[float]:
    """JDR in percent of the joints of ``PARTS``, left and right together."""
    names = skeleton("coco17").joints
    of = {part: [j for j, name in enumerate(names) if name.endswith(part)] for part in PARTS}
    return [
        100 * sum(row["joint_found"][j] for j in js) / sum(row["joint_labelled"][j] for j in js) for js in of.values()
    ]


def contrasts(rows: Sequence[Row], k: int) -> str:
    """What the adaptation gives, paired over the same frames: against No-Fusion, epipolar fusion, and its own best."""
    lines = []
    for family in FAMILIES:
        for error in dict.fromkeys(row["error"] for row in rows if row["family"] == family):
            system = "ours-labels" if error == "labels" else "ours"
            ours, exact = pick(rows, family=family, error=error, k=k, system=system), _at(rows, family, "0", k, "ours")
            if not ours or not exact:
                continue
            lines.append([FAMILIES[family].title, _told(error), *_against(rows, ours, exact, family, error, k)])
    header = ["rigs", "cameras off by", "JDR − No-Fusion", "hidden − No-Fusion", "fewer misses than the best epipolar",
              "JDR − exact cameras", "MPJPE ÷ No-Fusion's, robust"]  # fmt: skip
    return markdown(header, lines)


def _against(  # noqa: PLR0917
    rows: Sequence[Row], ours: list[Row], exact: list[Row], family: str, error: str, k: int
) -> list[object]:
    none = _at(rows, family, "0", k, "none")
    rivals = [r for name in ("epipolar-sum", "epipolar-max") if (r := _at(rows, family, error, k, name))]
    best = max(rivals, key=lambda r: jdr(r).value, default=None)
    same = _at(rows, family, error, k, "none")
    return [
        _points(compared(ours, none, "found", "labelled", take=TAKE_FRAMES)),
        _points(compared(ours, none, "found_hidden", "hidden", take=TAKE_FRAMES)),
        "" if best is None else f"{_percent(fewer(ours, best, take=TAKE_FRAMES))} ({SYSTEMS[best[0]['system']].title})",
        _points(compared(ours, exact, "found", "labelled", take=TAKE_FRAMES)),
        "" if not same else f"{mpjpe(ours).value / mpjpe(same).value:.2f}",
    ]


def _at(rows: Sequence[Row], family: str, error: str, k: int, system: str) -> list[Row]:
    return pick(rows, family=family, error=error, k=k, system=system)


def _told(error: str) -> str:
    return "labels only" if error == "labels" else f"{error}°"


def _points(interval: Interval) -> str:
    return f"{100 * interval.value:+.1f} [{100 * interval.low:+.1f}, {100 * interval.high:+.1f}]"


def _percent(interval: Interval) -> str:
    return f"{100 * interval.value:.0f}% [{100 * interval.low:.0f}, {100 * interval.high:.0f}]"
