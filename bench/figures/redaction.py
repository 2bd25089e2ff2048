"""What it costs to keep secrets out of a log."""

import random
import string
import time
from collections.abc import Iterator

from bench.measure import Figure, Size, median
from runner_agent.launcher.redactor import Redactor

MIB = 1 << 20
_BLOCK = 1 << 18  # what is read from a pipe that is full


def measure(size: Size) -> Iterator[Figure]:
    """In processor time: a log of plain lines, none of which holds a secret, as nearly all are."""
    chance = random.Random(1)
    text = _log(chance, size.of(16, 4) * MIB)
    for count in (1, 5, 20):
        rates: list[float] = []
        for _ in range(size.of(9, 3)):
            redactor = Redactor([_secret(chance) for _ in range(count)])
            began = time.process_time()
            for at in range(0, len(text), _BLOCK):
                redactor.feed(text[at : at + _BLOCK])
            rates.append(len(text) / 1e6 / (time.process_time() - began))
        note = "tokens of 20 to 40 characters, punctuation among them; processor time"
        yield Figure(f"redaction.{count}", median(rates), "MB/s", len(rates), note=note)


def _secret(chance: random.Random) -> bytes:
    letters = string.ascii_letters + string.digits + "/+=&-_"
    return "".join(chance.choices(letters, k=chance.randint(20, 40))).encode()


def _log(chance: random.Random, size: int) -> bytes:
    words = ["".join(chance.choices(string.ascii_lowercase, k=chance.randint(2, 10))) for _ in range(3000)]
    lines = [f"2026-11-22T04:14:43 INFO {' '.join(chance.choices(words, k=10))}\n" for _ in range(20_000)]
    text = "".join(lines).encode()
    return text * (size // len(text) + 1)
