"""A channel asks before it sells: are these nights free? Answered from the tables, at once.

No is the safe answer. It is given whenever yes is not proven: for a listing that is not sold, for nights that are
closed anywhere else, while a booking of the same unit type still lies in the inbox, and where another channel that
sells it was never seen.
"""

import psycopg

from adapters.webhook import Question
from channel_sync.storage import webhooks


def is_free(connection: psycopg.Connection, channel_account_id: int, question: Question) -> bool:
    """The verdict. A test of the connection is always answered with yes."""
    if question.stay is None:
        return True
    stay = question.stay
    free = webhooks.stay_is_free(
        connection,
        channel_account_id,
        question.listing_id,
        stay.check_in,
        stay.check_out,
        question.booking_id,
    )
    return bool(free)
