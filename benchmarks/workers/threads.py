"""Measures plain read() calls per second in several threads."""

import threading
import time

from common import main, offsets, opened


def run(which, pool, name, block, threads, seconds):
    counts = [0] * threads
    with opened(which, pool, name) as (image,):
        size = image.size()
        ready = threading.Barrier(threads + 1)
        end = 0.0

        def work(number):
            places = offsets(size, block, 1024, number)
            ready.wait()
            while True:
                for place in places:
                    image.read(place, block)
                    counts[number] += 1
                    if time.perf_counter() > end:
                        return

        workers = [threading.Thread(target=work, args=(number,)) for number in range(threads)]
        for worker in workers:
            worker.start()
        start = time.perf_counter()
        end = start + seconds
        ready.wait()
        for worker in workers:
            worker.join()
        taken = time.perf_counter() - start
    return {"value": sum(counts) / taken}


if __name__ == "__main__":
    main(run)
