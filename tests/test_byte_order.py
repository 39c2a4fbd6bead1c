"""Streams on a machine of the other byte order: their integers are always little-endian.

A program that a cross compiler makes for s390x reads and writes the records in qemu. `./dev matrix
--part architectures` runs the whole package on that processor.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Iterator, List, Tuple

import pytest

from fuzz import targets
from rbd import _core, transfer
from support import fakerbd

SOURCE = Path(__file__).parent / "support" / "records_elsewhere.cpp"
RECORDS = Path(__file__).parents[1] / "cpp" / "src" / "records.cpp"
MACHINES = {
    "this": ((fakerbd.compiler() or "c++",), ()),
    "big": (("s390x-linux-gnu-g++", "-static"), ("qemu-s390x-static",)),
}


def streams() -> Iterator[bytes]:
    corpus = Path(targets.__file__).with_name("corpus")
    for name in targets.TARGETS:
        yield from targets.seeds()[name]
        yield from (path.read_bytes() for path in sorted((corpus / name).glob("*")))


def by_this_package(stream: bytes, version: int) -> List[Tuple[int, int, int]]:
    """Return the records at every offset of the stream, as the extension of this machine reads
    them."""
    places = []
    for at in range(len(stream)):
        found: List[Tuple[int, int, bool]] = []
        _core._list_records(stream[at:], version, (1 << 64) - 1, found)
        places += [(at, offset, length) for offset, length, _ in found[:1]]
    return places


@pytest.mark.parametrize("machine", MACHINES)
def test_records_are_the_same_on_every_machine(machine: str, tmp_path: Path) -> None:
    (compiler, *options), runner = MACHINES[machine]
    for tool in (compiler, *runner):
        if shutil.which(tool) is None:
            pytest.skip(f"no {tool}: install g++-s390x-linux-gnu and qemu-user-static")
    program = tmp_path / "records"
    include = ["-I", str(RECORDS.parents[1] / "include")]
    command = [compiler, *options, "-std=c++17", *include, str(SOURCE), str(RECORDS)]
    subprocess.run([*command, "-o", str(program)], check=True, timeout=110)
    seen = 0
    for stream in streams():
        for version in (1, 2):
            line = [*runner, str(program), str(version)]
            said = subprocess.run(line, input=stream, check=True, capture_output=True, timeout=60)
            order, *lines = said.stdout.decode().splitlines()
            assert order == ("big" if machine == "big" else order)
            rows = [row.split() for row in lines]
            found = [(int(at), int(offset), int(length)) for at, offset, length, _, _ in rows]
            assert found == by_this_package(stream, version)
            assert {same for *_, same in rows} <= {"same"}
            seen += len(found)
    assert seen > 20


def test_stream_formats_name_their_byte_order() -> None:
    formats = []
    for path in Path(transfer.__file__).parent.glob("*.py"):
        formats += re.findall(r"struct\.\w+\(\s*[\"'](.*?)[\"']", path.read_text())
    assert len(formats) > 4
    assert [one for one in formats if not one.startswith("<")] == []
