"""The examples of files, arrays and streams do what they say."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, Callable

import pytest

import rbd
from support.optional_tools import proof
from support.stream_files import contents

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
MIB = 1 << 20


@pytest.fixture
def run(rbd_cluster: Any) -> Callable[..., str]:
    environment = {**os.environ, "CEPH_CONF": str(rbd_cluster.conffile)}

    def call(script: str, *arguments: Any) -> str:
        return subprocess.run(
            [sys.executable, str(EXAMPLES / script), *map(str, arguments)],
            env=environment,
            check=True,
            stdout=subprocess.PIPE,
            timeout=100,
        ).stdout.decode()

    return call


def test_the_backup_example_works(
    rbd_image: rbd.Image, rbd_ioctx: Any, run: Any, tmp_path: Path
) -> None:
    where = "/".join(p for p in (rbd_ioctx.get_pool_name(), rbd_ioctx.get_namespace()) if p)
    name = rbd_image.get_name()
    chain = tmp_path / "chain"
    for size in (8, 12, 6):
        rbd_image.resize(size * MIB)
        rbd_image.write(os.urandom(100_000), size * MIB - 200_000)
        rbd_image.flush()
        assert "sha256" in run("backup.py", "save", f"{where}/{name}", chain)
    assert len(list(chain.glob("*.diff"))) == 3
    assert len(list(rbd_image.list_snaps())) == 1
    run("backup.py", "restore", chain, f"{where}/{name}-back")
    assert contents(rbd_ioctx, f"{name}-back") == rbd_image.read(0, rbd_image.size())
    with rbd.Image(rbd_ioctx, f"{name}-back") as image:
        assert len(list(image.list_snaps())) == 3
    run("backup.py", "merge", chain)
    assert len(list(chain.glob("*.diff"))) == 1
    run("backup.py", "restore", chain, f"{where}/{name}-merged")
    assert contents(rbd_ioctx, f"{name}-merged") == rbd_image.read(0, rbd_image.size())
    # The chain continues after merging.
    rbd_image.write(b"more", 0)
    rbd_image.flush()
    run("backup.py", "save", f"{where}/{name}", chain)
    run("backup.py", "restore", chain, f"{where}/{name}-more")
    assert contents(rbd_ioctx, f"{name}-more") == rbd_image.read(0, rbd_image.size())


def test_the_shuffled_reader_example_works(rbd_image: rbd.Image, rbd_ioctx: Any, run: Any) -> None:
    proof("numpy")
    where = "/".join(p for p in (rbd_ioctx.get_pool_name(), rbd_ioctx.get_namespace()) if p)
    output = run("shuffled_reader.py", f"{where}/{rbd_image.get_name()}", "--batches", 3)
    assert re.match(r"768 of 4096 rows in .* rows a second", output)
