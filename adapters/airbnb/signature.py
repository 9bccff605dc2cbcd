"""Airbnb's signature of a webhook: RSA over the values that its header names.

The README beside this file says where each fact comes from and how sure it is.
"""

import re
from base64 import b64decode, b64encode
from collections.abc import Iterable
from datetime import datetime
from email.utils import parsedate_to_datetime

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from adapters.accounts import Account
from adapters.errors import WebhookRefused
from adapters.webhook import Delivery, header_of, refuse_stale, secrets_of

_AUTHORIZATION = re.compile(
    'Signature keyId="[A-Za-z0-9_.:-]{1,64}",algorithm="rsa-sha256",headers="([a-z -]{1,200})"'
    ',delimiter="\\|",signature="([A-Za-z0-9+/]{1,1400}={0,2})"'
)
_VALUES = frozenset({"host", "url", "method", "date", "content-type", "body"})
_METHODS = frozenset({"GET", "POST", "PUT"})
_HOST = re.compile(r"[A-Za-z0-9.-]{1,253}(?::[0-9]{1,5})?|\[[0-9A-Fa-f:.]{2,45}\](?::[0-9]{1,5})?")
_PORT = re.compile(":[0-9]{1,5}$")
_DATE = re.compile("[A-Z][a-z]{2}, [0-9]{2} [A-Z][a-z]{2} [0-9]{4} [0-9]{2}:[0-9]{2}:[0-9]{2} GMT")


def verify(delivery: Delivery, account: Account, now: datetime) -> None:
    """RSA PKCS #1 v1.5 with SHA-256 over the named values, joined by "|". Raises WebhookRefused for anything else."""
    keys = _public_keys(account)
    found = _AUTHORIZATION.fullmatch(header_of(delivery, "authorization"))
    if found is None:
        raise WebhookRefused("the Authorization header is not a signature")
    signature = _decoded(found[2])
    texts = _signed_texts(delivery, found[1].split(" "), account)
    refuse_stale(_date(header_of(delivery, "date")), account, now)
    if not any(_is_signed(key, signature, text) for key in keys for text in texts):
        raise WebhookRefused("the signature is not Airbnb's")


def _public_keys(account: Account) -> tuple[RSAPublicKey, ...]:
    """The keys that can be read: a bad one must not cost the other."""
    keys = []
    for pem in secrets_of(account, "webhook_public_key"):
        try:
            key = load_pem_public_key(pem.replace(b"\\n", b"\n"))  # as one line of an environment file
        except (ValueError, TypeError, UnsupportedAlgorithm):
            continue
        if isinstance(key, RSAPublicKey):
            keys.append(key)
    if not keys:
        raise WebhookRefused(f"account {account.code!r}: webhook_public_key is not an RSA public key in PEM")
    return tuple(keys)


def _decoded(signature: str) -> bytes:
    """Base64 in its one form: without it a signature could be written in several ways."""
    try:
        decoded = b64decode(signature, validate=True)
    except ValueError:
        decoded = b""
    if b64encode(decoded).decode() != signature:
        raise WebhookRefused("the signature is not base64")
    return decoded


def _signed_texts(delivery: Delivery, names: list[str], account: Account) -> list[bytes]:
    """What may have been signed: the values of ``names``, once for each way of writing the URL.

    Nothing signed says how many values there are or where one ends, so the same bytes could be cut in other ways. That
    is why no unknown name is read, the body stands last, its type is covered with it, and each other value is of its
    own kind and without the delimiter.
    """
    covered = set(names)
    needed = _VALUES if delivery.body else _VALUES - {"content-type"}
    if len(covered) != len(names) or names[-1] != "body" or not needed <= covered <= _VALUES:
        raise WebhookRefused("the signature does not cover what it has to")
    if delivery.method not in _METHODS or not delivery.path.startswith("/"):
        raise WebhookRefused("the method or the path is none")
    values = {
        "host": _host(delivery, account),
        "method": delivery.method,
        "date": header_of(delivery, "date"),
        "content-type": delivery.headers.get("content-type", ""),
    }
    urls = [delivery.path, *([f"{delivery.path}?{delivery.query}"] if delivery.query else [])]
    return [
        _joined(values[name] if name != "url" else url for name in names[:-1]) + delivery.body for url in urls
    ]


def _joined(values: Iterable[str]) -> bytes:
    text = ""
    for value in values:
        if "|" in value or not value.isascii():
            raise WebhookRefused("a value that cannot have been signed")
        text += f"{value}|"
    return text.encode()


def _host(delivery: Delivery, account: Account) -> str:
    """The host as Airbnb signs it: without its port, as far as is known."""
    reading = account.settings.get("webhook_host_port", "dropped")
    if reading not in ("dropped", "kept"):
        raise WebhookRefused(f"account {account.code!r}: webhook_host_port is neither 'dropped' nor 'kept'")
    if not _HOST.fullmatch(delivery.host):
        raise WebhookRefused("the host is none")
    return _PORT.sub("", delivery.host) if reading == "dropped" else delivery.host


def _date(text: str) -> datetime:
    """The Date header, in the one form that HTTP still writes."""
    try:
        if _DATE.fullmatch(text):
            return parsedate_to_datetime(text)
    except ValueError:
        pass
    raise WebhookRefused("the Date header is no date")


def _is_signed(key: RSAPublicKey, signature: bytes, text: bytes) -> bool:
    try:
        key.verify(signature, text, PKCS1v15(), SHA256())
    except InvalidSignature:
        return False
    return True
