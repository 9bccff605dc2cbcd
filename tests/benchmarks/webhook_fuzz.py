"""Deliveries that were tampered with, at every channel's verifier: none may pass, and nothing but a refusal may come.

    python -m tests.benchmarks.webhook_fuzz --count 100000

Mutates the proof, the headers it covers and the body of good deliveries, ``--count`` times a channel, and reads events
from every mutated body, before and after it is scrubbed. The last line is the result as JSON. Ends with 1 if a mutation
passed or anything else than a refusal came.
"""

import argparse
import json
import random
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime

from adapters.accounts import Account
from adapters.errors import WebhookRefused
from adapters.factory import AdapterFactory
from adapters.webhook import Delivery, Webhook
from tests.adapters.webhook_signing import SCHEMES, Scheme, with_headers

NOW = datetime(2026, 3, 10, 9, 30, tzinfo=UTC)

_HOSTILE = (
    "\x00",
    "\n",
    " ",
    "é",
    "٣",
    "\ud800",
    "\uff11",
    "=",
    "==",
    ",",
    ".",
    "|",
    '"',
    "v1,",
    "Bearer ",
    "A" * 5000,
    "[" * 3000,
)
_BYTES = (b"\x00", b"\xff", b"{", b"}", b"[", b'"', b"\\u0000", b"\\ud800", b"1e999999999", b"NaN", b"4111111111111111",
          b"a@b.c", b"[" * 3000, b'{"a":' * 900, b"9" * 5000, b"null")  # fmt: skip


@dataclass(slots=True)
class Count:
    """What became of the mutations of one channel's deliveries."""

    channel: str
    mutations: int = 0
    refused: int = 0
    same: int = 0  # changed in what the scheme does not look at: still the same delivery
    accepted: int = 0
    crashed: int = 0
    read_differently: int = 0  # after it was scrubbed
    verifies_per_s: int = 0


def fuzzed(scheme: Scheme, count: int, seed: int, report: Callable[[str], object] = print) -> Count:
    """Mutate ``count`` deliveries of one channel."""
    chance = random.Random(f"{scheme.channel} {seed}")
    webhook = AdapterFactory.get_webhook(scheme.channel)
    account = scheme.account(now=0, before=1)
    stranger = scheme.account("other", now=2)
    good = scheme.sign(scheme.delivery(), account, NOW)
    foreign = scheme.sign(scheme.delivery(), stranger, NOW)
    found = Count(scheme.channel, verifies_per_s=verifies_per_s(webhook, good, account))
    while found.mutations < count:
        mutated = mutation(scheme, good, foreign, chance)
        if mutated == good:
            continue
        found.mutations += 1
        try:
            outcome = judged(scheme, webhook, account, good, mutated)
        except Exception as error:  # noqa: BLE001 - what must not happen is counted and shown
            outcome = "crashed"
            report(f"{scheme.channel}: {error!r} from {mutated!r:.2000}")
        if outcome == "accepted":
            report(f"{scheme.channel}: accepted {mutated!r:.2000}")
        setattr(found, outcome, getattr(found, outcome) + 1)
    return found


def judged(scheme: Scheme, webhook: Webhook, account: Account, good: Delivery, mutated: Delivery) -> str:
    """What becomes of a mutated delivery. Raises what it must not raise."""
    if mutated.body != good.body:
        kept = {name: value for name, value in mutated.headers.items() if name in webhook.kept_headers}
        stored = replace(mutated, headers=kept, body=webhook.scrubbed(mutated.body))
        webhook.question(mutated)
        if webhook.events(stored) != webhook.events(replace(mutated, headers=kept)):
            return "read_differently"
    try:
        webhook.verify(mutated, account, NOW)
    except WebhookRefused:
        return "refused"
    return "same" if is_same(scheme, good, mutated) else "accepted"


