"""The command as its users meet it: exit codes, one-line errors, real tables."""

import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from adapters.model import ONE_DAY
from channel_sync.cli import main
from channel_sync.storage.database import Database

_PORTFOLIO = """
properties:
  - code: harbour-house
    name: Harbour House
    time_zone: Europe/Lisbon
    currency: EUR
    unit_types:
      - {code: studio, name: Studio, units: [S1]}
channel_accounts:
  - code: feeds
    channel: ical
    listings:
      - listing_id: harbour-studio
        unit_type: harbour-house/studio
        secrets: {feed_url: HARBOUR_STUDIO_FEED_URL}
"""
_TODAY = datetime.now(UTC).date()


@pytest.fixture
def portfolio(tmp_path: Path) -> Path:
    """A portfolio of one listing on one feed."""
    file = tmp_path / "portfolio.yaml"
    file.write_text(_PORTFOLIO)
    return file


@pytest.fixture
def on_database(database: Database, monkeypatch: pytest.MonkeyPatch) -> Database:
    """The database that the commands work on."""
    monkeypatch.setenv("CHANNEL_SYNC_DATABASE_URL", database.url)
    return database


@pytest.fixture
def held(on_database: Database, portfolio: Path) -> Database:
    """A listing of which two nights are held: one gone from its feed, one that was in a mass."""
    assert main(["portfolio", "apply", str(portfolio)]) == 0
    since = datetime.now(UTC) - timedelta(hours=1)
    with on_database.connect() as connection:
        connection.execute(
            "INSERT INTO listing_state SELECT listing_id, 'availability', %s, 3600, %s, 'x' FROM listing",
            [since, _TODAY + 30 * ONE_DAY],
        )
        for night, reason, release_at_s in (
            (_TODAY + 7 * ONE_DAY, "absent", 7200),
            (_TODAY + 8 * ONE_DAY, "mass_absent", 90000),
        ):
            connection.execute(
                "INSERT INTO channel_availability SELECT listing_id, %s, 0, 'booked', 'uid', %s, %s, %s, 0 FROM listing",
                [night, since, release_at_s, reason],
            )
    return on_database


def _approved(database: Database) -> list[tuple[bool]]:
    with database.connect() as connection:
        return connection.execute("SELECT release_approved FROM listing_state").fetchall()


def test_help_loads_nothing_heavy() -> None:
    """--help imports no channel, no Dagster and no database driver."""
    heavy = (
        "adapters.factory",
        "adapters.ical",
        "adapters.airbnb",
        "dagster",
        "psycopg",
        "httpx",
        "pydantic",
    )
    script = (
        "import sys\nfrom channel_sync.cli import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit as end:\n    assert end.code == 0\n"
        f"print([name for name in {heavy!r} if name in sys.modules], file=sys.stderr)"
    )
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert ended.stderr == "[]\n"
    assert all(
        f"\n    {command} " in ended.stdout for command in ("up", "down", "migrate", "status", "release")
    )


def test_wrong_usage_exits_with_2(capsys: pytest.CaptureFixture[str]) -> None:
    """An unknown command is a matter of usage."""
    with pytest.raises(SystemExit) as caught:
        main(["fly"])

    assert caught.value.code == 2
    assert "invalid choice: 'fly'" in capsys.readouterr().err


