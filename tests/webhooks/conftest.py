"""The inn, with more room than any test asks for."""

from collections.abc import Iterator

import pytest

from channel_sync.storage.database import Database
from tests.webhooks.inn import Inn, add_accounts, open_inn


@pytest.fixture
def inn(database: Database) -> Iterator[Inn]:
    """A gateway that serves the inn's accounts."""
    add_accounts(database)
    with open_inn(database) as inn:
        yield inn
