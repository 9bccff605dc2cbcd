"""The environment, read once into one frozen, validated Settings. No other module reads it.

    CHANNEL_MANAGER_ENABLED           the switch: true, 1, yes, on / false, 0, no, off. Default: off
    CHANNEL_SYNC_DATABASE_URL         the database of this product. Default: the embedded server, while it runs
    CHANNEL_SYNC_DAGSTER_DATABASE_URL Dagster's own database. Default: beside the former, named with "_dagster"
    CHANNEL_SYNC_STATE_DIR            where data, logs and pid files go. Default: .channel_sync in the project
    CHANNEL_SYNC_SANDBOX_URL          the simulated channels, for accounts of environment "sandbox"
    CHANNEL_SYNC_UI_PORT              port of Dagster's pages on 127.0.0.1, 0 for a free one. Default: 3000
    CHANNEL_SYNC_WEBHOOK_PORT         port that takes the channels' webhooks, 0 for a free one. Default: 8700
    CHANNEL_SYNC_WEBHOOK_PUBLIC_URL   what channels address, where a proxy stands before that port: signatures are
                                      made over it. Default: the Host header as it arrives
    CHANNEL_SYNC_WEBHOOK_TRUSTED_PROXIES  addresses and networks (10.0.0.0/8), separated by commas, whose
                                      X-Forwarded-For is believed. Default: none

A variable that is set to nothing counts as not set. Secrets of channel accounts are variables too, under names
of the portfolio's choosing: ``read_secret``.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, urlsplit

# Switched off, Dagster loads this module and must load nothing of the adapters, not even their words.
if TYPE_CHECKING:
    from adapters.model import Secret

ENABLED = "CHANNEL_MANAGER_ENABLED"
DATABASE_URL = "CHANNEL_SYNC_DATABASE_URL"
DAGSTER_DATABASE_URL = "CHANNEL_SYNC_DAGSTER_DATABASE_URL"
STATE_DIR = "CHANNEL_SYNC_STATE_DIR"
SANDBOX_URL = "CHANNEL_SYNC_SANDBOX_URL"
UI_PORT = "CHANNEL_SYNC_UI_PORT"
WEBHOOK_PORT = "CHANNEL_SYNC_WEBHOOK_PORT"
WEBHOOK_PUBLIC_URL = "CHANNEL_SYNC_WEBHOOK_PUBLIC_URL"
WEBHOOK_TRUSTED_PROXIES = "CHANNEL_SYNC_WEBHOOK_TRUSTED_PROXIES"

DATABASE_NAME = "channel_sync"
DEFAULT_UI_PORT = 3000
DEFAULT_WEBHOOK_PORT = 8700

_CHECKOUT = Path(__file__).resolve().parent.parent
_YES = frozenset({"true", "1", "yes", "on"})
_NO = frozenset({"false", "0", "no", "off"})


@dataclass(frozen=True, slots=True)
class Settings:
    """What the environment says. URLs may hold passwords: ``repr`` does not show them.

    ``database_url`` is a libpq URL of the product's database, None where neither the environment nor a running
    embedded server gives one. ``embedded`` says that the environment names no server, so that the embedded one
    is meant. ``dagster_database_url`` is an SQLAlchemy URL. ``state_dir`` is absolute and may not exist yet.
    """

    enabled: bool
    embedded: bool
    database_url: str | None = field(repr=False)
    dagster_database_url: str | None = field(repr=False)
    state_dir: Path
    sandbox_url: str | None
    ui_port: int
    webhook_port: int
    webhook_public_url: str | None
    webhook_trusted_proxies: tuple[IPv4Network | IPv6Network, ...]

    def need_database(self) -> str:
        """The URL of the product's database. Raises ConfigurationError where there is none."""
        if self.database_url is None:
            raise _invalid(
                f"no database: start the embedded one with `channel-sync up`, or set {DATABASE_URL}"
            )
        return self.database_url


def load(environ: Mapping[str, str] | None = None) -> Settings:
    """Settings from ``environ``, by default the process's own. Raises ConfigurationError naming variable and mend."""
    environ = _environ() if environ is None else environ
    state_dir = Path(environ.get(STATE_DIR) or project_root() / ".channel_sync").expanduser().absolute()
    stated = environ.get(DATABASE_URL) or None
    database_url = stated or _running_embedded(state_dir)
    dagster_url = environ.get(DAGSTER_DATABASE_URL) or None
    if database_url is not None:
        _postgres_parts(DATABASE_URL, database_url)
    if dagster_url is not None:
        dagster_url = _psycopg2_url(_postgres_parts(DAGSTER_DATABASE_URL, dagster_url, "postgresql+psycopg2"))
    elif database_url is not None:
        dagster_url = dagster_url_beside(database_url)
    return Settings(
        enabled=_switch(environ, ENABLED),
        embedded=stated is None,
        database_url=database_url,
        dagster_database_url=dagster_url,
        state_dir=state_dir,
        sandbox_url=_http_url(environ, SANDBOX_URL),
        ui_port=_port(environ, UI_PORT, DEFAULT_UI_PORT),
        webhook_port=_port(environ, WEBHOOK_PORT, DEFAULT_WEBHOOK_PORT),
        webhook_public_url=_http_url(environ, WEBHOOK_PUBLIC_URL),
        webhook_trusted_proxies=_networks(environ, WEBHOOK_TRUSTED_PROXIES),
    )