@pytest.mark.parametrize(
    "command", [["status"], ["holds"], ["migrate"], ["release", "feeds/harbour-studio"], ["unblock", "a"]]
)
def test_without_a_database_one_line_says_so(
    command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A command that finds no database ends with 1 and one line."""
    monkeypatch.setenv("CHANNEL_SYNC_STATE_DIR", str(tmp_path))

    assert main(command) == 1
    assert capsys.readouterr().err == (
        "channel-sync: no database: start the embedded one with `channel-sync up`, "
        "or set CHANNEL_SYNC_DATABASE_URL\n"
    )


def test_an_unreachable_database_shows_no_traceback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A server that is not there is told without a traceback and without the password."""
    monkeypatch.setenv("CHANNEL_SYNC_DATABASE_URL", f"postgresql://house:hunter2@/rentals?host={tmp_path}")

    assert main(["status"]) == 1

    said = capsys.readouterr().err
    assert said.startswith("channel-sync: ")
    assert "Traceback" not in said
    assert "hunter2" not in said


def test_migrating_makes_both_databases(
    database: Database, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    """One command on an empty server makes the product's database and Dagster's beside it; twice is once."""
    name = f"{database.name}_other"
    url = database.url.replace(f"/{database.name}?", f"/{name}?")
    monkeypatch.setenv("CHANNEL_SYNC_DATABASE_URL", url)

    def drop() -> None:
        with database.connect(autocommit=True) as connection:
            connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
            connection.execute(f"DROP DATABASE IF EXISTS {name}_dagster WITH (FORCE)")

    request.addfinalizer(drop)

    assert main(["migrate"]) == 0
    assert main(["migrate"]) == 0

    with database.connect() as connection:
        names = connection.execute(
            "SELECT datname FROM pg_database WHERE datname LIKE %s ORDER BY 1", [f"{name}%"]
        ).fetchall()
    assert names == [(name,), (f"{name}_dagster",)]


def test_a_portfolio_is_applied_once(
    on_database: Database, portfolio: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Applying says what was added; applying again adds nothing."""
    assert main(["portfolio", "apply", str(portfolio)]) == 0
    first = capsys.readouterr().out
    assert main(["portfolio", "apply", str(portfolio)]) == 0

    assert "feeds/harbour-studio" in first
    assert "feeds/harbour-studio" not in capsys.readouterr().out
    with on_database.connect() as connection:
        assert connection.execute("SELECT external_id FROM listing").fetchall() == [("harbour-studio",)]


def test_a_bad_portfolio_changes_nothing(
    on_database: Database, portfolio: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A portfolio with a flaw is refused with the flaw's place, and no table is touched."""
    portfolio.write_text(_PORTFOLIO.replace("Europe/Lisbon", "Europe/Atlantis"))

    assert main(["portfolio", "apply", str(portfolio)]) == 1

    said = capsys.readouterr().err
    assert "portfolio.yaml" in said
    assert "time_zone" in said
    with on_database.connect() as connection:
        assert connection.execute("SELECT count(*) FROM property").fetchone() == (0,)


def test_status_shows_every_listing(held: Database, capsys: pytest.CaptureFixture[str]) -> None:
    """The status has a line per listing and subject with what is held."""
    capsys.readouterr()

    assert main(["status"]) == 0

    listings, *more = capsys.readouterr().out.split("\n\n")
    heading, line = listings.splitlines()
    assert heading.split() == [
        "LISTING",
        "SUBJECT",
        "ENABLED",
        "LAST",
        "SUCCESS",
        "LAST",
        "PULL",
        "ERROR",
        "HELD",
    ]
    assert line.split(maxsplit=3)[:3] == ["feeds/harbour-studio", "availability", "yes"]
    assert line.endswith("2")
    assert "1 h 00 min ago" in line
    assert held.name
    assert "\n".join(more).splitlines() == [
        "no booking waits to be acknowledged",
        "no circuit has been used yet",
        "no quota has been used yet",
        "no channel has asked to wait yet",
        "no call in the last hour",
    ]


def test_status_shows_what_is_not_acknowledged(held: Database, capsys: pytest.CaptureFixture[str]) -> None:
    """How many versions wait for each account, until when the first of them, and how often that was tried."""
    with held.connect() as connection:
        connection.execute(
            """
            INSERT INTO booking_receipt
                (channel_account_id, reference, booking_external_id, received_at, due_at, verdict, attempts)
            SELECT channel_account_id, reference, 'R', now(), due_at::timestamptz, verdict, 3 FROM channel_account, (VALUES
                ('a token', '2026-03-10 10:00Z', NULL), ('b', '2026-03-10 09:30Z', NULL), ('c', '2026-03-10 09:00Z', 'rejected')
            ) AS receipt (reference, due_at, verdict)
            """
        )
    capsys.readouterr()

    assert main(["status"]) == 0

    said = capsys.readouterr().out
    _, waiting, *_ = (part.splitlines() for part in said.split("\n\n"))
    assert [line.split() for line in waiting] == [
        ["NOT", "ACKNOWLEDGED", "BOOKINGS", "FIRST", "IS", "DUE", "ATTEMPTS"],
        ["feeds", "2", "2026-03-10", "09:30", "UTC", "3"],
    ]
    assert "token" not in said


@pytest.fixture
def holding_back(on_database: Database) -> Database:
    """A circuit that is open, one that is closed, a quota under a penalty, a host that once had one, some calls."""
    with on_database.connect() as connection:
        connection.execute(
            """
            INSERT INTO circuit_breaker_state
                (key, state, opened_at, open_until, closed_at, trips, last_error, window_started_at)
            SELECT key, state, now - interval '10 minutes', now + interval '90 seconds', closed_at, trips, error, now
            FROM (SELECT clock_timestamp() AS now) AS clock, (VALUES
                ('airbnb/api.airbnb.com', 'open', NULL::timestamptz, 3, 'ConnectError'),
                ('ical/feeds.example', 'closed', NULL, 0, NULL)
            ) AS circuit (key, state, closed_at, trips, error);
            INSERT INTO rate_limit_state
                (key, limits, windows_us, intervals_us, slacks_us, tats_us, blocked_until_us, penalties, penalized_at, granted)
            SELECT key, limits, windows, intervals, slacks, tats, CASE WHEN blocked THEN now_us + 45000000 ELSE 0 END,
                penalties, clock_timestamp() - interval '5 minutes', granted
            FROM (SELECT (extract(epoch FROM clock_timestamp()) * 1e6)::bigint AS now_us) AS clock, (VALUES
                ('airbnb/api.airbnb.com/account/north', '{2000,10000}'::int[], '{10000000,3600000000}'::bigint[],
                    '{5000,360000}'::bigint[], '{0,0}'::bigint[], '{0,0}'::bigint[], true, 2, 12345),
                ('ical/feeds.example', '{}', '{}', '{}', '{}', '{}', false, 1, 7)
            ) AS quota (key, limits, windows, intervals, slacks, tats, blocked, penalties, granted);
            INSERT INTO api_call
                (minute, account, endpoint, outcome, calls, waited_s, longest_wait_s, took_s, longest_s)
            SELECT clock_timestamp() - age, 'north', 'calendars', outcome, calls, 10, 1.4, 5, 1 FROM (VALUES
                (interval '5 minutes', '200', 1200), ('5 minutes', '503', 4), ('5 minutes', 'ReadTimeout', 1),
                ('5 minutes', '429', 2), ('5 minutes', 'refused: circuit open', 30), ('2 hours', '500', 99)
            ) AS call (age, outcome, calls);
            """
        )
    return on_database


def test_status_shows_what_holds_calls_back(
    holding_back: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    """Circuits, quotas, penalties and the last hour's calls, each with what an operator has to know."""
    assert main(["status"]) == 0

    said = capsys.readouterr().out
    _, _, circuits, quotas, penalties, calls = (
        [line.split() for line in part.splitlines()] for part in said.split("\n\n")
    )
    assert circuits[1][:4] == ["airbnb/api.airbnb.com", "open", "10", "min"]
    assert " ".join(circuits[1][4:]) in {"in 90 s 3 ConnectError", "in 89 s 3 ConnectError"}
    assert circuits[2] == ["ical/feeds.example", "closed", "-", "-", "0", "-"]
    assert " ".join(quotas[1]) in {
        f"airbnb/api.airbnb.com/account/north 2,000 in 10 s, 10,000 in 1 h in {left} s 12,345"
        for left in range(30, 46)
    }
    assert len(quotas) == 2
    assert penalties[1][0] == "airbnb/api.airbnb.com/account/north"
    assert penalties[1][-4:] == ["2", "5", "min", "ago"]
    assert penalties[2] == ["ical/feeds.example", "-", "1", "5", "min", "ago"]
    assert calls[1:] == [["north", "calendars", "1,207", "5", "2", "30", "50", "s", "1", "s"]]
    assert holding_back.name


def test_a_person_can_let_calls_through(holding_back: Database, capsys: pytest.CaptureFixture[str]) -> None:
    """A circuit is closed and a penalty lifted, each by its key; permits handed out before stay good."""

    def state() -> list[tuple[object, ...]]:
        with holding_back.connect() as connection:
            return connection.execute(
                "SELECT state, trips, blocked_until_us, penalties, generation"
                " FROM circuit_breaker_state, rate_limit_state"
                " WHERE circuit_breaker_state.key = 'airbnb/api.airbnb.com' AND limits <> '{}'"
            ).fetchall()

    assert main(["unblock", "airbnb/api.airbnb.com"]) == 0
    assert capsys.readouterr().out == (
        "circuit airbnb/api.airbnb.com: was open, is closed: calls are let through\n"
    )
    assert main(["unblock", "airbnb/api.airbnb.com/account/north"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("quota airbnb/api.airbnb.com/account/north: the 4")
    assert said.endswith(" s left of its penalty are lifted\n")
    assert state() == [("closed", 0, 0, 2, 0)]

    assert main(["unblock", "ical/feeds.example"]) == 0
    assert capsys.readouterr().out == (
        "circuit ical/feeds.example: was closed already\nquota ical/feeds.example: was not blocked\n"
    )


def test_unblocking_what_is_not_there_names_what_is_blocked(
    holding_back: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    """A key that is nobody's ends with 1, and the line says under which keys calls are held back."""
    assert main(["unblock", "airbnb/elsewhere"]) == 1
    assert capsys.readouterr().err == (
        "channel-sync: no circuit and no quota has the key 'airbnb/elsewhere': calls are held back under "
        "airbnb/api.airbnb.com, airbnb/api.airbnb.com/account/north\n"
    )
    with holding_back.connect() as connection:
        connection.execute("TRUNCATE circuit_breaker_state, rate_limit_state")

    assert main(["unblock", "airbnb/elsewhere"]) == 1
    assert "no calls are held back at all" in capsys.readouterr().err


def test_holds_say_why_and_how_long(held: Database, capsys: pytest.CaptureFixture[str]) -> None:
    """What is held is listed by reason, with the time of the feed's own clock that is left."""
    capsys.readouterr()

    assert main(["holds"]) == 0

    _, absent, mass = capsys.readouterr().out.splitlines()
    assert "absent" in absent
    assert f"1 from {_TODAY + 7 * ONE_DAY}" in absent
    assert absent.endswith("1 h 00 min seen")
    assert "mass_absent" in mass
    assert mass.endswith("24 h 00 min seen")
    assert _approved(held) == [(False,)]


def test_a_release_is_approved_and_told(held: Database, capsys: pytest.CaptureFixture[str]) -> None:
    """A release approves what is held and says which nights the next pull will open."""
    capsys.readouterr()

    assert main(["release", "feeds/harbour-studio"]) == 0

    said = capsys.readouterr().out
    first: date = _TODAY + 7 * ONE_DAY
    assert f"[{first}, {first + 2 * ONE_DAY})" in said
    assert "these 2 nights" in said
    assert _approved(held) == [(True,)]

    assert main(["holds"]) == 0
    assert capsys.readouterr().out.count("the next pull") == 2


@pytest.mark.parametrize(
    ("listing", "said"),
    [
        ("feeds/elsewhere", "no night of feeds/elsewhere is held"),
        ("other/harbour-studio", "no night of other/harbour-studio is held"),
        ("harbour-studio", "'harbour-studio' names no listing: write ACCOUNT/LISTING"),
    ],
)
def test_a_release_of_nothing_is_an_error(
    held: Database, listing: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Releasing what is not held ends with 1 and approves nothing."""
    assert main(["release", listing]) == 1
    assert said in capsys.readouterr().err
    assert _approved(held) == [(False,)]


def test_nothing_held_approves_nothing_for_later(held: Database, capsys: pytest.CaptureFixture[str]) -> None:
    """Without held nights there is no approval that a later pull could use."""
    with held.connect() as connection:
        connection.execute("DELETE FROM channel_availability")

    assert main(["release", "feeds/harbour-studio"]) == 1
    assert "is held" in capsys.readouterr().err
    assert _approved(held) == [(False,)]


def test_down_without_a_stack_does_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where nothing was ever started, `down` says so and makes no folder."""
    monkeypatch.setenv("CHANNEL_SYNC_STATE_DIR", str(tmp_path / "state"))

    assert main(["down"]) == 0
    assert "nothing runs" in capsys.readouterr().out
    assert not list(tmp_path.iterdir())
