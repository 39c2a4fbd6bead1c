"""Check the symmetry of topics: one word names a topic's header, source, binding and test.

Each cpp/bindings/bind_X.cpp defines bind_X, which module.cpp calls, and has a tests/test_X.py. The
topics of RADOS are in a folder rados of each place, and their tests are tests/test_rados_X.py. Each
public header has a source of its name, and the reverse. Other names are in the list below.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import List, Set

from tree import code_of, files

# Headers without a source: they only have plain numbers.
HEADER_ONLY = {"constants"}


def stems(root: Path, directory: str, prefix: str, suffix: str) -> Set[str]:
    return {path.stem[len(prefix) :] for path in (root / directory).glob(f"{prefix}*{suffix}")}


# The folder below each of the places, and the beginning of its tests' names.
ROOMS = (("", ""), ("/rados", "rados_"))


def findings(root: Path) -> List[str]:
    return [finding for folder, prefix in ROOMS for finding in of_room(root, folder, prefix)]


def of_room(root: Path, folder: str, prefix: str) -> List[str]:
    found = []
    include, source, bindings = (
        place + folder for place in ("cpp/include/rbdxx", "cpp/src", "cpp/bindings")
    )
    public = stems(root, include, "", ".hpp")
    sources = stems(root, source, "", ".cpp")
    # A source with a header beside it is internal to the library.
    private = stems(root, source, "", ".hpp")
    tests = stems(root, "tests", f"test_{prefix}", ".py")
    for word in sorted(public - sources - HEADER_ONLY):
        found.append(f"{include}/{word}.hpp: has no {source}/{word}.cpp")
    for word in sorted(sources - public - private):
        found.append(f"{source}/{word}.cpp: has no {include}/{word}.hpp")
    module = root / bindings / "module.cpp"
    contents = code_of(module) if module.exists() else ""
    for path in files(root, f"{bindings}/bind_*.cpp"):
        if path.parent != root / bindings:
            continue
        word = path.stem[len("bind_") :]
        name = f"{bindings}/{path.name}"
        if not re.search(rf"^void bind_{word}\(", code_of(path), flags=re.M):
            found.append(f"{name}: defines no bind_{word}")
        if not re.search(rf"\bbind_{word}\(", contents):
            found.append(f"{name}: module.cpp does not call bind_{word}")
        if word not in tests:
            found.append(f"{name}: has no tests/test_{prefix}{word}.py")
    return found
