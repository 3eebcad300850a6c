"""How ω_base is trained: a schedule, read from a TOML file in ``models/configs`` or of the user's own."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from models.errors import InvalidOptions

CONFIGS = Path(__file__).parents[1] / "configs"


@dataclass(frozen=True)
class Worlds:
    """What rigs and motion are drawn from.

    ``cameras`` of random studios; ``large`` the share of rigs with 9 to 31 cameras, ``published`` of those with
    published ones; ``work`` frames × pairs of a rig and ``frames`` the most it gets; ``motions`` the sources of a
    MotionLibrary (none: procedural motion only) and ``procedural`` the share of procedural takes. In a share ``turned``
    of the rigs θ come from cameras that are off by ``turned_degrees`` (standard deviation), as repaired cameras are.
    """

    cameras: tuple[int, ...] = (3, 4, 4, 5, 6)
    large: float = 0.0
    published: float = 0.0
    work: int = 72
    frames: int = 6
    motions: tuple[str, ...] = ()
    procedural: float = 1.0
    turned: float = 0.0
    turned_degrees: float = 0.0


@dataclass(frozen=True)
class Schedule:
    """``rigs`` rigs a step for ``steps`` steps of Adam; parameters are averaged from a share of the steps on.

    A share ``relative`` of the loss is measured on fused heatmaps divided by their highest peak. The other part knows
    their scale, and so rewards evidence that outweighs a view's own peak.
    """

    name: str = "ours"
    seed: int = 0
    steps: int = 1500
    rigs: int = 1
    learning_rate: float = 4e-3
    rounds_rate: float = 1e-2
    columns: int = 9
    average_from: float = 0.5
    relative: float = 0.0
    worlds: Worlds = Worlds()

    def __post_init__(self) -> None:
        if min(self.steps, self.rigs, self.columns, self.worlds.work, self.worlds.frames) < 1:
            raise InvalidOptions("steps, rigs, columns, work and frames are at least 1.", at="config")
        if not self.worlds.cameras or min(self.worlds.cameras) < 2:
            raise InvalidOptions("A rig that fuses has two cameras or more.", at="config.worlds.cameras")


def read_schedule(config: str | Path) -> Schedule:
    """A schedule by its name in ``models/configs`` or its path; raises InvalidOptions naming what is wrong."""
    path = CONFIGS / f"{config}.toml" if (CONFIGS / f"{config}.toml").is_file() else Path(config)
    try:
        table = tomllib.loads(path.read_text())
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        names = ", ".join(sorted(p.stem for p in CONFIGS.glob("*.toml")))
        raise InvalidOptions(f"{config} is no readable TOML file, and none of {names}: {error}", at="config") from error
    return schedule_of(table)


def schedule_of(table: Mapping[str, Any]) -> Schedule:
    """A schedule from a config's table; raises InvalidOptions for a key it does not know or a value of another kind."""
    values = _checked(Schedule, table, "config")
    return Schedule(**{**values, "worlds": Worlds(**_checked(Worlds, values.get("worlds", {}), "config.worlds"))})


_FITTING: dict[type, Any] = {float: (int, float), tuple: (list, tuple), Worlds: Mapping}


def _checked(kind: type, table: Mapping[str, Any], at: str) -> dict[str, Any]:
    known: dict[str, Any] = {field.name: field.default for field in fields(kind)}
    values: dict[str, Any] = {}
    for key, value in table.items():
        if key not in known:
            raise InvalidOptions(f"{at} knows no {key!r}, only {', '.join(known)}.", at=f"{at}.{key}")
        default = known[key]
        if not isinstance(value, _FITTING.get(type(default), type(default))) or isinstance(value, bool):
            raise InvalidOptions(f"{at}.{key} is {value!r}, not like {default!r}.", at=f"{at}.{key}")
        values[key] = tuple(value) if isinstance(default, tuple) else value
    return values
