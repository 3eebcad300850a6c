"""Totals: added to by many at once, read as Prometheus wants them."""

import threading

from app import totals
from app.db import Database


def test_what_is_added_at_once_is_all_counted(database: Database) -> None:
    together = threading.Barrier(6)

    def work(index: int) -> None:
        together.wait()
        for _ in range(5):
            with database.session() as session:
                names = ("a", "b") if index % 2 else ("b", "a")
                totals.add_all(session, {(totals.FAILURES, name): 1 for name in names})

    threads = [threading.Thread(target=work, args=(index,)) for index in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with database.read_session() as session:
        assert totals.read(session, totals.FAILURES) == {"a": 30, "b": 30}


def test_what_is_rolled_back_is_not_counted(database: Database) -> None:
    with database.session() as session:
        totals.add(session, totals.FAILURES, "a", 1)
        session.rollback()
    with database.read_session() as session:
        assert totals.read(session, totals.FAILURES) == {}


def test_a_histogram_is_cumulated_when_it_is_read(database: Database) -> None:
    with database.session() as session:
        for seconds in (0.05, 7.0, 7.5, 1e6):
            totals.add_all(session, totals.observed(totals.STAGE_SECONDS, {"finetune": seconds}))
        totals.add_all(session, {})
    with database.read_session() as session:
        ((label, read),) = totals.read_histogram(session, totals.STAGE_SECONDS).items()
    counts = dict(read.buckets)
    assert (label, read.sum) == ("finetune", 1000014.55)
    assert (counts["0.1"], counts["5"], counts["10"], counts["3600"], counts["+Inf"]) == (1, 1, 3, 3, 4)
    assert [count for _, count in read.buckets] == sorted(counts.values())
