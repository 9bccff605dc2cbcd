"""The environment is read once, checked, and never shown."""

from pathlib import Path

import pytest

from adapters.errors import ConfigurationError
from channel_sync import config

_PASSWORD = "hunter2"
_URL = f"postgresql://house:{_PASSWORD}@db.example:5432/rentals"


def test_nothing_set_is_off_and_embedded(tmp_path: Path) -> None:
    """Without any setting the channel manager is off and the embedded server is meant."""
    settings = config.load({"CHANNEL_SYNC_STATE_DIR": str(tmp_path)})

    assert not settings.enabled
    assert settings.embedded
    assert settings.database_url is None
    assert settings.sandbox_url is None
    assert settings.ui_port == 3000


def test_the_state_folder_is_in_the_checkout() -> None:
    """State goes to .channel_sync beside pyproject.toml, an absolute path."""
    state_dir = config.load({}).state_dir

    assert state_dir.is_absolute()
    assert state_dir == config.project_root() / ".channel_sync"
    assert (config.project_root() / "pyproject.toml").is_file()


@pytest.mark.parametrize(
    ("value", "enabled"),
    [
        ("true", True),
        ("TRUE", True),
        ("1", True),
        ("yes", True),
        (" on ", True),
        ("false", False),
        ("0", False),
        ("No", False),
        ("off", False),
        ("", False),
    ],
)
def test_the_switch_takes_the_usual_words(value: str, enabled: bool) -> None:  # noqa: FBT001 - one column of the table
    """The switch understands true, 1, yes, on and their opposites in any case."""
    assert config.load({"CHANNEL_MANAGER_ENABLED": value}).enabled is enabled


@pytest.mark.parametrize(
    ("variable", "value", "mend"),
    [
        ("CHANNEL_MANAGER_ENABLED", "ture", "set it to true or false"),
        ("CHANNEL_SYNC_UI_PORT", "http", "port from 1 to 65535"),
        ("CHANNEL_SYNC_UI_PORT", "65536", "port from 1 to 65535"),
        ("CHANNEL_SYNC_UI_PORT", "-1", "port from 1 to 65535"),
        ("CHANNEL_SYNC_SANDBOX_URL", "localhost:8600", "set it to a URL"),
        ("CHANNEL_SYNC_WEBHOOK_PORT", "65536", "port from 1 to 65535"),
        ("CHANNEL_SYNC_WEBHOOK_PUBLIC_URL", "hooks.example.com", "set it to a URL"),
        ("CHANNEL_SYNC_WEBHOOK_TRUSTED_PROXIES", "10.0.0.1/8", "addresses or networks such as 10.0.0.0/8"),
        ("CHANNEL_SYNC_WEBHOOK_TRUSTED_PROXIES", "proxy.example.com", "addresses or networks"),
    ],
)
def test_a_bad_setting_names_itself_and_its_mend(variable: str, value: str, mend: str) -> None:
    """An error names the variable, the value and what to write instead."""
    with pytest.raises(ConfigurationError, match=mend) as caught:
        config.load({variable: value})

    assert variable in str(caught.value)
    assert repr(value) in str(caught.value)


def test_where_webhooks_arrive() -> None:
    """Port 8700 and nobody's word believed unless told otherwise; proxies by address or network."""
    bare = config.load({})
    assert (8700, None, ()) == (bare.webhook_port, bare.webhook_public_url, bare.webhook_trusted_proxies)
    told = config.load(
        {
            "CHANNEL_SYNC_WEBHOOK_PORT": "0",
            "CHANNEL_SYNC_WEBHOOK_PUBLIC_URL": "https://hooks.example.com/cs/",
            "CHANNEL_SYNC_WEBHOOK_TRUSTED_PROXIES": "10.0.0.0/8, 192.0.2.1,, 2001:db8::/32",
        }
    )
    assert (0, "https://hooks.example.com/cs") == (told.webhook_port, told.webhook_public_url)
    assert ["10.0.0.0/8", "192.0.2.1/32", "2001:db8::/32"] == list(map(str, told.webhook_trusted_proxies))


