"""The command ``channel-sync``. Exit codes: 0 done, 1 could not be done (one line says why), 2 wrong usage.

What a command needs is imported when it runs, so that ``--help`` is quick and nothing is loaded needlessly.
"""

# ruff: noqa: PLC0415 - see above

import argparse
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from channel_sync import config


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return the exit code."""
    chosen = _parser().parse_args(arguments)
    try:
        chosen.command(chosen)
    except KeyboardInterrupt:
        return 1
    except BrokenPipeError:  # `channel-sync status | head`
        sys.stderr.close()
        return 1
    except Exception as error:
        if not _is_for_people(error):
            raise
        sys.stderr.write(f"channel-sync: {str(error).strip()}\n")
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="channel-sync", description="Keep a rental portfolio and its sales channels in agreement."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    up = commands.add_parser("up", help="start everything on this machine and stay until Ctrl-C")
    up.add_argument(
        "--portfolio", type=Path, metavar="FILE", help="apply this portfolio (default: the sample)"
    )
    up.add_argument("--no-sandbox", action="store_true", help="without the simulated channels")
    up.add_argument(
        "--no-worker", action="store_true", help="without the worker: it runs elsewhere, or not at all"
    )
    up.add_argument(
        "--port",
        type=int,
        metavar="N",
        help=f"port of Dagster's pages, 0 for a free one (default: {config.UI_PORT} or 3000)",
    )
    up.set_defaults(command=_up)

    down = commands.add_parser("down", help="end what `up` started, also after it was killed")
    down.set_defaults(command=_down)

    migrate = commands.add_parser("migrate", help="bring the database to the schema of this version")
    migrate.set_defaults(command=_migrate)

    portfolio = commands.add_parser("portfolio", help="what is managed")
    actions = portfolio.add_subparsers(required=True, metavar="ACTION")
    apply = actions.add_parser(
        "apply", help="make the tables agree with a portfolio file and say what changed"
    )
    apply.add_argument("file", type=Path, metavar="FILE")
    apply.set_defaults(command=_apply)

    channels = commands.add_parser("channels", help="which channels this build knows, and what each can do")
    channels.set_defaults(command=_channels)

    sandbox = commands.add_parser("sandbox", help="serve the simulated channels until Ctrl-C")
    sandbox.add_argument("--host", default="127.0.0.1")
    sandbox.add_argument("--port", type=int, default=0, help="default: a free one")
    sandbox.add_argument("--seed", type=int, default=1, help="which world (default: 1)")
    sandbox.add_argument("--listings", type=int, default=6, help="how many listings it has (default: 6)")
    sandbox.add_argument(
        "--webhooks",
        type=_subscribing,
        action="append",
        default=[],
        metavar="URL",
        help="deliver what happens to bookings there, signed as Airbnb does; may be given several times",
    )
    sandbox.set_defaults(command=_sandbox)

    webhooks = commands.add_parser("webhooks", help="take what channels deliver until Ctrl-C")
    webhooks.add_argument("--host", default="127.0.0.1", help="address to listen on (default: 127.0.0.1)")
    webhooks.add_argument(
        "--port", type=int, metavar="N", help=f"0 for a free one (default: {config.WEBHOOK_PORT} or 8700)"
    )
    webhooks.set_defaults(command=_webhooks)

    worker = commands.add_parser("worker", help="apply what channels deliver as it arrives, until Ctrl-C")
    worker.set_defaults(command=_worker)

    replay = commands.add_parser("replay", help="apply again what channels delivered in a time")
    replay.add_argument("--account", metavar="CODE", help="of one account (default: all)")
    for name, when in (("--since", "from then on"), ("--until", "before then (default: whenever)")):
        replay.add_argument(
            name,
            type=_instant,
            metavar="T",
            required=name == "--since",
            help=f"{when}: a date, or a date and time in ISO 8601, UTC unless it says otherwise",
        )
    replay.set_defaults(command=_replay)

    status = commands.add_parser(
        "status",
        help="last pulls, what is held and what is not acknowledged; circuits, quotas, penalties and calls",
    )
    status.set_defaults(command=_status)

    unblock = commands.add_parser(
        "unblock", help="close a circuit by hand and lift what is left of a channel's wait"
    )
    unblock.add_argument("key", metavar="KEY", help="of a circuit or a quota, as `status` shows it")
    unblock.set_defaults(command=_unblock)

    holds = commands.add_parser(
        "holds", help="nights kept closed until it is proven that they are free, and why"
    )
    holds.set_defaults(command=_holds)

    release = commands.add_parser("release", help="say that the held nights of a listing are really free")
    release.add_argument("listing", metavar="ACCOUNT/LISTING")
    release.set_defaults(command=_release)
    return parser


# Commands -----------------------------------------------------------------------------------------------------------


def _up(chosen: argparse.Namespace) -> None:
    from channel_sync.stack import up as stack

    settings = config.load()
    port = settings.ui_port if chosen.port is None else chosen.port
    stack.up(settings, stack.Wish(chosen.portfolio, not chosen.no_sandbox, port, not chosen.no_worker), _say)


def _down(_chosen: argparse.Namespace) -> None:
    from channel_sync.stack import up as stack

    stack.down(config.load(), _say)


def _migrate(_chosen: argparse.Namespace) -> None:
    import psycopg

    from adapters.errors import ConfigurationError
    from channel_sync.storage.database import create_database
    from channel_sync.storage.migrate import migrate

    settings = config.load()
    url = settings.need_database()
    migrate(url)
    if settings.dagster_database_url != config.dagster_url_beside(url):
        return  # named by a person, who made it
    try:
        create_database(url, config.dagster_database_name(url))
    except psycopg.errors.InsufficientPrivilege:
        raise ConfigurationError(
            f"the user of {config.DATABASE_URL} may not create Dagster's database: create one, "
            f"and name it in {config.DAGSTER_DATABASE_URL}"
        ) from None


def _apply(chosen: argparse.Namespace) -> None:
    from channel_sync import bootstrap
    from channel_sync.portfolio import applying, loading
    from channel_sync.storage.database import Database

    wanted = loading.load(chosen.file, bootstrap.declarations())
    _say(applying.render(applying.apply(Database(config.load().need_database()), wanted)))


def _channels(_chosen: argparse.Namespace) -> None:
    from channel_sync import bootstrap, channel_table

    _say(channel_table.markdown(bootstrap.declarations()))


def _subscribing(url: str) -> str:
    from channel_sync.sandbox.webhooks import Subscription

    try:
        return Subscription(url).url
    except ValueError as wrong:
        raise argparse.ArgumentTypeError(str(wrong)) from None


def _sandbox(chosen: argparse.Namespace) -> None:
    from channel_sync.sandbox.server import serve

    serve(chosen.host, chosen.port, chosen.seed, chosen.listings, say=_say, webhooks=chosen.webhooks)


def _webhooks(chosen: argparse.Namespace) -> None:
    from channel_sync.webhooks import answers, server

    settings = config.load()
    port = settings.webhook_port if chosen.port is None else chosen.port
    if settings.enabled:
        from channel_sync import bootstrap

        server.serve(bootstrap.webhook_gateway(settings).app(), chosen.host, port, _say)
    else:
        _say(f"the channel manager is switched off, nothing is taken: set {config.ENABLED}=true")
        server.serve(answers.nothing_here(), chosen.host, port, _say)


def _worker(_chosen: argparse.Namespace) -> None:
    from channel_sync.stack import worker

    settings = config.load()
    if settings.enabled:
        worker.serve(settings, _say)
    else:
        _say(f"the channel manager is switched off, nothing is applied: set {config.ENABLED}=true")


def _replay(chosen: argparse.Namespace) -> None:
    from channel_sync import bootstrap
    from channel_sync.sync import inbox

    until = chosen.until or datetime.max.replace(tzinfo=UTC)
    done = inbox.replay(bootstrap.engine(config.load()), chosen.account, chosen.since, until)
    _say(
        f"{done.events} events read again: {done.changed} changes of bookings, {done.settled} settled that were not, "
        f"{done.failed} failed"
    )


def _status(_chosen: argparse.Namespace) -> None:
    from channel_sync.resilience.status import tables
    from channel_sync.storage import acknowledgements
    from channel_sync.storage.database import Database

    with Database(config.load().need_database()).connect() as connection:
        rows = connection.execute(
            "SELECT concat_ws('/', channel_account, listing), subject, is_enabled, staleness, last_outcome,"
            " last_error, nights_held FROM analytics.sync_health ORDER BY channel_account, listing, subject"
        ).fetchall()
        waiting = acknowledgements.waiting(connection)
        more = list(tables(connection))
    _table(
        ("LISTING", "SUBJECT", "ENABLED", "LAST SUCCESS", "LAST PULL", "ERROR", "HELD"),
        (
            (
                name,
                subject,
                "yes" if enabled else "no",
                "never" if age is None else f"{_span(age)} ago",
                outcome or "-",
                error or "-",
                str(held or "-"),
            )
            for name, subject, enabled, age, outcome, error, held in rows
        ),
    )
    _say("")
    if waiting:
        _table(
            ("NOT ACKNOWLEDGED", "BOOKINGS", "FIRST IS DUE", "ATTEMPTS"),
            (
                (one.account, str(one.pending), _moment(one.due_at) if one.due_at else "-", str(one.attempts))
                for one in waiting
            ),
        )
    else:
        _say("no booking waits to be acknowledged")
    for table in more:
        _say("")
        if table.rows:
            _table(table.heading, table.rows)
        else:
            _say(table.nothing)


def _unblock(chosen: argparse.Namespace) -> None:
    from channel_sync.resilience.status import unblock
    from channel_sync.storage.database import Database

    with Database(config.load().need_database()).connect() as connection:
        done = list(unblock(connection, chosen.key))
    for line in done:
        _say(line)


def _holds(_chosen: argparse.Namespace) -> None:
    from channel_sync.storage.database import Database
    from channel_sync.storage.holds import holds

    with Database(config.load().need_database()).connect() as connection:
        found = holds(connection)
    _table(
        ("LISTING", "UNIT TYPE", "NIGHTS", "REASON", "HELD SINCE", "OPENS AFTER"),
        (
            (
                f"{hold.account}/{hold.listing}",
                hold.unit_type,
                f"{len(hold.nights)} from {hold.nights[0]}",
                hold.reason,
                _moment(hold.since),
                "the next pull" if hold.approved else f"{_span(timedelta(seconds=hold.seconds_left))} seen",
            )
            for hold in found
        ),
    )


def _release(chosen: argparse.Namespace) -> None:
    from adapters.errors import ConfigurationError
    from adapters.model import spans
    from channel_sync.storage.database import Database
    from channel_sync.storage.holds import approve_release

    account, slash, listing = chosen.listing.partition("/")
    if not (account and slash and listing):
        raise ConfigurationError(f"{chosen.listing!r} names no listing: write ACCOUNT/LISTING")
    with Database(config.load().need_database()).connect() as connection:
        released = approve_release(connection, account, listing)
    nights = [night for hold in released for night in hold.nights]
    _say(
        f"the next pull of {account}/{listing} opens these {len(nights)} nights, unless it lists them as closed:"
    )
    for stay in spans(nights):
        _say(f"  {stay}")


# Words on the screen ------------------------------------------------------------------------------------------------


def _is_for_people(error: Exception) -> bool:
    """Whether the message is all that the reader needs: bad settings, bad input, no database."""
    names = (("adapters.errors", "ConfigurationError"), ("psycopg", "OperationalError"))
    # What is not loaded has not been raised.
    kinds = (getattr(sys.modules[module], name) for module, name in names if module in sys.modules)
    return isinstance(error, tuple(kinds))


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _table(heading: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> None:
    lines = [heading, *rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        _say("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def _instant(text: str) -> datetime:
    """A moment as it is typed."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is neither a date nor a date and time") from None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment


def _moment(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"


def _span(span: timedelta) -> str:
    minutes = int(span.total_seconds() // 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours < 48 else f"{hours // 24} days"


if __name__ == "__main__":
    sys.exit(main())
