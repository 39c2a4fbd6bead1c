"""Copies an image to another one in asyncio, with a bounded number of blocks under way.

    python copy_async.py POOL/SOURCE POOL/TARGET [--conf FILE] [--depth 64] [--block 1048576]

A producer reads blocks of the source in order. Consumers write them to the target, which is made
with the source's size. At most `depth` blocks are being read, as many wait in the queue, and as
many are being written. So the memory is at most 3 * depth * block, for any size of the image.
Blocks of zeroes are left out.
"""

from __future__ import annotations

import argparse
import asyncio
from typing import Any, Coroutine, List, Optional, Tuple

import rbd
import rbd.aio

# An offset and the data there. None means the end.
Block = Optional[Tuple[int, bytes]]


async def produce(
    source: rbd.aio.AsyncImage, blocks: asyncio.Queue[Block], depth: int, block: int
) -> None:
    """Put every block that is not all zeroes into `blocks`, with `depth` reads under way."""
    size = source.image.size()
    zeroes = bytes(block)
    offsets = iter(range(0, size, block))

    async def read() -> None:
        for offset in offsets:  # shared: each reader takes the next one
            data = await source.read(offset, min(block, size - offset))
            if data != zeroes[: len(data)]:
                await blocks.put((offset, data))

    await together(*(read() for _ in range(depth)))
    for _ in range(depth):
        await blocks.put(None)


async def consume(target: rbd.aio.AsyncImage, blocks: asyncio.Queue[Block]) -> None:
    """Write the blocks that come."""
    while (got := await blocks.get()) is not None:
        offset, data = got
        await target.write(data, offset)


async def together(*coroutines: Coroutine[Any, Any, None]) -> None:
    """Run all of them. The first exception cancels the others, and is raised."""
    tasks = [asyncio.ensure_future(coroutine) for coroutine in coroutines]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def copy(
    source: rbd.aio.AsyncImage, target: rbd.aio.AsyncImage, *, depth: int = 64, block: int = 1 << 20
) -> None:
    """Copy all of `source` to `target`, which is at least as large and empty."""
    blocks: asyncio.Queue[Block] = asyncio.Queue(maxsize=depth)
    consumers = [consume(target, blocks) for _ in range(depth)]
    await together(produce(source, blocks, depth, block), *consumers)
    await target.flush()


async def run(arguments: argparse.Namespace) -> None:
    with rbd.connect(arguments.conf) as cluster:
        source_pool, source_name = arguments.source.split("/", 1)
        target_pool, target_name = arguments.target.split("/", 1)
        with cluster.open_ioctx(source_pool) as pool, cluster.open_ioctx(target_pool) as other:
            async with rbd.aio.open(pool, source_name, read_only=True) as source:
                rbd.RBD().create(other, target_name, source.image.size())
                async with rbd.aio.open(other, target_name) as target:
                    await copy(source, target, depth=arguments.depth, block=arguments.block)


def main(arguments: Optional[List[str]] = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("source", metavar="POOL/SOURCE")
    parser.add_argument("target", metavar="POOL/TARGET")
    parser.add_argument("--conf", metavar="FILE", help="Ceph's configuration file")
    parser.add_argument("--depth", type=int, default=64, help="blocks under way (64)")
    parser.add_argument("--block", type=int, default=1 << 20, help="bytes of a block (1 MiB)")
    asyncio.run(run(parser.parse_args(arguments)))


if __name__ == "__main__":
    main()
