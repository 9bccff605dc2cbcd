"""The portfolio file: what is accepted, and how every flaw is named at once."""

from pathlib import Path

import pytest

from adapters.base_adapter import Declaration
from adapters.errors import ConfigurationError
from adapters.model import Evidence
from channel_sync.portfolio.document import PortfolioError
from channel_sync.portfolio.loading import load

CHANNELS = {
    "airbnb": Declaration(
        name="airbnb",
        title="Airbnb",
        capabilities=frozenset(),
        evidence=Evidence.EXPLICIT,
        horizon_days=730,
        base_urls={"production": "https://api.example.com"},
        account_secrets=frozenset({"client_id", "client_secret"}),
    ),
    "ical": Declaration(
        name="ical",
        title="iCal feed",
        capabilities=frozenset(),
        evidence=Evidence.ABSENCE,
        horizon_days=730,
        listing_secrets=frozenset({"feed_url"}),
    ),
}

GOOD = """\
properties:
  - code: harbour-house
    name: Harbour House
    time_zone: Europe/Lisbon
    currency: EUR
    unit_types:
      - code: studio
        name: Studio
        units: [S1, S2]
        rate_plans: [{code: standard, name: Standard}]
      - code: loft
        name: Loft
        units: 3
channel_accounts:
  - code: airbnb-demo
    channel: airbnb
    environment: sandbox
    settings: {user_id: "7000001"}
    secrets: {client_id: DEMO_CLIENT_ID, client_secret: DEMO_CLIENT_SECRET}
    listings:
      - listing_id: "1001"
        unit_type: harbour-house/studio
        rate_plan: standard
  - code: feeds-demo
    channel: ical
    listings:
      - listing_id: harbour-loft-vrbo
        unit_type: harbour-house/loft
        patience_hours: 0.5
        secrets: {feed_url: HARBOUR_LOFT_VRBO_FEED_URL}
"""


def _refusal(folder: Path, text: str | bytes) -> tuple[str, ...]:
    """What is said about a file that is refused, without the folder's name."""
    file = folder / "portfolio.yaml"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(PortfolioError) as refused:
        load(file, CHANNELS)
    return tuple(line.removeprefix(f"{folder}/") for line in refused.value.errors)


