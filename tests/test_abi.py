"""The ABI table against real headers and the real library, and proof that each check can fail.

Reads /usr/include, or the directories that RBD_TEST_HEADERS lists (separated by colons).
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import List, Tuple

import pytest

import rbd
from rbd import _core

sys.path.insert(0, str(Path(__file__).parent / "abi"))

import generate as abi

INCLUDES = os.environ.get("RBD_TEST_HEADERS", "/usr/include").split(os.pathsep)
COMPILER = os.environ.get("CXX") or shutil.which("c++") or shutil.which("g++")


@pytest.fixture(scope="module", params=INCLUDES)
def header(request: pytest.FixtureRequest) -> abi.Header:
    header = abi.read_header(Path(request.param))
    if header is None:
        pytest.skip(f"no rbd/librbd.h in {request.param}: install librbd-dev")
    return header


def compiles(directory: Path, header: abi.Header, table: Path = abi.ABI) -> Tuple[bool, str]:
    if COMPILER is None:
        pytest.skip("no C++ compiler: install g++")
    source = directory / "check.cpp"
    source.write_text(abi.generate(abi.read_table(table), header))
    command = [COMPILER, "-std=c++17", "-fsyntax-only", "-Wall", "-Wextra", "-Werror"]
    # Only plain structs have defined offsets. The table also has deprecated functions.
    command += ["-Wno-deprecated-declarations", "-Wno-unused-function"]
    # The compiler's own search path stays; another release's headers go before it.
    if header.include != Path("/usr/include"):
        command += ["-I", str(header.include)]
    command += ["-I", str(table.parents[1]), str(source)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    return done.returncode == 0, done.stderr


def test_table_is_true_of_the_header(header: abi.Header, tmp_path: Path) -> None:
    good, messages = compiles(tmp_path, header)
    assert good, messages


def test_header_declares_what_the_release_column_says(header: abi.Header) -> None:
    assert abi.differences(abi.read_table(), header) == []


def test_generator_reads_the_whole_table() -> None:
    table = abi.read_table()
    rows = [(function.name, function.release) for function in table.functions]
    assert sorted(rows) == sorted((name, release) for name, release, _ in _core.table())
    # ECANCELED is a constant of the system, not of librbd.
    ours = {*_core.constants, *_core.rados.constants} - {"ECANCELED"}
    assert {constant.name for constant in table.constants} == ours
    assert all(table.structs.values())


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """Return a copy of the table that a test may change."""
    return Path(shutil.copytree(abi.ABI, tmp_path / "include" / "rbdxx" / "abi"))


BREAKAGES = {
    "parameter": ("librbd.def", r"rbd_resize, \(rbd_image_t image, uint64_t", r"\g<0>*"),
    "result": ("librbd.def", r"int64_t, rbd_get_data_pool_id", "int, rbd_get_data_pool_id"),
    "too few parameters": ("librbd.def", r", int\* extra\)", ")"),
    "rados function": ("librados.def", r"unsigned maxlen", "size_t maxlen"),
    "field type": ("types.hpp", r"uint64_t obj_size;", "int64_t obj_size;"),
    "field order": ("types.hpp", r"(char\* id;)(\s+)(char\* name;)", r"\3\2\1"),
    "field dropped": ("types.hpp", r"    bool up;\n", ""),
    "field too short": ("types.hpp", r"parent_name\[96\]", "parent_name[88]"),
    "width of an enumeration": ("types.hpp", r"(rbd_lock_mode_t :) unsigned int", r"\1 uint64_t"),
    "handle": ("types.hpp", r"using rbd_image_t = void\*", "using rbd_image_t = int*"),
    "constant": ("constants.def", r"FEATURE_LAYERING, 1\)", "FEATURE_LAYERING, 2)"),
    "enumerator": ("constants.def", r"(MIRROR_MODE_POOL), 2\)", r"\1, 1)"),
    "type of an enumerator": (
        "constants.def",
        r"rbd_lock_mode_t, RBD_, LOCK",
        "rbd_config_source_t, RBD_, LOCK",
    ),
    "text": ("constants.def", '"mon_host"', '"mon_hosts"'),
}


@pytest.mark.parametrize("kind", BREAKAGES)
def test_a_wrong_table_does_not_compile(
    kind: str, header: abi.Header, copy: Path, tmp_path: Path
) -> None:
    file, pattern, replacement = BREAKAGES[kind]
    text, count = re.subn(pattern, replacement, (copy / file).read_text(), count=1)
    assert count == 1
    (copy / file).write_text(text)
    good, messages = compiles(tmp_path, header, copy)
    assert not good
    assert "static assertion failed" in messages or "decompose" in messages or "was not" in messages


def spoiled(copy: Path, pattern: str, replacement: str, header: abi.Header) -> List[str]:
    text, count = re.subn(pattern, replacement, (copy / "librbd.def").read_text(), count=1)
    assert count == 1
    (copy / "librbd.def").write_text(text)
    return abi.differences(abi.read_table(copy), header)


def test_a_wrong_release_is_found(header: abi.Header, copy: Path) -> None:
    later = spoiled(copy, r"\(14, int, rbd_open,", "(99, int, rbd_open,", header)
    assert len(later) == int(header.exact)
    row = r"RBDXX_FUNCTION\(99, int, rbd_open,"
    earlier = spoiled(copy, row, "RBDXX_FUNCTION(14, int, rbd_open_sesame,", header)
    assert any("rbd_open_sesame" in line for line in earlier)


def test_a_missing_row_is_found(header: abi.Header, copy: Path) -> None:
    if not header.exact:
        pytest.skip("a release between two of the table's may have more functions")
    lost = spoiled(copy, r"RBDXX_FUNCTION\(14, int, rbd_flush,[^)]*\)\)", "", header)
    assert lost == ["rbd_flush: not in the table"]


def loaded_release() -> int:
    release, exact = abi.release_of(rbd.library_info().version[:2])
    if not exact:
        pytest.skip("the loaded librbd lies between two releases of the table")
    return release


def test_loaded_library_has_what_the_release_column_says() -> None:
    release = loaded_release()
    missing = {name for name, since, _ in _core.table() if since > release}
    # The newer name replaced the older one.
    renamed = {"rados_blacklist_add", "rados_blocklist_add"}
    assert set(rbd.library_info().missing) - renamed == missing - renamed


def test_the_loaded_library_exports_what_the_table_says() -> None:
    if shutil.which("nm") is None:
        pytest.skip("no nm: install binutils")
    release = loaded_release()
    command = ["nm", "-D", "--defined-only", rbd.library_info().path]
    output = subprocess.run(command, capture_output=True, text=True, timeout=100, check=True).stdout
    exported = set(re.findall(r" T (rbd_\w+)$", output, flags=re.M))
    table = {name for name, since, rados in _core.table() if since <= release and not rados}
    assert exported == table
