"""Check the rule of layers: a file includes only lower layers.

- Only cpp/bindings (and separate examples) include pybind11 and Python.h.
- Only cpp/src/loader.cpp calls dlopen and dlsym.
- No file of the library includes a header of Ceph.
- The library does not include the bindings. A public header includes only public headers of its
  own layer or a lower one, and never in a cycle.
- The topics of RADOS (rbdxx/rados, cpp/src/rados, cpp/bindings/rados) are below those of images.
- rbd/exceptions.py imports nothing from the package, neither at its top nor in a function.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Dict, Iterator, List, Set

from tree import code_of, files, includes, text_of

PYTHON = re.compile(r"^(pybind11/|Python\.h$)")
CEPH = re.compile(r"^(rbd|rados)/")
LOADING = re.compile(r"\b(dlopen|dlmopen|dlsym|dlvsym)\s*\(")
LOADER = "cpp/src/loader.cpp"
# The layers below the topics, lowest first.
LAYERS = ({"abi"}, {"api"}, {"error", "handle", "secret", "sized"}, {"engine"})

# Above them come the topics of RADOS, whose stems begin so, and then those of images.
RADOS = "rados/"


def layer(stem: str) -> int:
    for number, names in enumerate(LAYERS):
        if stem in names:
            return number
    return len(LAYERS) + (not stem.startswith(RADOS))


def stem_of(name: str) -> str:
    """Return the layer word of an include: abi of rbdxx/abi/x.hpp, rados/pool of
    rbdxx/rados/pool.hpp.

    Each detail header is a separate layer word.
    """
    word = name.split("/", 1)[1]
    own = word.startswith((RADOS, "detail/"))
    return word.split(".")[0] if own else re.split(r"[./]", word)[0]


def library(root: Path) -> List[str]:
    found = []
    for path in files(root, "cpp/*.[ch]pp", "cpp/*.def"):
        name = path.relative_to(root).as_posix()
        if name.startswith("cpp/examples/"):
            continue
        bindings = name.startswith("cpp/bindings/")
        for included in includes(path):
            if PYTHON.match(included) and not bindings:
                found.append(f"{name}: includes {included}, outside cpp/bindings")
            private = not included.startswith("rbdxx/")
            folders = (root / "cpp/bindings", root / "cpp/bindings/support")
            quoted = any((folder / included).exists() for folder in folders)
            if CEPH.match(included) and not quoted:
                found.append(f"{name}: includes Ceph's {included}")
            if private and quoted and not bindings:
                found.append(f"{name}: includes {included} of the bindings above it")
            public = name.startswith("cpp/include/")
            if public and private and (root / "cpp/src" / included).exists():
                found.append(f"{name}: a public header includes {included} of cpp/src")
        if name != LOADER and LOADING.search(code_of(path)):
            found.append(f"{name}: loads symbols itself, which is {LOADER}'s alone")
    return found


def below_images(root: Path) -> List[str]:
    """Return where the sources or bindings of RADOS include a topic of images."""
    found = []
    highest = layer(RADOS)
    for path in files(root, "cpp/src/rados/*", "cpp/bindings/rados/*"):
        name = path.relative_to(root).as_posix()
        for included in includes(path):
            parts = included.split("/")
            topic = parts[0] == "rbdxx" and layer(stem_of(included)) > highest
            # The bindings' own headers of images: ../bind_x.hpp, ../support/image.hpp.
            if topic or (parts[0] == ".." and parts[-1].split(".")[0] in ("bindings", "image")):
                found.append(f"{name}: includes {included}, of the images above it")
    return found


def headers(root: Path) -> List[str]:
    found = []
    graph: Dict[str, Set[str]] = {}
    for path in files(root, "cpp/include/rbdxx/*.hpp"):
        parts = path.relative_to(root / "cpp/include").as_posix()
        own = stem_of(parts)
        for included in includes(path):
            if not included.startswith("rbdxx/"):
                continue
            other = stem_of(included)
            if layer(other) > layer(own):
                found.append(f"cpp/include/{parts}: includes {included}, of a higher layer")
            if other != own:
                graph.setdefault(own, set()).add(other)
    for start in graph:
        seen: Set[str] = set()
        ahead = {start}
        while ahead:
            ahead = {after for stem in ahead for after in graph.get(stem, ())} - seen
            seen |= ahead
        if start in seen:
            found.append(f"cpp/include/rbdxx/{start}.hpp: includes itself in a circle")
    return found


def imported(tree: ast.AST) -> Iterator[str]:
    """Return what a Python file imports anywhere; relative names keep their dots."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield "." * node.level + (node.module or "")
        elif isinstance(node, ast.Call):
            called = ast.unparse(node.func).split(".")[-1]
            if called in ("import_module", "__import__"):
                yield from (str(ast.literal_eval(name)) for name in node.args[:1])


def leaf(root: Path) -> List[str]:
    path = root / "python/rbd/exceptions.py"
    names = imported(ast.parse(text_of(path))) if path.exists() else iter(())
    own = [name for name in names if name.startswith(".") or name.split(".")[0] == "rbd"]
    return [f"python/rbd/exceptions.py: imports {name}, but is a leaf" for name in own]


def findings(root: Path) -> List[str]:
    return library(root) + below_images(root) + headers(root) + leaf(root)
