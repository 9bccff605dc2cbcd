"""The errors an adapter raises, grouped by what the caller does next.

    ChannelError
    ├── Retryable               the same call may be repeated, later
    │   ├── RateLimited         after ``retry_after``; tell every process of this account
    │   └── Unavailable         the channel is down, slow or unreachable, and nothing was done
    ├── OutcomeUnknown          sent, no answer: never repeat blindly, ask the channel first
    ├── AuthenticationFailed    a person has to mend the credentials
    ├── Rejected                the channel understood and said no, in its own words
    ├── Unsupported             this channel cannot do that; refused before any I/O
    └── UnexpectedResponse      an answer that is not the protocol: proves nothing, changes nothing

    ConfigurationError          outside the tree, so that no ``except ChannelError`` hides it
    WebhookRefused              outside the tree: a delivery that is not from the channel

No message, ``repr`` or attribute of these carries a secret, card data or a guest's details: messages are
built from the channel's name, the listing, the verb and the HTTP status, never from a URL or a body.
"""


class ChannelError(Exception):
    """Something went wrong between us and a channel."""


class Retryable(ChannelError):
    """The call changed nothing and may be repeated later."""

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        """Keep ``retry_after``, the seconds to wait from now on, where the channel named them."""
        super().__init__(message)
        self.retry_after = retry_after


class RateLimited(Retryable):
    """The channel asked for fewer calls (HTTP 429, or 503 with Retry-After)."""


class Unavailable(Retryable):
    """The channel could not be reached or answered with a fault of its own (5xx, connection failures)."""


class OutcomeUnknown(ChannelError):
    """A call that changes something was sent and no answer came: it may or may not have been done."""


class AuthenticationFailed(ChannelError):
    """The channel refuses our credentials (401, 403, a revoked or expired grant)."""


class Rejected(ChannelError):
    """The channel understood the call and refused it: repeating it unchanged is useless."""


class Unsupported(ChannelError):
    """The channel cannot express what was asked. Raised before any I/O."""


class UnexpectedResponse(ChannelError):
    """The answer is not what the protocol promises: HTML, an empty or cut-off body, a missing field."""


class ConfigurationError(Exception):
    """A setting or credential is missing or malformed. The message names it and says how to mend it."""


class WebhookRefused(Exception):
    """A delivery whose signature is absent, malformed, stale or wrong."""