def test_a_good_file_is_read_whole(tmp_path: Path) -> None:
    """Every value of the file is in the portfolio, with the documented defaults."""
    file = tmp_path / "portfolio.yaml"
    file.write_text(GOOD)
    portfolio = load(file, CHANNELS)

    (place,) = portfolio.properties
    airbnb, feeds = portfolio.channel_accounts

    assert (place.code, place.time_zone, place.currency) == ("harbour-house", "Europe/Lisbon", "EUR")
    assert [kind.units for kind in place.unit_types] == [("S1", "S2"), ("1", "2", "3")]
    assert (airbnb.environment, airbnb.enabled, airbnb.settings) == ("sandbox", True, {"user_id": "7000001"})
    assert (airbnb.listings[0].rate_plan, airbnb.listings[0].patience_hours) == ("standard", 2)
    assert feeds.environment == "production"
    assert feeds.listings[0].rate_plan is None
    assert feeds.listings[0].patience_hours == 0.5
    assert feeds.listings[0].secrets == {"feed_url": "HARBOUR_LOFT_VRBO_FEED_URL"}


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("code: harbour-house", "code: harbour house", ":2: properties[0].code: is not a code"),
        ("    name: Harbour House\n", "", ":2: properties[0].name: is missing: add it"),
        ("name: Studio", "name: 12", ":8: properties[0].unit_types[0].name: is not text: put it in quotes"),
        ("name: Studio", "name: ' '", ":8: properties[0].unit_types[0].name: is empty"),
        ("name: Studio", "name:", ":8: properties[0].unit_types[0].name: has no value"),
        ("Europe/Lisbon", "Europe/Lisboa", ":4: properties[0].time_zone: is not an IANA time zone: did you mean"),
        ("Europe/Lisbon", "WET", ":4: properties[0].time_zone: is not an IANA time zone: write one such as"),
        ("currency: EUR", "currency: eur", ":5: properties[0].currency: is not an ISO 4217 currency"),
        ("[S1, S2]", "[S1, S1]", ":9: properties[0].unit_types[0].units: has the unit 'S1' twice"),
        ("[S1, S2]", "[101]", ":9: properties[0].unit_types[0].units[0]: is not text: put it in quotes"),
        ("[S1, S2]", "[]", ":9: properties[0].unit_types[0].units: is an empty list"),
        ("[S1, S2]", "0", ":9: properties[0].unit_types[0].units: is not a number of units from 1"),
        ("code: loft", "code: studio", ":11: properties[0].unit_types[1].code: 'studio' is taken by an entry above"),
        ("code: feeds-demo", "code: airbnb-demo", ":24: channel_accounts[1].code: 'airbnb-demo' is taken"),
        ("channel: airbnb", "channel: airbmb", ":16: channel_accounts[0].channel: there is no channel 'airbmb': did you mean 'airbnb'?"),
        ("environment: sandbox", "environment: staging", ":17: channel_accounts[0].environment: Airbnb has no environment 'staging': there is production, sandbox"),
        ("client_id: DEMO_CLIENT_ID, ", "", ":19: channel_accounts[0].secrets.client_id: is missing: add it with the name"),
        ("        secrets: {feed_url: HARBOUR_LOFT_VRBO_FEED_URL}\n", "", ":27: channel_accounts[1].listings[0].secrets.feed_url: is missing"),
        ('user_id: "7000001"', "user_id: 7000001", ":18: channel_accounts[0].settings.user_id: is not text: put it in quotes"),
        ("harbour-house/studio", "harbour-house/studo", ":22: channel_accounts[0].listings[0].unit_type: no property has the unit type 'harbour-house/studo': did you mean 'harbour-house/studio'?"),
        ("harbour-house/studio", "studio", ":22: channel_accounts[0].listings[0].unit_type: does not name a unit type: write property/unit_type"),
        ("rate_plan: standard", "rate_plan: flexible", ":23: channel_accounts[0].listings[0].rate_plan: harbour-house/studio has no rate plan 'flexible': there is standard"),
        ("patience_hours: 0.5", "patience_hours: 169", ":29: channel_accounts[1].listings[0].patience_hours: is out of range"),
        ("patience_hours: 0.5", "patience_hours: -1", ":29: channel_accounts[1].listings[0].patience_hours: is out of range"),
        ("patience_hours: 0.5", "patience_hours: .nan", ":29: channel_accounts[1].listings[0].patience_hours: is out of range"),
        ("patience_hours: 0.5", "patience: 1", ":29: channel_accounts[1].listings[0].patience: is no key of a portfolio here: remove it or mend it (did you mean 'patience_hours'?)"),
        ("    channel: ical", "    channel: ical\n    enabled: perhaps", ":26: channel_accounts[1].enabled: is neither true nor false"),
        ("  - code: feeds-demo", "  - code: feeds-demo\n    code: feeds", ":24: channel_accounts[1].code: stands here twice (line 24 and 25)"),
    ],
)  # fmt: skip
def test_a_flaw_is_named_with_line_way_and_mend(tmp_path: Path, before: str, after: str, said: str) -> None:
    """A flaw gives one line that says the file, the line, the way to the value and the mend."""
    assert before in GOOD
    lines = _refusal(tmp_path, GOOD.replace(before, after, 1))

    assert sum(line.startswith(f"portfolio.yaml{said}") for line in lines) == 1


