"""How a process that executes runs is set up."""

import gc
from collections.abc import Iterator

import pytest
from dagster import DagsterInstance

from channel_sync.defs import process


@pytest.fixture
def collecting() -> Iterator[None]:
    """A collector that looks at everything, before and after."""
    gc.unfreeze()
    process._pass_over_what_is_loaded.cache_clear()
    yield
    gc.unfreeze()
    process._pass_over_what_is_loaded.cache_clear()


@pytest.mark.usefixtures("collecting")
def test_what_is_loaded_is_passed_over_and_what_is_made_later_is_not() -> None:
    """The first run of a process takes what is loaded out of the collector's sight; a later one adds nothing to it."""
    with DagsterInstance.ephemeral() as instance:
        process.set_up(instance)
        passed_over = gc.get_freeze_count()
        assert passed_over > 50_000  # Dagster and the definitions
        made = [[number] for number in range(10_000)]
        process.set_up(instance)
    assert gc.get_freeze_count() <= passed_over
    assert any(one is made for one in gc.get_objects())
