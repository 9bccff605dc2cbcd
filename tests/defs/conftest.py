"""Definitions on a whole simulated house, and a Dagster instance for them."""

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from channel_sync.defs import assemble
from channel_sync.defs.partitions import ACCOUNTS, accounts_of
from tests.house import House


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    """A Dagster instance of this test's own; on disk, since a schedule's context opens it again by reference."""
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        yield instance


@pytest.fixture
def definitions(house: House, instance: dg.DagsterInstance) -> dg.Definitions:
    """Everything that is defined, on the house's engine, with the portfolio's partitions added."""
    channels = [
        ("airbnb-demo", house.engine.declarations["airbnb"]),
        ("feeds-demo", house.engine.declarations["ical"]),
    ]
    for subject, definition in ACCOUNTS.items():
        instance.add_dynamic_partitions(str(definition.name), accounts_of(subject, channels))
    return assemble.definitions(house.engine)
