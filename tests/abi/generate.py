"""Turn the ABI table into a C++ file of static assertions against a real rbd/librbd.h.

The table (cpp/include/rbdxx/abi) is read as text, so that there is no second list. A compiler
cannot tell whether a header declares exactly what the release column says. `differences()` finds
that in the header's text.

    python tests/abi/generate.py --include /usr/include > check.cpp
"""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path
from typing import Dict, Iterator, List, NamedTuple, Optional, Set, Tuple

ROOT = Path(__file__).resolve().parents[2]
ABI = ROOT / "cpp" / "include" / "rbdxx" / "abi"
RELEASES = ROOT / "tools" / "releases.json"
HEADERS = ("rbd/librbd.h", "rbd/features.h", "rados/librados.h", "rados/rados_types.h")


class Function(NamedTuple):
    release: int
    result: str
    name: str
    parameters: str  # with the parentheses


class Constant(NamedTuple):
    release: int
    type: str  # empty for a text
    name: str
    value: str


class Table(NamedTuple):
    """The contents of cpp/include/rbdxx/abi."""

    functions: List[Function]
    constants: List[Constant]
    aliases: List[str]
    enums: List[str]
    structs: Dict[str, List[Tuple[str, str]]]  # name: (type, field) in order


class Header(NamedTuple):
    """An installed header: its text without comments, and the release that it belongs to."""

    include: Path
    text: str
    release: int
    exact: bool  # whether the release is one of the table's, and not between two of them

    def mentions(self, name: str) -> bool:
        return re.search(rf"\b{name}\b", self.text) is not None


def without_comments(text: str) -> str:
    return re.sub(r"/\*.*?\*/|//[^\n]*", "", text, flags=re.S)


def calls(text: str, macro: str) -> Iterator[List[str]]:
    """Return the arguments of each use of a macro, split at the commas outside parentheses."""
    for match in re.finditer(rf"^{macro}\(", text, flags=re.M):
        depth, start, arguments = 1, match.end(), []
        for position in range(match.end(), len(text)):
            letter = text[position]
            depth += {"(": 1, ")": -1}.get(letter, 0)
            if depth == 0 or (depth == 1 and letter == ","):
                arguments.append(" ".join(text[start:position].split()))
                start = position + 1
            if depth == 0:
                break
        yield arguments


def read_table(abi: Path = ABI) -> Table:
    """Read the table's files in the directory `abi`."""
    functions = [
        Function(int(release), result, name, parameters)
        for file in ("librbd.def", "librados.def")
        for release, result, name, parameters in calls(
            without_comments((abi / file).read_text()), "RBDXX_FUNCTION"
        )
    ]
    text = "\n".join(
        without_comments((abi / file).read_text())
        for file in ("constants.def", "rados_constants.def")
    )
    constants = [
        Constant(int(release), kind, prefix + name, value)
        for release, kind, prefix, name, value in calls(text, "RBDXX_CONSTANT")
    ]
    constants += [
        Constant(int(release), "", prefix + name, value)
        for release, prefix, name, value in calls(text, "RBDXX_TEXT")
    ]
    text = without_comments((abi / "types.hpp").read_text())
    structs = {
        name: re.findall(r"([\w\s*]+?[\s*])(\w+(?:\[\d+\])?);", body)
        for name, body in re.findall(r"^struct (\w+) \{(.*?)^\};", text, flags=re.M | re.S)
    }
    return Table(
        functions,
        constants,
        aliases=re.findall(r"^using (\w+) =", text, flags=re.M),
        enums=re.findall(r"^enum (\w+)", text, flags=re.M),
        structs={
            name: [(" ".join(kind.split()), field) for kind, field in fields]
            for name, fields in structs.items()
        },
    )


def releases() -> Dict[Tuple[int, int], int]:
    """Return librbd's (major, minor) of each supported release, with Ceph's number."""
    rows = json.loads(RELEASES.read_text())["releases"]
    return {
        (int(row["librbd"].split(".")[0]), int(row["librbd"].split(".")[1])): int(
            row["ceph"].split(".")[0]
        )
        for row in rows
    }


def release_of(version: Tuple[int, int]) -> Tuple[int, bool]:
    """Return the newest supported release up to librbd's version, and whether they are equal."""
    known = releases()
    older = [release for candidate, release in known.items() if candidate <= version]
    return max(older, default=0), version in known


