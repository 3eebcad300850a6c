"""The rigs page: what it finds, counts, sorts and says, on real databases with rigs of every story."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from sqlalchemy import event, select

from app.access.principal import Principal, Scope
from app.dashboard.rigs.advice import advice
from app.dashboard.rigs.asked import DOWN_FIRST, PAGE, Asked, Show, Sort
from app.dashboard.rigs.reading import Found, Line, Overview, find, overview
from app.db import Database
from app.settings import Settings
from app.tables import CheckpointRow, RigRow
from benchmarks._fleet import STUDIOS, Story, seed

RIGS = 160
SHOWS = {
    Show.FAILED: {Story.FAILED},
    Show.DRIFTING: {Story.DRIFTING},
    Show.NOT_PROMOTED: {Story.NOT_PROMOTED},
    Show.NO_CHECKPOINT: {Story.LABELLED, Story.BARE},
    Show.ADAPTING: {Story.ADAPTING},
    Show.NEVER_ASKED: {Story.UNASKED},
    Show.WELL: {Story.WELL},
    Show.ARCHIVED: {Story.ARCHIVED},
    Show.ATTENTION: {Story.FAILED, Story.DRIFTING, Story.NOT_PROMOTED, Story.LABELLED, Story.BARE},
    Show.ALL: set(Story) - {Story.ARCHIVED},
}


@dataclass(frozen=True)
class Fleet:
    """Rigs in a database, and which of them has which story."""

    database: Database
    stories: dict[Story, list[str]]

    def page(self, asked: Asked) -> Found:
        with self.database.read_session() as session:
            return find(session, asked, overview(session))

    def overview(self) -> Overview:
        with self.database.read_session() as session:
            return overview(session)

    def all(self, **asked: Any) -> list[Line]:
        first = self.page(Asked(**asked))
        others = (self.page(Asked(**asked, page=page)) for page in range(2, first.pages + 1))
        return [*first.lines, *(line for found in others for line in found.lines)]


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def fleet(request: pytest.FixtureRequest, new_database_url: Callable[[str], str]) -> Iterator[Fleet]:
    database = Database(Settings(database_url=new_database_url(request.param)).database_url)
    database.upgrade()
    yield Fleet(database, seed(database, RIGS))
    database.dispose()


@contextmanager
def statements(database: Database) -> Iterator[list[str]]:
    told: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        told.append(statement)

    event.listen(database.engine, "before_cursor_execute", note)
    yield told
    event.remove(database.engine, "before_cursor_execute", note)


@pytest.mark.parametrize("show", Show)
def test_a_filter_finds_the_rigs_of_its_stories_and_the_overview_counts_them(fleet: Fleet, show: Show) -> None:
    wanted = {rig for story in SHOWS[show] for rig in fleet.stories.get(story, [])}
    assert {line.id for line in fleet.all(show=show)} == wanted
    assert fleet.overview().counts[show] == len(wanted)


def test_the_overview_tells_where_trouble_is(fleet: Fleet) -> None:
    told = fleet.overview()
    lines = fleet.all()
    for name, rigs, troubled in told.studios:
        assert rigs == sum(line.studio == name for line in lines)
        assert troubled == sum(line.studio == name and line.standing in SHOWS_TROUBLE for line in lines)
    assert [trouble for _, _, trouble in told.studios] == sorted((t for _, _, t in told.studios), reverse=True)


SHOWS_TROUBLE = {Show.FAILED, Show.DRIFTING, Show.NOT_PROMOTED, Show.NO_CHECKPOINT}


def test_what_needs_attention_comes_first(fleet: Fleet) -> None:
    troubled = [line.standing in SHOWS_TROUBLE for line in fleet.all()]
    assert any(troubled)
    assert troubled == sorted(troubled, reverse=True)


KEYS: dict[Sort, Callable[[Line], Any]] = {
    Sort.STUDIO: lambda line: line.studio,
    Sort.JDR: lambda line: line.jdr.after,
    Sort.GAIN: lambda line: line.jdr.gain,
    Sort.REPROJECTION: lambda line: line.reprojection_px.after,
    Sort.ERROR_3D: lambda line: line.mpjpe_mm.after,
    Sort.ADAPTED: lambda line: line.adapted_at,
    Sort.DRIFT: lambda line: line.ratio,
    Sort.ASKED: lambda line: line.last_request_at,
}


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("sort", KEYS)
def test_every_column_sorts_both_ways_with_what_is_unknown_last(fleet: Fleet, sort: Sort, descending: bool) -> None:
    values = [KEYS[sort](line) for line in fleet.all(sort=sort, descending=descending)]
    known = [value for value in values if value is not None]
    assert values[len(known) :] == [None] * (len(values) - len(known))
    if sort is not Sort.STUDIO:  # whose order is the database's
        assert known == sorted(known, reverse=descending)
    assert len(values) == RIGS - len(fleet.stories[Story.ARCHIVED])


def test_pages_hold_every_rig_once_and_the_last_is_answered_for_what_lies_beyond(fleet: Fleet) -> None:
    lines = fleet.all(sort=Sort.NAME)
    assert len({line.id for line in lines}) == len(lines) > 2 * PAGE
    beyond = fleet.page(Asked(sort=Sort.NAME, page=999))
    assert beyond.page == beyond.pages == 4
    assert [line.id for line in beyond.lines] == [line.id for line in lines[3 * PAGE :]]


def test_words_are_looked_for_in_names_studios_tags_and_ids_whatever_their_case(fleet: Fleet) -> None:
    everything = {line.id: line for line in fleet.all()}
    of_studio = {rig for rig, line in everything.items() if line.studio == STUDIOS[3]}
    assert {line.id for line in fleet.all(q="ÆRØ")} == of_studio
    stages = {rig for rig in of_studio if everything[rig].name.startswith("Stage")}
    assert {line.id for line in fleet.all(q="stage ærø")} == stages
    one = next(iter(everything.values()))
    assert [line.id for line in fleet.all(q=one.id.upper())] == [one.id]
    tagged = {rig for rig, line in everything.items() if "ballet" in line.tags}
    assert {line.id for line in fleet.all(q="Ballet")} == tagged
    assert fleet.all(q="%") == fleet.all(q="st_ge") == fleet.all(q="\\") == []
    assert {line.id for line in fleet.all(studio="north")} == {
        r for r, line in everything.items() if line.studio == "north"
    }


def test_a_page_costs_the_same_few_queries_and_reads_no_large_document(fleet: Fleet) -> None:
    with statements(fleet.database) as one:
        fleet.page(Asked(show=Show.FAILED))
    with statements(fleet.database) as many:
        assert len(fleet.page(Asked()).lines) == PAGE
    queries = [[told for told in some if told.startswith("SELECT")] for some in (one, many)]
    assert len(queries[0]) == len(queries[1]) <= 6
    assert not re.search(r"manifest|document|metrics|coverage", " ".join(queries[1]))


def test_a_studio_sees_and_counts_its_own_rigs_only(fleet: Fleet) -> None:
    mine = [line.id for line in fleet.all() if line.studio == "harbour"]
    holder = Principal("key_1", "harbour", frozenset({Scope.READ}), studio="harbour")
    theirs = Fleet(fleet.database.acting_as(holder), {})
    assert sorted(line.id for line in theirs.all()) == sorted(mine)
    told = theirs.overview()
    assert told.in_use == len(mine)
    assert [name for name, *_ in told.studios] == ["harbour"]
    assert theirs.all(q="north") == theirs.all(studio="north") == []


@pytest.mark.parametrize(
    ("story", "sentence"),
    [
        (Story.FAILED, r"Adaptation failed: (Only 3 frames|The worker was lost|It needs about)"),
        (Story.DRIFTING, r"Check the cameras: views disagree more than at its adaptation \(×[12]\.\d\)$"),
        (Story.NOT_PROMOTED, r"Not promoted: on held-out frames"),
        (Story.LABELLED, r"Start an adaptation: \d\d frames wait$"),
        (Story.BARE, r"Drop labelled frames$"),
        (Story.ADAPTING, r"Waits for a worker$|Finetune, \d+%, about 40 s left$"),
        (Story.UNASKED, r"Ready: ask for its first poses$"),
        (Story.WELL, r"Well served$"),
        (Story.ARCHIVED, r"Archived: nothing to do$"),
    ],
)
def test_each_rig_says_what_to_do_next(fleet: Fleet, story: Story, sentence: str) -> None:
    lines = {line.id: line for line in [*fleet.all(), *fleet.all(show=Show.ARCHIVED)]}
    for rig in fleet.stories[story]:
        assert re.match(sentence, advice(lines[rig]).told)


def test_an_address_says_only_what_does_not_go_without_saying() -> None:
    assert Asked().query == ""
    assert Asked(sort=Sort.JDR, descending=True).query == "?sort=jdr"
    assert Sort.JDR in DOWN_FIRST
    told = Asked(q="a b", show=Show.FAILED, sort=Sort.NAME, descending=True, page=3)
    assert told.query == "?q=a+b&show=failed&sort=name&order=down&page=3"
    assert told.sorted_by(Sort.NAME).query == "?q=a+b&show=failed&sort=name"


def test_a_checkpoint_activated_by_hand_ends_the_complaint_that_it_was_not_promoted(fleet: Fleet) -> None:
    rig = fleet.stories[Story.NOT_PROMOTED][0]
    newest = select(CheckpointRow.id).where(CheckpointRow.rig_id == rig).order_by(CheckpointRow.created_at.desc())
    with fleet.database.session() as session:
        row = session.get_one(RigRow, rig)
        before, row.active_checkpoint_id = row.active_checkpoint_id, session.scalars(newest).first()
    try:
        assert rig not in {line.id for line in fleet.all(show=Show.NOT_PROMOTED)}
        assert rig not in {line.id for line in fleet.all(show=Show.ATTENTION)}
    finally:
        with fleet.database.session() as session:
            session.get_one(RigRow, rig).active_checkpoint_id = before
