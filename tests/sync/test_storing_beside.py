"""Pieces of a batch are stored while the next ones are pulled, and what was not is stored later."""

from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from time import monotonic, sleep

import pytest

from channel_sync.sandbox.faults import Fault
from channel_sync.storage import observations
from channel_sync.sync import plan, pull, store
from channel_sync.sync.pull import Batch
from tests.house import WINDOW, House, by_listing

ACCOUNT = "airbnb-demo"


def batch_of(house: House) -> Batch:
    """All six listings of the account."""
    (batch,) = plan.batches(house.engine, "beside", "availability", ACCOUNT, [WINDOW], everything=False)
    return batch


@pytest.fixture(autouse=True)
def _small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pull, "LISTINGS_PER_PIECE", 2)


def test_pieces_are_stored_while_others_are_pulled(house: House) -> None:
    """One listing's answer is long in coming: the others are in the tables before it is there."""
    house.sandbox.faults.add(Fault("latency", path="*/calendars/1006/*", seconds=5))
    with ThreadPoolExecutor(1) as thread:
        pulled = thread.submit(store.pull_and_store, house.engine, batch_of(house))
        until = monotonic() + 4
        stored = 0
        while stored < 4 and monotonic() < until:
            sleep(0.02)
            (row,) = house.rows(
                "SELECT count(*)::int FROM sync_log WHERE outcome = 'stored' AND run_id = 'beside'"
            )
            stored = row["count"]
        assert 4 <= stored
        assert not pulled.done()
        house.sandbox.faults.clear()

    results = store.store_batch(house.engine, pulled.result())

    assert ["stored"] * 6 == [result.entry.outcome for result in results]
    assert [{"count": 6 * len(WINDOW)}] == house.rows("SELECT count(*)::int FROM channel_availability")
    assert [] == house.rows(
        "SELECT relname FROM pg_class WHERE relnamespace = 'channel_sync_staging'::regnamespace AND relkind = 'r'"
    )


def test_what_cannot_be_stored_beside_fails_the_store_step_and_is_not_lost(
    house: House, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The pull ends well and says so in its log; storing raises; once it can be done nothing is asked again."""

    def broken(*_: object) -> None:
        raise RuntimeError("no place left")

    with monkeypatch.context() as patch:
        patch.setattr(observations, "write_log", broken)
        pulled = store.pull_and_store(house.engine, batch_of(house))
        with pytest.raises(RuntimeError, match="no place left"):
            store.store_batch(house.engine, pulled)
    assert 3 == caplog.text.count(f"{ACCOUNT}: a piece is left to the store step: RuntimeError at")
    assert [] == house.rows("SELECT * FROM channel_availability")
    calls = len(house.sandbox.calls)

    results = store.store_batch(house.engine, pulled)

    assert ["stored"] * 6 == [result.entry.outcome for result in results]
    assert calls == len(house.sandbox.calls)


def test_storing_again_changes_nothing_and_reports_the_same(house: House) -> None:
    """A store step that died before it could say so is repeated without harm, failures included."""
    house.sandbox.faults.add(Fault("html", path="*/calendars/1003/*"))
    pulled = store.pull_and_store(house.engine, batch_of(house))
    results = store.store_batch(house.engine, pulled)
    before = house.rows("SELECT ctid::text, xmin::text FROM channel_availability ORDER BY 1")

    again = store.store_batch(house.engine, pulled)

    assert "failed" == by_listing(results)["1003"].entry.outcome
    assert results == again
    assert before == house.rows("SELECT ctid::text, xmin::text FROM channel_availability ORDER BY 1")


def test_no_more_than_a_piece_of_answers_waits_to_be_staged() -> None:
    """Memory does not grow with the batch while the database is slower than the channel."""
    lock, begun = Lock(), 0

    def ask(number: int) -> int:
        nonlocal begun
        with lock:
            begun += 1
        return number

    taken = []
    with ThreadPoolExecutor(4) as threads:
        for answer in pull._as_answered(threads, ask, range(20)):
            taken.append(answer)
            sleep(0.005)
            assert begun <= len(taken) + pull.LISTINGS_PER_PIECE

    assert list(range(20)) == sorted(taken)
