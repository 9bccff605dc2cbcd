"""The house's own systems in the portfolio: accounts that deliver and are never asked."""

from pathlib import Path

import pytest

from channel_sync import bootstrap
from channel_sync.defs.partitions import CAPABILITY, accounts_of
from channel_sync.portfolio.document import PortfolioError
from channel_sync.portfolio.loading import load

PORTFOLIO = """
properties:
  - code: harbour-house
    name: Harbour House
    time_zone: Europe/Lisbon
    currency: EUR
    unit_types: [{code: studio, name: Studio, units: 1}]
channel_accounts:
  - code: website
    channel: house
    secrets: {SECRETS}
    listings: [{listing_id: studio, unit_type: harbour-house/studio}]
"""


def portfolio(folder: Path, secrets: str) -> Path:
    """The file with these secrets."""
    file = folder / "portfolio.yaml"
    file.write_text(PORTFOLIO.replace("SECRETS", secrets))
    return file


def test_a_website_is_an_account_that_is_never_pulled(tmp_path: Path) -> None:
    """It loads like any other, and no subject's schedules know it."""
    declarations = bootstrap.declarations()
    (account,) = load(portfolio(tmp_path, "webhook_secret: WEBSITE_SECRET"), declarations).channel_accounts
    known = [(account.code, declarations[account.channel])]
    assert "website" == account.code
    assert [[]] * len(CAPABILITY) == [accounts_of(subject, known) for subject in CAPABILITY]


def test_without_its_secret_it_is_refused(tmp_path: Path) -> None:
    """Nothing could ever be verified: said when the portfolio is read, not when the first booking is turned away."""
    with pytest.raises(PortfolioError, match="webhook_secret: is missing"):
        load(portfolio(tmp_path, ""), bootstrap.declarations())
