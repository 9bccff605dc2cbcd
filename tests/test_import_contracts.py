"""The import contracts know every channel there is."""

import tomllib
from pathlib import Path

from adapters.factory import CHANNELS, WEBHOOKS


def test_every_channel_is_under_the_import_contracts() -> None:
    """A channel that is in a table is also in the contracts that keep channels apart."""
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = project["tool"]["importlinter"]["contracts"]
    channels = {f"adapters.{name}" for name in CHANNELS.keys() | WEBHOOKS.keys()}

    (apart,) = (contract for contract in contracts if contract["type"] == "independence")
    (hidden,) = (
        contract for contract in contracts if "adapters.factory" in contract.get("allowed_importers", ())
    )
    assert channels == set(apart["modules"])
    assert channels == set(hidden["protected_modules"])
