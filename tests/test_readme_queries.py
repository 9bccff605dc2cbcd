"""The README's queries run as they are printed, and find something."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from channel_sync.storage.database import Database, with_database
from channel_sync.storage.embedded import EmbeddedServer
from channel_sync.storage.migrate import migrate
from tests.analytics_rows import seed

README = Path(__file__).parent.parent / "README.md"


def _blocks(language: str) -> list[str]:
    """The code blocks of this language between the markers of the section "Query the tables"."""
    text = README.read_text(encoding="utf-8")
    section = re.search(r"<!-- queries -->(.*?)<!-- /queries -->", text, re.DOTALL)
    assert section, "README.md has no <!-- queries --> ... <!-- /queries --> section"
    return re.findall(rf"^```{language}\n(.*?)^```$", section[1], re.DOTALL | re.MULTILINE)


@pytest.fixture(scope="module")
def seeded(postgres: EmbeddedServer) -> Iterator[Database]:
    """A database with a small portfolio in it."""
    url = with_database(postgres.url, "queries_of_readme")
    migrate(url)
    seed(Database(url), datetime.now(UTC).date())
    yield Database(url)
    with Database(postgres.url).connect(autocommit=True) as connection:
        connection.execute("DROP DATABASE queries_of_readme WITH (FORCE)")


def test_every_query_of_the_readme_finds_rows_for_an_analyst(seeded: Database) -> None:
    """Each SQL block is one statement that the analysts' role may run and that finds rows."""
    queries = _blocks("sql")

    assert len(queries) >= 3
    for query in queries:
        with seeded.connect() as connection:
            connection.execute("SET LOCAL ROLE channel_sync_analyst")
            assert len(connection.execute(query.encode()).fetchall()) > 0


def test_every_python_block_of_the_readme_runs(
    seeded: Database, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each Python block runs by itself against the database of the environment, and prints rows."""
    blocks = _blocks("python")
    monkeypatch.setenv("CHANNEL_SYNC_DATABASE_URL", seeded.url)

    assert len(blocks) >= 1
    for block in blocks:
        exec(compile(block, str(README), "exec"), {"__name__": "readme"})  # noqa: S102 - our own README
        assert "harbour-house" in capsys.readouterr().out
