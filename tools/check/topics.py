"""Topic symmetry: one word names a topic's header, source, binding and test.

Each cpp/bindings/bind_X.cpp defines bind_X, which module.cpp calls, and has a tests/test_X.py.
Each public header has a source of its name and the other way round. What is no topic stands in the
list below.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import List, Set

from tree import code_of, files

# Headers that are all there is: plain numbers.
HEADER_ONLY = {"constants"}


def stems(root: Path, directory: str, prefix: str, suffix: str) -> Set[str]:
    return {path.stem[len(prefix) :] for path in (root / directory).glob(f"{prefix}*{suffix}")}


def findings(root: Path) -> List[str]:
    found = []
    public = stems(root, "cpp/include/rbdxx", "", ".hpp")
    sources = stems(root, "cpp/src", "", ".cpp")
    # With a header beside it, a source is the library's own affair.
    private = stems(root, "cpp/src", "", ".hpp")
    tests = stems(root, "tests", "test_", ".py")
    for word in sorted(public - sources - HEADER_ONLY):
        found.append(f"cpp/include/rbdxx/{word}.hpp: has no cpp/src/{word}.cpp")
    for word in sorted(sources - public - private):
        found.append(f"cpp/src/{word}.cpp: has no cpp/include/rbdxx/{word}.hpp")
    module = root / "cpp/bindings/module.cpp"
    contents = code_of(module) if module.exists() else ""
    for path in files(root, "cpp/bindings/bind_*.cpp"):
        word = path.stem[len("bind_") :]
        name = f"cpp/bindings/{path.name}"
        if not re.search(rf"^void bind_{word}\(", code_of(path), flags=re.M):
            found.append(f"{name}: defines no bind_{word}")
        if not re.search(rf"\bbind_{word}\(", contents):
            found.append(f"{name}: module.cpp does not call bind_{word}")
        if word not in tests:
            found.append(f"{name}: has no tests/test_{word}.py")
    return found
