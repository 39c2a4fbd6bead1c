"""The parsers of streams read damaged streams: a corpus of them, and random ones.

corpus/ has, for each target, the shortest stream found for each outcome, and the streams that once
made it fail.
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
#: The memory that all later streams may take beyond the first ones, in KiB.
GROWTH = 64 << 10

known: List[Tuple[str, Path]] = [
    (name, path) for name in targets.TARGETS for path in sorted((CORPUS / name).glob("*"))
]


@pytest.mark.parametrize(
    ("name", "path"), known, ids=[f"{name}-{path.name}" for name, path in known]
)
def test_each_stream_of_the_corpus_is_handled(name: str, path: Path) -> None:
    targets.check(name, path.read_bytes())


@pytest.mark.parametrize("name", targets.TARGETS)
def test_intact_streams_are_understood(name: str) -> None:
    for seed in targets.seeds()[name]:
        targets.check(name, seed)


@pytest.mark.parametrize("name", targets.TARGETS)
def test_streams_truncated_at_every_byte_are_refused(name: str) -> None:
    for seed in targets.seeds()[name]:
        for end in range(len(seed)):
            targets.check(name, seed[:end])


def damage(name: str, seed: int, rounds: int) -> Dict[str, Any]:
    """Damage streams at random; for a separate process."""
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
def test_randomly_damaged_streams_are_handled(name: str) -> None:
    seed = secrets.randbits(32)
    answer = isolated.run(damage, name, seed, ROUNDS, timeout=LIMIT, development=False)
    assert answer["grown"] < GROWTH * memory_usage.LEEWAY, seed
    figures.note("damaged streams", ROUNDS)


def test_a_target_finds_a_misbehaving_parser() -> None:
    with pytest.raises(AssertionError, match="11, 10"):
        targets._outcome(lambda: _raise(StreamError("x", 11)), b"0123456789")
    with pytest.raises(AssertionError, match="message"):
        targets._outcome(lambda: _raise(StreamError("x" * 2000, 0)), b"")


def _raise(error: BaseException) -> None:
    raise error