def read_header(include: Path) -> Optional[Header]:
    """Read the header under an include directory. Return None if there is none."""
    if not (include / HEADERS[0]).exists():
        return None
    text = without_comments("\n".join((include / name).read_text() for name in HEADERS))
    major, minor = (
        int(re.search(rf"define LIBRBD_VER_{part} (\d+)", text).group(1))  # type: ignore[union-attr]
        for part in ("MAJOR", "MINOR")
    )
    release, exact = release_of((major, minor))
    return Header(include, text, release, exact)


def fields(name: str, members: List[Tuple[str, str]]) -> Iterator[str]:
    """Return the assertions on a struct: size, number of fields, types and offsets."""
    yield f"static_assert(sizeof(::{name}) == sizeof(rbdxx::abi::{name}));"
    names = ", ".join(f"field{i}" for i in range(len(members)))
    # This compiles only if the struct has as many fields as the table.
    yield (
        f"inline void count(const ::{name}& record) {{"
        f" [[maybe_unused]] const auto& [{names}] = record; }}"
    )
    for kind, field in members:
        plain, _, extent = field.partition("[")
        where = f"{name}, {plain}"
        yield f"static_assert(offsetof(::{where}) == offsetof(rbdxx::abi::{where}));"
        whole = f"{kind}[{extent}" if extent else kind
        yield f"static_assert(std::is_same_v<decltype(::{name}::{plain}), {whole}>);"


def generate(table: Table, header: Header) -> str:
    """Return the C++ file. It compiles if the header agrees with the table."""
    lines = [
        "#include <rbd/librbd.h>",
        "#include <rados/librados.h>",
        "#include <rbdxx/abi/types.hpp>",
        "#include <cstddef>",
        "#include <string_view>",
        "#include <type_traits>",
    ]
    for alias in filter(header.mentions, table.aliases):
        lines.append(f"static_assert(std::is_same_v<::{alias}, rbdxx::abi::{alias}>);")
    for enum in filter(header.mentions, table.enums):
        ours, theirs = (f"std::underlying_type_t<{space}::{enum}>" for space in ("rbdxx::abi", ""))
        lines.append(f"static_assert(std::is_same_v<{ours}, {theirs}>);")
    for name, members in table.structs.items():
        if header.mentions(name):
            lines += fields(name, members)
    for function in table.functions:
        if function.release <= header.release:
            pointer = f"{function.result} (*){function.parameters}"
            lines.append(f"static_assert(std::is_same_v<decltype(&::{function.name}), {pointer}>);")
    for constant in table.constants:
        there = constant.release <= header.release
        if not there and not (header.exact and header.mentions(constant.name)):
            continue
        sign = "==" if there else "!="
        if not constant.type:
            lines.append(
                f"static_assert(std::string_view({constant.name}) {sign} {constant.value});"
            )
            continue
        lines.append(
            f"static_assert(static_cast<long long>({constant.name}) {sign} {constant.value}LL);"
        )
        if constant.type in table.enums and there:
            lines.append(
                f"static_assert(std::is_same_v<decltype({constant.name}), ::{constant.type}>);"
            )
    return "\n".join(lines) + "\n"


def declared(header: Header) -> Set[str]:
    """Return librbd's functions that the header declares."""
    return set(re.findall(r"\b(rbd_\w+)\s*\(", (re.sub(r"\btypedef\b[^;{]*;", "", header.text))))


def differences(table: Table, header: Header) -> List[str]:
    """Return the differences of header and release column; empty for a correct table."""
    wrong = []
    names = declared(header)
    for function in table.functions:
        wanted = function.release <= header.release
        found = header.mentions(function.name)
        if wanted != found and (wanted or header.exact):
            wrong.append(f"{function.name}: since {function.release} in the table, {found=}")
    if header.exact:
        known = {function.name for function in table.functions}
        wrong += [f"{name}: not in the table" for name in sorted(names - known)]
        enumerators = {
            name
            for body in re.findall(r"\benum\s*\w*\s*\{(.*?)\}", header.text, flags=re.S)
            for name in re.findall(r"\b((?:RBD|MIRROR|EVENT)_\w+)", body)
        }
        constants = {constant.name for constant in table.constants}
        wrong += [f"{name}: not among the constants" for name in sorted(enumerators - constants)]
    if header.release == max(releases().values()):
        types = [*table.aliases, *table.enums, *table.structs]
        wrong += [f"{name}: no such type" for name in types if not header.mentions(name)]
    return wrong


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--include", type=Path, default=Path("/usr/include"))
    parser.add_argument("--abi", type=Path, default=ABI)
    arguments = parser.parse_args()
    header = read_header(arguments.include)
    if header is None:
        raise SystemExit(f"there is no {arguments.include / HEADERS[0]}")
    print(generate(read_table(arguments.abi), header), end="")


if __name__ == "__main__":
    main()