@pytest.mark.parametrize(
    "url",
    [
        f"mysql://house:{_PASSWORD}@db/rentals",
        f"house:{_PASSWORD}@db/rentals",
        f"postgresql://house:{_PASSWORD}@db",
        f"postgresql://house:{_PASSWORD}@db/",
        f"postgresql://[house:{_PASSWORD}@db/rentals",
        f"host=db password={_PASSWORD}",
    ],
)
@pytest.mark.parametrize("variable", ["CHANNEL_SYNC_DATABASE_URL", "CHANNEL_SYNC_DAGSTER_DATABASE_URL"])
def test_a_bad_database_url_is_not_shown(variable: str, url: str) -> None:
    """A database URL that cannot be used is refused by name, without its password."""
    with pytest.raises(ConfigurationError, match=variable) as caught:
        config.load({variable: url})

    assert _PASSWORD not in str(caught.value)


def test_no_repr_shows_a_password() -> None:
    """Settings can be logged."""
    settings = config.load(
        {"CHANNEL_SYNC_DATABASE_URL": _URL, "CHANNEL_SYNC_DAGSTER_DATABASE_URL": f"{_URL}_elsewhere"}
    )

    assert settings.database_url == _URL
    assert _PASSWORD not in repr(settings)


@pytest.mark.parametrize(
    ("url", "beside"),
    [
        (_URL, f"postgresql+psycopg2://house:{_PASSWORD}@db.example:5432/rentals_dagster"),
        (
            "postgres://db/rentals?sslmode=require",
            "postgresql+psycopg2://db/rentals_dagster?sslmode=require",
        ),
        (
            "postgresql:///rentals?host=/run/pg%20x",
            "postgresql+psycopg2:///rentals_dagster?host=/run/pg%20x",
        ),
    ],
)
def test_dagster_gets_a_database_beside(url: str, beside: str) -> None:
    """Dagster's database is on the same server under its own name, with the driver that it needs."""
    assert config.load({"CHANNEL_SYNC_DATABASE_URL": url}).dagster_database_url == beside


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+psycopg2"])
def test_dagsters_database_may_be_named(scheme: str) -> None:
    """A URL for Dagster is taken in each of its forms and gets the driver."""
    environ = {
        "CHANNEL_SYNC_DATABASE_URL": _URL,
        "CHANNEL_SYNC_DAGSTER_DATABASE_URL": f"{scheme}://elsewhere/runs",
    }

    assert config.load(environ).dagster_database_url == "postgresql+psycopg2://elsewhere/runs"


def test_the_running_embedded_server_is_found(tmp_path: Path) -> None:
    """Whoever works in the checkout finds the database that `up` has started."""
    url = "postgresql://postgres@/channel_sync?host=/somewhere"
    config.database_url_file(tmp_path).write_text(f"{url}\n")

    settings = config.load({"CHANNEL_SYNC_STATE_DIR": str(tmp_path)})

    assert settings.embedded
    assert settings.database_url == url
    assert settings.need_database() == url


def test_no_database_says_how_to_get_one(tmp_path: Path) -> None:
    """Without a database the error names both ways to one."""
    settings = config.load({"CHANNEL_SYNC_STATE_DIR": str(tmp_path)})

    with pytest.raises(ConfigurationError, match=r"channel-sync up.*CHANNEL_SYNC_DATABASE_URL"):
        settings.need_database()


def test_the_environment_is_the_processs_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no environment is handed in, the process's own is read."""
    monkeypatch.setenv("CHANNEL_MANAGER_ENABLED", "yes")
    monkeypatch.setenv("HARBOUR_FEED_URL", "https://channel.example/secret.ics")
    secret = config.read_secret("HARBOUR_FEED_URL")

    assert config.load().enabled
    assert secret is not None
    assert secret.reveal() == "https://channel.example/secret.ics"
    assert "secret.ics" not in f"{secret} {secret!r}"


def test_an_empty_secret_is_none() -> None:
    """A secret that is not set and one that is set to nothing are the same."""
    assert config.read_secret("NOWHERE", {}) is None
    assert config.read_secret("EMPTY", {"EMPTY": ""}) is None
