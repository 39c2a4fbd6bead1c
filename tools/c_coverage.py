#!/usr/bin/env python3
"""Write docs/coverage.md: what stands for each C function of the ABI table.

    tools/c_coverage.py [--check] [--gaps]

The functions and their releases come from the built module's table, the Python names from the
`Implements:` lines of its docstrings, the C++ topics from the sources that call the function.
tools/c_coverage.json has only what no code can tell: which newer form supersedes an older one, and
why the library does not offer a function.
"""

from __future__ import annotations

import argparse
import importlib
import inspect
import json
import pkgutil
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any, Dict, Iterator, List, NamedTuple, Set, Tuple

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "coverage.md"
REASONS = ROOT / "tools" / "c_coverage.json"

HEAD = """\
# Coverage of the C API

<!-- Written by tools/c_coverage.py; change the code or tools/c_coverage.json instead. -->

This page lists each function of librbd's C API, and the functions of librados' C API that users of
block devices and objects need. It names the Ceph release that brought a function, and what stands
for the function here: the Python name that implements it, or the newer form of the same call, or
the C++ topic of `rbdxx` that uses it and why, or the reason why a program does not need it.
`rbd.supports("rbd_x")` returns whether the loaded library has a function.
"""


class Row(NamedTuple):
    function: str
    release: int
    rados: bool
    python: Tuple[str, ...]
    topics: Tuple[str, ...]
    note: str

    @property
    def gap(self) -> bool:
        return not self.python and not self.note


def modules(package: ModuleType) -> Iterator[ModuleType]:
    yield package
    for info in pkgutil.iter_modules(package.__path__):
        if not info.name.startswith("__") and info.name != "testing":
            module = importlib.import_module(f"{package.__name__}.{info.name}")
            yield module
            for inner in pkgutil.iter_modules(getattr(module, "__path__", ())):
                if not inner.name.startswith("_"):
                    yield importlib.import_module(f"{module.__name__}.{inner.name}")


def documented(module: ModuleType) -> Iterator[Tuple[str, Any]]:
    """Return the functions of a module and the methods of its classes, by their public names."""
    # The classes of rbd.aio.image belong to rbd.aio, and those of the extension to rbd.
    public = "rbd" if module.__name__ == "rbd._core" else ".".join(module.__name__.split(".")[:2])
    for name, value in vars(module).items():
        if inspect.isclass(value) and value.__module__ == module.__name__:
            yield f"{public}.{name}", value
            for method in vars(value):
                # The class's own attribute, as a program reaches it.
                shown = f"{public}.{name}" if method == "__init__" else f"{public}.{name}.{method}"
                yield shown, getattr(value, method)
        elif callable(value) and getattr(value, "__module__", None) == module.__name__:
            yield f"{public}.{name}", value


def claims(text: str) -> Set[str]:
    """Return the C functions that a docstring says it implements."""
    return {
        name
        for line in re.findall(r"Implements:\s*(\w+(?:,\s*\w+)*)", text)
        for name in re.findall(r"\b(?:rbd|rados)_\w+", line)
    }


def implementations(package: ModuleType) -> Dict[str, Set[str]]:
    """Return the Python names for each C function that a docstring of the package names."""
    found: Dict[str, Set[str]] = {}
    for module in modules(package):
        for name, value in documented(module):
            for function in claims(inspect.getdoc(value) or ""):
                found.setdefault(function, set()).add(name)
    return found


def callers(root: Path) -> Dict[str, Set[str]]:
    """Return the topics (file stems) whose C++ sources call each C function."""
    found: Dict[str, Set[str]] = {}
    sources = [*root.glob("cpp/src/**/*.?pp"), *root.glob("cpp/include/rbdxx/**/*.hpp")]
    sources += [*root.glob("cpp/bindings/**/*.?pp")]
    for source in sources:
        code = re.sub(r'//[^\n]*|"(?:[^"\\]|\\.)*"', "", source.read_text())
        topic = re.sub(r"^bind_", "", source.stem)
        for name in re.findall(r"\b(?:rbd|rados)_\w+", code):
            found.setdefault(name, set()).add(topic)
    return found


def rows(
    table: List[Tuple[str, int, bool]],
    python: Dict[str, Set[str]],
    called: Dict[str, Set[str]],
    reasons: Dict[str, Dict[str, str]],
) -> List[Row]:
    """Return one row for each function. Raises ValueError if the reasons contradict the code."""
    known = {name for name, _, _ in table}
    superseded, internal = reasons["superseded"], reasons["internal"]
    unneeded = reasons["unneeded"]
    wrong = [
        f"{name} is not a function of the table"
        for name in sorted({*python, *superseded, *internal, *unneeded} - known)
    ]
    result = []
    for name, release, rados in table:
        names = tuple(sorted(python.get(name, ())))
        topics = tuple(sorted(called.get(name, ())))
        note = ""
        newer = superseded.get(name)
        if newer is not None:
            if newer not in known or newer in superseded:
                wrong.append(f"{name} is superseded by {newer}, which is not the newest form")
            note = f"superseded by `{newer}`"
            if topics:
                note += ", called if that is missing"
        elif name in internal:
            if not topics:
                wrong.append(f"{name} is said to be used inside, but no source calls it")
            note = internal[name]
        elif name in unneeded:
            if topics:
                wrong.append(f"{name} is said not to be needed, but {topics[0]} calls it")
            note = unneeded[name]
        elif topics and re.search(r"_(cleanup|end)$", name):
            note = "frees the result of the call before it"
        if names and not topics:
            wrong.append(f"{', '.join(names)} claims {name}, which no source calls")
        result.append(Row(name, release, rados, names, topics, note))
    if wrong:
        raise ValueError("\n".join(wrong))
    return result


def page(all_rows: List[Row]) -> str:
    """Return the text of docs/coverage.md."""
    text = HEAD
    for title, rados in (("librbd", False), ("librados", True)):
        chosen = [row for row in all_rows if row.rados is rados]
        text += f"\n## {title}: {len(chosen)} functions\n\n"
        text += "| C function | since Ceph | Python | C++ topic | note |\n|---|---|---|---|---|\n"
        for row in chosen:
            python = ", ".join(f"`{name}`" for name in row.python)
            topics = ", ".join(f"`{topic}`" for topic in row.topics)
            note = "**not offered yet**" if row.gap else row.note
            text += f"| `{row.function}` | {row.release} | {python} | {topics} | {note} |\n"
    return text


def current() -> List[Row]:
    """Return the rows of this checkout and the installed package."""
    package = importlib.import_module("rbd")
    core = importlib.import_module("rbd._core")
    reasons = json.loads(REASONS.read_text())
    return rows(core.table(), implementations(package), callers(ROOT), reasons)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--check", action="store_true", help="fail if the page is out of date")
    parser.add_argument("--gaps", action="store_true", help="print the unexplained functions")
    arguments = parser.parse_args()
    all_rows = current()
    if arguments.gaps:
        print(*[row.function for row in all_rows if row.gap], sep="\n")
        return 0
    text = page(all_rows)
    if arguments.check:
        if not PAGE.exists() or PAGE.read_text() != text:
            print(f"{PAGE} is out of date: run tools/c_coverage.py", file=sys.stderr)
            return 1
        return 0
    PAGE.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
