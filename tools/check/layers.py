"""Check the rule of layers: a file includes only lower layers.

- Only cpp/bindings (and separate examples) include pybind11 and Python.h.
- Only cpp/src/loader.cpp calls dlopen and dlsym.
- No file of the library includes a header of Ceph.
- The library does not include the bindings. A public header includes only public headers of its
  own layer or a lower one, and never in a cycle.
- The topics of RADOS (rbdxx/rados, cpp/src/rados, cpp/bindings/rados) are below those of images.
- rbd/exceptions.py imports nothing from the package, neither at its top nor in a function.
- No Python module of the package or the tools imports itself through others. What only the type
  checker imports does not count.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Container, Dict, Iterator, List, Mapping, Set

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
    circles = in_circles(graph)
    return found + [
        f"cpp/include/rbdxx/{stem}.hpp: includes itself in a circle" for stem in circles
    ]


def in_circles(graph: Mapping[str, Set[str]]) -> Iterator[str]:
    """Return the nodes from which a way leads back to them."""
    for start in graph:
        seen: Set[str] = set()
        ahead = {start}
        while ahead:
            ahead = {after for node in ahead for after in graph.get(node, ())} - seen
            seen |= ahead
        if start in seen:
            yield start


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


def run_time(tree: ast.AST) -> Iterator[ast.AST]:
    """Return the nodes of a Python file without those for the type checker alone."""
    checked = isinstance(tree, ast.If) and "TYPE_CHECKING" in ast.unparse(tree.test)
    yield tree
    for node in tree.orelse if checked else ast.iter_child_nodes(tree):
        yield from run_time(node)


def edges(name: str, path: Path, known: Container[str]) -> Iterator[str]:
    """Return the known modules that one module imports at run time, anywhere in its file."""
    package = name if path.stem == "__init__" else name.rpartition(".")[0]
    for node in run_time(ast.parse(text_of(path))):
        wanted = [
            alias.name for alias in getattr(node, "names", ()) if isinstance(node, ast.Import)
        ]
        if isinstance(node, ast.ImportFrom):
            above = package.split(".")[: -node.level + 1 or None] if node.level else []
            base = ".".join([*above, *filter(None, [node.module])])
            inside = [f"{base}.{alias.name}" for alias in node.names]
            wanted = [one if one in known else base for one in inside]
        yield from (one for one in wanted if one in known and one != name)


def modules(root: Path) -> List[str]:
    paths = {"rbd._core": Path()}  # the extension
    for path in files(root, "python/rbd/*.py", "tools/*.py"):
        parts = (
            path.relative_to(root).with_suffix("").parts[path.parts[len(root.parts)] == "python" :]
        )
        paths[".".join(parts[: -1 if path.stem == "__init__" else None])] = path
    graph = {
        name: set(edges(name, path, paths)) for name, path in paths.items() if path.suffix == ".py"
    }
    return [
        f"{paths[name].relative_to(root).as_posix()}: imports itself in a circle"
        for name in in_circles(graph)
    ]


def findings(root: Path) -> List[str]:
    return library(root) + below_images(root) + headers(root) + leaf(root) + modules(root)
