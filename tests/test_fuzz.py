"""The parsers of streams, with damaged streams: a corpus of them, and others at random.

corpus/ has, for each target, the shortest stream found for each way in which it can end, and what
made it fail once.
"""

from __future__ import annotations

import random
import secrets
from pathlib import Path
from typing import Any, Dict, List, Tuple

import pytest

from fuzz import mutate, targets
from rbd import StreamError
from support import figures, isolated, memory_usage
from support.location import LIMIT, SOAK

CORPUS = Path(targets.__file__).with_name("corpus")
ROUNDS = 1_000_000 if SOAK else 1500
#: How much memory any number of streams may take beyond the first ones, in KiB.
GROWTH = 64 << 10

known: List[Tuple[str, Path]] = [
    (name, path) for name in targets.TARGETS for path in sorted((CORPUS / name).glob("*"))
]


@pytest.mark.parametrize(
    ("name", "path"), known, ids=[f"{name}-{path.name}" for name, path in known]
)
def test_the_corpus(name: str, path: Path) -> None:
    targets.check(name, path.read_bytes())


@pytest.mark.parametrize("name", targets.TARGETS)
def test_sound_streams_are_understood(name: str) -> None:
    for seed in targets.seeds()[name]:
        targets.check(name, seed)


@pytest.mark.parametrize("name", targets.TARGETS)
def test_streams_cut_at_every_byte(name: str) -> None:
    for seed in targets.seeds()[name]:
        for end in range(len(seed)):
            targets.check(name, seed[:end])


def damage(name: str, seed: int, rounds: int) -> Dict[str, Any]:
    """Streams damaged at random; for a process of its own."""
    corpus = targets.seeds()[name] + [path.read_bytes() for known, path in known if known == name]
    chosen = random.Random(seed)
    first = 0
    for number in range(rounds):
        targets.check(name, mutate.mutated(chosen, corpus))
        if number == rounds // 10:
            first = memory_usage.peak()
    return {"grown": memory_usage.peak() - first}


@pytest.mark.timeout(LIMIT + 60)
@pytest.mark.parametrize("name", targets.TARGETS)
def test_streams_damaged_at_random(name: str) -> None:
    seed = secrets.randbits(32)
    answer = isolated.run(damage, name, seed, ROUNDS, timeout=LIMIT, development=False)
    assert answer["grown"] < GROWTH * memory_usage.LEEWAY, seed
    figures.note("damaged streams", ROUNDS)


def test_a_target_notices() -> None:
    with pytest.raises(AssertionError, match="11, 10"):
        targets._outcome(lambda: _raise(StreamError("x", 11)), b"0123456789")
    with pytest.raises(AssertionError, match="message"):
        targets._outcome(lambda: _raise(StreamError("x" * 2000, 0)), b"")


def _raise(error: BaseException) -> None:
    raise error