def is_same(scheme: Scheme, good: Delivery, mutated: Delivery) -> bool:
    """Whether the scheme cannot tell them apart: what it covers is unchanged, and the proof in all that counts."""
    covered = all(good.headers[name] == mutated.headers.get(name) for name in scheme.covered_headers)
    proof = scheme.meaning(good.headers[scheme.proof]) == scheme.meaning(
        mutated.headers.get(scheme.proof, "")
    )
    return covered and proof and (not scheme.covers_body or good.body == mutated.body)


def mutation(scheme: Scheme, good: Delivery, foreign: Delivery, chance: random.Random) -> Delivery:
    """The good delivery with its proof, a covered header or its body changed, once to three times."""
    mutated = good
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        name = chance.choice((scheme.proof, scheme.proof, "body", *scheme.covered_headers))
        if name == "body":
            mutated = replace(mutated, body=changed_bytes(mutated.body, chance))
        elif chance.random() < 0.05:
            left = {key: value for key, value in mutated.headers.items() if key != name}
            mutated = replace(mutated, headers=left)
        else:
            value = changed_text(mutated.headers.get(name, ""), foreign.headers[name], chance)
            mutated = with_headers(mutated, **{name: value})
    return mutated


def changed_text(value: str, foreign: str, chance: random.Random) -> str:
    """One of many small or large changes."""
    start, end = sorted(chance.randrange(len(value) + 1) for _ in range(2))
    match chance.randrange(9):
        case 0:
            changed = value[:start] + chr(chance.randrange(32, 127)) + value[start + 1 :]
        case 1:
            changed = value[:start] + value[start + 1 :]
        case 2:
            changed = value[:start] + chr(chance.randrange(32, 127)) + value[start:]
        case 3:
            changed = value[:start] + value[end:]
        case 4:
            changed = value[:end] + value[start:]
        case 5:
            changed = value[:start] + value[start:end].swapcase() + value[end:]
        case 6:
            changed = value[:start] + foreign[start:]
        case 7:
            changed = value[:start] + chance.choice(_HOSTILE) + value[chance.choice((start, end)) :]
        case _:
            # The last characters of base64 hold bits that a careless decoder drops.
            changed = value[:-1] + chance.choice("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdef0123456789+/-_= ")
    return changed


def changed_bytes(body: bytes, chance: random.Random) -> bytes:
    """One of many small or large changes."""
    start, end = sorted(chance.randrange(len(body) + 1) for _ in range(2))
    match chance.randrange(6):
        case 0:
            changed = body[:start] + bytes([chance.randrange(256)]) + body[start + 1 :]
        case 1:
            changed = body[:start] + body[start + 1 :]
        case 2:
            changed = body[:start] + body[end:]
        case 3:
            changed = body[:end] + body[start:]
        case 4:
            changed = body[:start] + chance.choice(_BYTES) + body[chance.choice((start, end)) :]
        case _:
            changed = body + chance.choice((b" ", b"\n", b"\x00", b"}"))
    return changed


def verifies_per_s(webhook: Webhook, good: Delivery, account: Account) -> int:
    """How many good deliveries one core verifies in a second, about."""
    rounds = 500
    began = time.perf_counter()
    for _ in range(rounds):
        webhook.verify(good, account, NOW)
    return round(rounds / (time.perf_counter() - began))


def main() -> int:
    """Fuzz every channel and print what came of it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--count", type=int, default=10_000, help="mutations a channel")
    parser.add_argument("--seed", type=int, default=1)
    told = parser.parse_args()
    began = time.monotonic()
    counts = [fuzzed(scheme, told.count, told.seed) for scheme in SCHEMES.values()]
    for count in counts:
        print(count)
    wrong = sum(count.accepted + count.crashed + count.read_differently for count in counts)
    result = {"seed": told.seed, "seconds": round(time.monotonic() - began, 1), "wrong": wrong}
    print(json.dumps({**result, "channels": [asdict(count) for count in counts]}))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