@pytest.mark.parametrize(
    ("quotas", "said"),
    [
        ("{limit: 50}", "quotas: is not a list: begin each entry with '-'"),
        ("[{window_s: 1, per: ip}]", "quotas[0].limit: is missing: add it"),
        ("[{limit: 0, window_s: 1, per: ip}]", "quotas[0].limit: is not a number of calls: write a whole number from 1"),
        ("[{limit: 2.5, window_s: 1, per: ip}]", "quotas[0].limit: is not a number of calls"),
        ("[{limit: true, window_s: 1, per: ip}]", "quotas[0].limit: is not a number of calls"),
        ("[{limit: 50, window_s: 0, per: ip}]", "quotas[0].window_s: is not a window: write seconds from 0.1 to 2,678,400, such as 1 or 3600"),
        ("[{limit: 50, window_s: 1 min, per: ip}]", "quotas[0].window_s: is not a window"),
        ("[{limit: 50, window_s: .nan, per: ip}]", "quotas[0].window_s: is not a window"),
        ("[{limit: 50, window_s: true, per: ip}]", "quotas[0].window_s: is not a window"),
        ("[{limit: 50, window_s: 1, per: host}]", "quotas[0].per: is nothing that a channel counts calls by: write one of ip, account, property, listing, endpoint"),
        ("[{limit: 50, window_s: 1, per: [ip]}]", "quotas[0].per: is nothing that a channel counts calls by"),
        ("[{limit: 50, window_s: 1, per: ip, burst: 51}]", "quotas[0]: has a burst above its limit: lower the burst"),
        ("[{limit: 50, window_s: 1, per: ip, endpoints: [Calendars/1]}]", "quotas[0].endpoints: are not names of endpoints"),
        ("[{limit: 50, window_s: 1, per: ip, endpoint: calendars}]", "quotas[0].endpoint: is no key of a portfolio here: remove it or mend it (did you mean 'endpoints'?)"),
        ("[{limit: 5, window_s: 1, per: ip}, {limit: 9, window_s: 1.0, per: ip}]", "quotas: counts the same calls in the same window twice: keep the lower limit"),
    ],
)  # fmt: skip
def test_a_flaw_of_a_quota_is_named(tmp_path: Path, quotas: str, said: str) -> None:
    """A quota that cannot be kept, or is not one, is refused with the mend."""
    (line,) = _refusal(
        tmp_path, GOOD.replace("    channel: ical\n", f"    channel: ical\n    quotas: {quotas}\n")
    )

    assert line.startswith(f"portfolio.yaml:26: channel_accounts[1].{said}")


def test_an_account_may_have_quotas_of_its_own(tmp_path: Path) -> None:
    """They are read as they stand, endpoints in one order; an account without any has none."""
    quotas = "[{limit: 50, window_s: 1, per: account, burst: 5, endpoints: [listings, calendars, listings]}]"
    file = tmp_path / "portfolio.yaml"
    file.write_text(GOOD.replace("    channel: ical\n", f"    channel: ical\n    quotas: {quotas}\n"))

    plain, own = load(file, CHANNELS).channel_accounts

    assert () == plain.quotas
    assert [
        {
            "limit": 50,
            "window_s": 1.0,
            "per": "account",
            "burst": 5,
            "endpoints": ["calendars", "listings"],
        }
    ] == [quota.model_dump(mode="json") for quota in own.quotas]


def test_all_flaws_are_named_at_once(tmp_path: Path) -> None:
    """Wrong shapes and wrong references are listed together, in the order of the file."""
    text = (
        GOOD.replace("Europe/Lisbon", "Mars/Olympus")
        .replace("harbour-house/studio", "harbour-house/attic")
        .replace("patience_hours: 0.5", "patience_hours: long")
    )

    assert [line.split(": ")[0] for line in _refusal(tmp_path, text)] == [
        "portfolio.yaml:4",
        "portfolio.yaml:22",
        "portfolio.yaml:29",
    ]


