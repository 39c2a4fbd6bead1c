#!/usr/bin/env python3
"""Batches of random rows of an image, as training reads them.

    shuffled_reader.py rbd/samples --dtype float32 --columns 512 --batch 256

`Rows` is a data set for torch.utils.data: it has `__len__`, `__getitem__` and `__getitems__`. The
last one reads all rows of a batch in one call, with many reads in flight. A `Rows` pickles and can
be forked: each worker process of a DataLoader opens the image again.

    loader = torch.utils.data.DataLoader(Rows("rbd/samples", "float32", 512), batch_size=256,
                                         shuffle=True, num_workers=4)
"""

from __future__ import annotations

import argparse
import time
from typing import Any, Iterator, List, Optional, Sequence

import numpy as np

import rbd


class Rows:
    """The rows of an image, all of the same type and length."""

    def __init__(self, spec: str, dtype: Any, columns: int, rows: Optional[int] = None) -> None:
        if rows is None:
            with rbd.open(spec, buffering=0) as file:
                rows = file.seek(0, 2) // (np.dtype(dtype).itemsize * columns)
        self.array = rbd.ImageArray(spec, dtype, (rows, columns))

    def __len__(self) -> int:
        return len(self.array)

    def __getitem__(self, index: int) -> np.ndarray:
        return self.array[index]

    def __getitems__(self, indices: Sequence[int]) -> List[np.ndarray]:
        return list(self.array[np.asarray(indices)])

    def shuffled(self, batch: int, seed: Optional[int] = None) -> Iterator[np.ndarray]:
        """Yield every row once, in random order, in batches; without torch."""
        order = np.random.default_rng(seed).permutation(len(self))
        for start in range(0, len(self), batch):
            yield self.array[order[start : start + batch]]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("image", help="pool[/namespace]/image[@snapshot]")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--columns", type=int, default=512)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--batches", type=int, default=100, help="how many to read")
    given = parser.parse_args()
    rows = Rows(given.image, given.dtype, given.columns)
    started = time.perf_counter()
    read = 0
    for number, batch in enumerate(rows.shuffled(given.batch)):
        if number == given.batches:
            break
        read += len(batch)
    took = time.perf_counter() - started
    print(f"{read} of {len(rows)} rows in {took:.2f} s: {read / took:.0f} rows a second")


if __name__ == "__main__":
    main()
