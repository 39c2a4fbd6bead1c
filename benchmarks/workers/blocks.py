"""Measures read_blocks and write_blocks: blocks per second at random offsets, and memory.

`most`: the number of blocks in one call. `burst`: the number of blocks before each flush, whose
time does not count; the result is the median of the calls. `total`: the number of bytes to move, in
place of a time.
"""

import array
import statistics
import time

from common import main, offsets, opened, peak


def run(which, pool, name, op, block, depth, seconds, most=16384, burst=0, total=None):
    """`total`: bytes to move in one call, in place of calls for a time."""
    with opened(which, pool, name) as (image,):
        size = image.size()
        count = burst or max(total // block if total else min(most, (64 << 20) // block), depth)
        places = array.array("Q", offsets(size, block, count))
        memory = bytearray(b"d") * (count * block)
        if op == "write":
            image.flush()
        before = peak()
        rates = []
        done = 0
        taken = 0.0
        end = time.perf_counter() + seconds
        while not done or (time.perf_counter() < end and not total):
            start = time.perf_counter()
            if op == "read":
                image.read_blocks(places, block, out=memory, queue_depth=depth)
            else:
                image.write_blocks(memory, places, queue_depth=depth)
            took = time.perf_counter() - start
            taken += took
            done += count
            if burst:
                rates.append(count / took)
                image.flush()
        grown = peak() - before
    return {"value": statistics.median(rates) if burst else done / taken, "grown": grown}


if __name__ == "__main__":
    main(run)