@pytest.mark.parametrize(
    "secret",
    [
        "https://www.airbnb.com/calendar/ical/1.ics?t=0123456789abcdef",
        "0123456789abcdef0123456789abcdef",
        "AKIAIOSFODNN7EXAMPLE",
        "S3cr3t-word",
        "*s3cr3t0123",
        "!s3cr3t0123 x",
    ],
)
@pytest.mark.parametrize(
    "place",
    [
        "secrets: {client_id: DEMO_CLIENT_ID, client_secret: %s}",
        "secrets: {client_id: DEMO_CLIENT_ID, client_secret: DEMO_CLIENT_SECRET, %s: DEMO}",
        "secrets: {%s: DEMO_CLIENT_ID}",
    ],
)
def test_a_secret_in_the_file_is_refused_and_not_repeated(tmp_path: Path, secret: str, place: str) -> None:
    """A value (or key) that is itself a secret is refused, and no message repeats it."""
    given = f"{secret}" if secret[0] in "*!" else f'"{secret}"'
    good = "secrets: {client_id: DEMO_CLIENT_ID, client_secret: DEMO_CLIENT_SECRET}"
    said = "\n".join(_refusal(tmp_path, GOOD.replace(good, place % given)))

    assert said.startswith("portfolio.yaml:19: ")
    assert secret.strip("*! x") not in said


def test_a_feed_address_as_listing_id_is_refused_and_not_repeated(tmp_path: Path) -> None:
    """The address of a feed is a secret wherever it stands."""
    said = _refusal(tmp_path, GOOD.replace("harbour-loft-vrbo", "https://example.com/x.ics?t=77712345"))

    assert len(said) == 1
    assert "77712345" not in said[0]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "portfolio.yaml:1: is empty"),
        (b"# nothing yet\n", "portfolio.yaml:1: is empty"),
        (b"[]", "portfolio.yaml:1: is not a group of keys"),
        (b"properties: [\n", "portfolio.yaml:2: is not YAML"),
        (b"properties: \x01\n", "portfolio.yaml:1: is not YAML"),
        (b"a: !!int x\n", "portfolio.yaml:1: is not YAML"),
        (b"a: !!python/object/apply:os.getcwd []\n", "portfolio.yaml:1: is not YAML"),
        (b"a: &a [*a]\n", "portfolio.yaml:1: is not YAML"),
        (b"a: " + b"[" * 5000, "portfolio.yaml:1: is not YAML"),
        (b"? [a]\n: b\n", "portfolio.yaml:1: is not YAML"),
        (b"properties: 1\n---\nproperties: 1\n", "portfolio.yaml:2: is not YAML"),
        (b"name: caf\xe9\n", "portfolio.yaml: is not text in UTF-8"),
    ],
)
def test_what_is_not_a_portfolio_is_refused(tmp_path: Path, content: bytes, said: str) -> None:
    """An empty file, one that is not YAML and one that is not text are refused in one sentence."""
    (line,) = _refusal(tmp_path, content)

    assert line.startswith(said)


def test_a_portfolio_without_properties_is_refused(tmp_path: Path) -> None:
    """A file whose list was emptied by accident does not retire everything."""
    said = _refusal(tmp_path, "properties: []\nchannel_accounts: []\n")

    assert said == ("portfolio.yaml:1: properties: is an empty list: add at least one entry",)


def test_a_missing_file_is_a_configuration_error(tmp_path: Path) -> None:
    """The path is named, and the error is one that ends a command in one line."""
    with pytest.raises(ConfigurationError, match=r"nowhere\.yaml: cannot be read .*: mend the path"):
        load(tmp_path / "nowhere.yaml", CHANNELS)


def test_dates_and_anchors_are_plain_yaml(tmp_path: Path) -> None:
    """A code that looks like a date is text, and an anchor saves writing something twice."""
    text = GOOD.replace("[S1, S2]", "&names [2026-02-30, S2]").replace("units: 3", "units: *names")
    file = tmp_path / "portfolio.yaml"
    file.write_text(text)
    kinds = load(file, CHANNELS).properties[0].unit_types

    assert [kind.units for kind in kinds] == [("2026-02-30", "S2")] * 2
