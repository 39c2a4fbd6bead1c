"""A small mutator of streams, for use without a coverage-guided fuzzer."""

from __future__ import annotations

import random
import struct
from typing import Sequence

_NUMBERS = [0, 1, 7, 8, 16, 255, 4096, 65536, 2**31, 2**32 - 1, 2**32, 2**63 - 1, 2**63, 2**64 - 1]
_TAGS = b"ftspwzeOTUCMEX"
_LONGEST = 4096


def mutated(chosen: random.Random, corpus: Sequence[bytes]) -> bytes:
    """Return a stream of the corpus with a few changes."""
    data = bytearray(chosen.choice(corpus))
    for _ in range(chosen.randint(1, 4)):
        at = chosen.randint(0, len(data))
        kind = chosen.randrange(8)
        if kind == 0 and data:
            data[at % len(data)] = chosen.randrange(256)
        elif kind == 1:
            data[at : at + chosen.randint(1, 9)] = b""
        elif kind == 2:
            data[at:at] = bytes(chosen.choices(range(256), k=chosen.randint(1, 9)))
        elif kind == 3:
            number = (chosen.choice(_NUMBERS) + chosen.randint(-1, 1)) % 2**64
            packed = struct.pack("<Q", number)[: chosen.choice((1, 2, 4, 8))]
            data[at : at + len(packed)] = packed
        elif kind == 4:
            data[at:at] = bytes([chosen.choice(_TAGS)])
        elif kind == 5:
            other = chosen.choice(corpus)
            start = chosen.randint(0, len(other))
            data[at:] = other[start:]
        elif kind == 6:
            part = data[at : at + chosen.randint(1, 64)]
            data[at:at] = part
        else:
            del data[at:]
    return bytes(data[:_LONGEST])
