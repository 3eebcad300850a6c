import pytest

from models.errors import InvalidOptions
from models.metalearning.schedule import CONFIGS, Worlds, read_schedule, schedule_of


def test_the_shipped_configs_are_read_by_name_and_say_their_name():
    ours = read_schedule("ours")
    assert (ours.name, ours.worlds.motions) == ("ours", ("deepmimic",))
    assert ours.worlds.turned_degrees > 0
    assert (CONFIGS / "ours.toml").is_file()


def test_a_config_of_the_user_s_own_is_read_by_path(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text("steps = 3\nlearning_rate = 1\n[worlds]\ncameras = [2, 31]\n")
    schedule = read_schedule(path)
    assert (schedule.steps, schedule.learning_rate, schedule.worlds) == (3, 1, Worlds(cameras=(2, 31)))


@pytest.mark.parametrize(
    ("table", "at"),
    [
        ({"stepps": 3}, "config.stepps"),
        ({"steps": "3"}, "config.steps"),
        ({"steps": True}, "config.steps"),
        ({"steps": 0}, "config"),
        ({"worlds": {"work": 1.5}}, "config.worlds.work"),
        ({"worlds": {"cameras": [1]}}, "config.worlds.cameras"),
        ({"worlds": 3}, "config.worlds"),
    ],
)
def test_what_a_schedule_cannot_be_is_named(table, at):
    with pytest.raises(InvalidOptions) as raised:
        schedule_of(table)
    assert raised.value.at == at


@pytest.mark.parametrize("content", [None, b"steps = ", b"\xff"])
def test_an_unreadable_config_is_refused_with_the_names_of_those_that_ship(tmp_path, content):
    path = tmp_path / "odd.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InvalidOptions, match="ours"):
        read_schedule(path)
