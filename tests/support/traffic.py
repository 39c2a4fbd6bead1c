"""Heavy traffic on an image, and an account of the data that must be there afterwards."""

from __future__ import annotations

import asyncio
import contextlib
import random
import struct
import threading
import time
from functools import partial
from types import TracebackType
from typing import Any, Callable, Dict, List, Optional, Set, Tuple, Type

import rbd
import rbd.aio
from support.daemons import PATIENCE

BLOCK = 4096
_STAMP = struct.Struct("<QQ")


def block(index: int, version: int) -> bytes:
    """Return the data of a version of a block. Version 0 has never been written."""
    return _STAMP.pack(index, version) * (BLOCK // _STAMP.size) if version else bytes(BLOCK)


class Account:
    """The versions that a block may hold: the last safe one, and those begun since."""

    def __init__(self) -> None:
        self.possible: Dict[int, Set[int]] = {}
        self.acknowledged: Dict[int, int] = {}
        self.version = 0
        self.flushed = 0
        self._lock = threading.Lock()
        self._valid = True

    def begin(self, indexes: List[int]) -> int:
        """Return the version that these blocks are about to get."""
        self.version += 1
        self._valid = True
        for index in indexes:
            self.possible.setdefault(index, {0}).add(self.version)
        return self.version

    def acknowledge(self, index: int, version: int) -> None:
        with self._lock:
            if self._valid:
                self.acknowledged[index] = version

    def forget(self) -> None:
        """If a flush has failed, acknowledged and unfinished versions need not be there."""
        with self._lock:
            self._valid = False
            self.acknowledged.clear()

    def confirm(self) -> None:
        """After a successful flush, what was acknowledged before must stay there."""
        waiting, self.acknowledged = self.acknowledged, {}
        for index, version in waiting.items():
            newer = {one for one in self.possible[index] if one > version}
            self.possible[index] = {version, *newer}
        self.flushed += len(waiting)

    def check(self, image: rbd.Image) -> None:
        """Check that each block is whole, and of a permitted version."""
        for index, possible in self.possible.items():
            found = image.read(index * BLOCK, BLOCK)
            number, version = _STAMP.unpack_from(found)
            assert found == block(index, version), f"block {index} is torn: {number}, {version}"
            assert version in possible, f"block {index}: {version} is none of {possible}"


# One round of traffic each: begin versions of the blocks, and acknowledge those that succeeded.


def by_batch(image: rbd.Image, account: Account, indexes: List[int]) -> List[BaseException]:
    version = account.begin(indexes)
    data = b"".join(block(index, version) for index in indexes)
    try:
        image.write_blocks(data, [index * BLOCK for index in indexes], queue_depth=16)
    except rbd.Error as error:
        return [error]
    for index in indexes:
        account.acknowledge(index, version)
    return []


def by_callback(image: rbd.Image, account: Account, indexes: List[int]) -> List[BaseException]:
    version = account.begin(indexes)
    completions = []
    errors: List[BaseException] = []
    for index in indexes:
        try:
            completions.append(
                (index, image.aio_write(block(index, version), index * BLOCK, lambda _: None))
            )
        except rbd.Error as error:
            errors.append(error)
    for index, completion in completions:
        completion.wait_for_complete_and_cb()
        code = completion.get_return_value()
        if code == 0:
            account.acknowledge(index, version)
        else:
            errors.append(rbd.make_ex(-code, "a write with a callback"))
    return errors


def by_asyncio(image: rbd.Image, account: Account, indexes: List[int]) -> List[BaseException]:
    version = account.begin(indexes)
    wrapped = rbd.aio.AsyncImage(image)

    async def gather() -> List[Any]:
        writes = [wrapped.write(block(index, version), index * BLOCK) for index in indexes]
        return await asyncio.gather(*writes, return_exceptions=True)

    results = asyncio.run(gather())
    for index, result in zip(indexes, results):
        if result == BLOCK:
            account.acknowledge(index, version)
    return [result for result in results if isinstance(result, BaseException)]


Round = Callable[[rbd.Image, Account, List[int]], List[BaseException]]
ROUNDS: Tuple[Round, ...] = (by_batch, by_callback, by_asyncio)


class Load:
    """Threads that write blocks of an image, each in a separate way and part of the image."""

    def __init__(self, image: rbd.Image) -> None:
        self.image = image
        self.errors: List[BaseException] = []
        self.strange: List[BaseException] = []
        #: The longest time of a round or a flush, in seconds.
        self.longest = 0.0
        self.accounts = [Account() for _ in ROUNDS]
        self._done = [0] * len(ROUNDS)
        self._stop = threading.Event()
        self._flushing = threading.Lock()
        # The last blocks belong to the test itself.
        share = (image.size() // BLOCK - 8) // len(ROUNDS)
        self._threads = [
            threading.Thread(target=self._work, args=(number, number * share, share), daemon=True)
            for number in range(len(ROUNDS))
        ]

    def _timed(self, call: Callable[[], Any]) -> Any:
        start = time.monotonic()
        try:
            return call()
        finally:
            self.longest = max(self.longest, time.monotonic() - start)

    def _work(self, number: int, first: int, share: int) -> None:
        chooser = random.Random(number)
        account, todo = self.accounts[number], ROUNDS[number]
        try:
            while not self._stop.is_set():
                indexes = [first + one for one in chooser.sample(range(share), 24)]
                self.errors += self._timed(partial(todo, self.image, account, indexes))
                if chooser.random() < 0.25:
                    with contextlib.suppress(rbd.Error):
                        self._timed(partial(self._flush, [account]))
                self._done[number] += 1
        except BaseException as error:
            self.strange.append(error)

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def go_on(self, rounds: int = 8) -> None:
        """Wait until each thread has made this many more rounds, successful or not."""
        until = [done + rounds for done in self._done]
        deadline = time.monotonic() + PATIENCE * 2
        while any(done < wanted for done, wanted in zip(self._done, until)):
            assert not self.strange, self.strange
            assert time.monotonic() < deadline, f"no way on: {self._done}, wanted {until}"
            time.sleep(0.01)

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        traceback: Optional[TracebackType],
    ) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(PATIENCE * 2)
            assert not thread.is_alive()
        assert not self.strange, self.strange

    @property
    def flushed(self) -> int:
        """Return how many writes were acknowledged and flushed."""
        return sum(account.flushed for account in self.accounts)

    def _flush(self, accounts: List[Account]) -> None:
        # librbd reports a failed write once, by the first flush of the handle. A thread's flush may
        # report the failure of another thread's write.
        with self._flushing:
            try:
                self.image.flush()
            except rbd.Error as error:
                self.errors.append(error)
                for account in self.accounts:
                    account.forget()
                raise
            for account in accounts:
                account.confirm()

    def flush(self) -> None:
        """Flush. Afterwards everything that was acknowledged must be there."""
        self._flush(self.accounts)

    def check(self, image: rbd.Image) -> None:
        """Check that everything that was acknowledged and flushed is in the image."""
        assert self.flushed
        for account in self.accounts:
            account.check(image)