def read_secret(name: str, environ: Mapping[str, str] | None = None) -> "Secret | None":
    """The secret in the environment variable ``name``, None where it is not set or empty."""
    from adapters.model import Secret  # noqa: PLC0415 - see TYPE_CHECKING above

    value = (_environ() if environ is None else environ).get(name)
    return Secret(value) if value else None


def child_environment(additions: Mapping[str, str]) -> dict[str, str]:
    """This process's environment with ``additions``, for a child process."""
    return {**_environ(), **additions}


def project_root() -> Path:
    """The checkout this module is in, or the working directory where it is installed without one."""
    return _CHECKOUT if (_CHECKOUT / "pyproject.toml").is_file() else Path.cwd()


def database_url_file(state_dir: Path) -> Path:
    """Where ``channel-sync up`` writes the URL of the embedded database while it runs."""
    return state_dir / "database.url"


def dagster_url_beside(database_url: str) -> str:
    """Dagster's own database on the same server: the same URL, the name with ``_dagster`` behind it."""
    parts = _postgres_parts(DATABASE_URL, database_url)
    return _psycopg2_url(parts._replace(path=f"/{dagster_database_name(database_url)}"))


def dagster_database_name(database_url: str) -> str:
    """What Dagster's own database is called where the environment does not name one."""
    return _postgres_parts(DATABASE_URL, database_url).path.removeprefix("/") + "_dagster"


def _invalid(message: str) -> Exception:
    """A ConfigurationError."""
    from adapters.errors import ConfigurationError  # noqa: PLC0415 - see TYPE_CHECKING above

    return ConfigurationError(message)


def _environ() -> Mapping[str, str]:
    return os.environ  # noqa: TID251 - here is the one place


def _running_embedded(state_dir: Path) -> str | None:
    try:
        return database_url_file(state_dir).read_text(encoding="utf-8").strip() or None
    except (FileNotFoundError, NotADirectoryError):
        return None


def _postgres_parts(variable: str, url: str, *more_schemes: str) -> SplitResult:
    # The message names the variable and never the value: it may hold a password.
    form = "write it as postgresql://user:password@host:5432/database"
    try:
        parts = urlsplit(url)
    except ValueError:
        raise _invalid(f"{variable} is not a URL: {form}") from None
    if parts.scheme not in ("postgresql", "postgres", *more_schemes):
        raise _invalid(f"{variable} is not the URL of a Postgres database: {form}")
    if len(parts.path) < len("/x") or "/" in parts.path[1:]:
        raise _invalid(f"{variable} names no database: {form}")
    return parts


def _psycopg2_url(parts: SplitResult) -> str:
    # Dagster speaks psycopg2. Since SQLAlchemy 2.1 a bare "postgresql://" means psycopg 3, with which Dagster's
    # storage answers "connection is closed". Not geturl(): it drops the "//" of a URL without a host.
    query = f"?{parts.query}" if parts.query else ""
    return f"postgresql+psycopg2://{parts.netloc}{parts.path}{query}"


def _switch(environ: Mapping[str, str], variable: str) -> bool:
    value = environ.get(variable, "").strip().lower()
    if value in _YES:
        return True
    if value in _NO or not value:
        return False
    raise _invalid(f"{variable} is {environ[variable]!r}: set it to true or false")


def _port(environ: Mapping[str, str], variable: str, default: int) -> int:
    value = environ.get(variable, "").strip()
    if not value:
        return default
    if not (value.isascii() and value.isdigit() and int(value) < 2**16):
        raise _invalid(f"{variable} is {value!r}: set it to a port from 1 to 65535, or 0 for a free one")
    return int(value)


def _http_url(environ: Mapping[str, str], variable: str) -> str | None:
    value = environ.get(variable, "").strip().rstrip("/")
    if value and not value.startswith(("http://", "https://")):
        raise _invalid(f"{variable} is {value!r}: set it to a URL such as http://127.0.0.1:8600")
    return value or None


def _networks(environ: Mapping[str, str], variable: str) -> tuple[IPv4Network | IPv6Network, ...]:
    named = [name.strip() for name in environ.get(variable, "").split(",") if name.strip()]
    try:
        return tuple(map(ip_network, named))
    except ValueError:
        raise _invalid(
            f"{variable} is {environ[variable]!r}: set it to addresses or networks such as 10.0.0.0/8, separated by commas"
        ) from None
