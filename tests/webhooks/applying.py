"""A process that applies what is in the inbox of one account, for ever: `python -m tests.webhooks.applying ACCOUNT`."""

import os
import sys
import time
from itertools import count

import psycopg

from channel_sync import bootstrap, config
from channel_sync.sync import inbox


def main(account: str) -> None:
    """Apply until killed; without a database, try again."""
    engine = bootstrap.engine(config.load())
    for number in count():
        try:
            inbox.apply_due(engine, account, f"chaos-{os.getpid()}-{number}", limit=50)
        except psycopg.OperationalError:
            time.sleep(0.2)
        time.sleep(0.05)


if __name__ == "__main__":
    main(sys.argv[1])
