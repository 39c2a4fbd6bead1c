"""Write the stubs of rbd.aio's derived classes and functions from the original stubs.

    python tools/aio_stubs.py          write them
    python tools/aio_stubs.py --check  fail if they are out of date

The awaitable form of a method has the same parameters; see python/rbd/aio/_methods.py.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, Dict, Iterator, List, Set, Tuple

PACKAGE = Path(__file__).parents[1] / "python" / "rbd"
HEAD = '"""Written by tools/aio_stubs.py."""\n\n'
#: The wider type of a parameter that takes an object of `rbd`.
WIDER = {
    "AnyIoctx": "Union[AnyIoctx, AsyncIoctx]",
    "Image": "Union[Image, AsyncImage]",
}
#: The type that is returned in place of an object of `rbd`.
RESULTS = {"AnyFile": "AnyFile", "Watch": "AsyncWatch"}


def tree_of(*names: str) -> ast.Module:
    return ast.parse(PACKAGE.joinpath(*names).read_text())


def constant(module: ast.Module, name: str) -> Tuple[str, ...]:
    """Return the value of a tuple of names that a module assigns."""
    for node in module.body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", None) == name:
            value: Tuple[str, ...] = ast.literal_eval(node.value)
            return value
    raise KeyError(name)


def classes(module: ast.Module) -> Dict[str, ast.ClassDef]:
    return {node.name: node for node in module.body if isinstance(node, ast.ClassDef)}


def items(module: ast.Module) -> Dict[str, str]:
    """Return the items of each iterator of the extension: the iterator becomes a list."""
    found = {}
    for name, cls in classes(module).items():
        for node in cls.body:
            if isinstance(node, ast.FunctionDef) and node.name == "__iter__":
                match = re.fullmatch(r"Iterator\[(.*)\]", ast.unparse(node.returns or node))
                if match and name.endswith("Iterator"):
                    found[name] = f"List[{match[1]}]"
    return found


def replaced(annotation: ast.expr, words: Dict[str, str]) -> ast.expr:
    """Return an annotation with other names, each replaced once."""
    text = ast.unparse(annotation)
    return ast.parse(re.sub(r"\b\w+\b", lambda m: words.get(m[0], m[0]), text), mode="eval").body


def awaitable(node: ast.FunctionDef, results: Dict[str, str]) -> str:
    """Return the asynchronous form of a function's stub."""
    arguments = node.args
    for argument in [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]:
        if argument.annotation is not None:
            argument.annotation = replaced(argument.annotation, WIDER)
    assert node.returns is not None
    decorators = "".join(f"@{ast.unparse(each)}\n" for each in node.decorator_list)
    returns = ast.unparse(replaced(node.returns, results))
    return f"{decorators}async def {node.name}({ast.unparse(arguments)}) -> {returns}: ..."


def methods(cls: ast.ClassDef, results: Dict[str, str], wanted: Any) -> Iterator[str]:
    for node in cls.body:
        if isinstance(node, ast.FunctionDef) and wanted(node.name):
            if any(getattr(each, "id", "") == "property" for each in node.decorator_list):
                continue
            text = awaitable(node, results)
            yield "\n".join("    " + line for line in text.splitlines())


def imports(modules: List[Tuple[ast.Module, str, int]], body: str) -> List[str]:
    """Return the import lines for the names that a stub's body uses.

    modules: the modules that the body came from, with the path of each from `rbd.aio`, and how much
    deeper the stub is.
    """
    used = set(re.findall(r"\b[A-Za-z_]\w*\b", body)) - set(re.findall(r"def (\w+)", body))
    lines: Set[str] = set()
    for module, own, deeper in modules:
        for node in ast.walk(module):
            if isinstance(node, ast.ImportFrom):
                level = "." * (node.level + deeper) if node.level else ""
                for alias in node.names:
                    if alias.name in used and node.module != "__future__":
                        lines.add(f"from {level}{node.module or ''} import {alias.name}")
            elif isinstance(node, ast.Import):
                for alias in node.names:
                    if f"{alias.name}." in body:
                        lines.add(f"import {alias.name}")
        for node in module.body:
            names = [getattr(node, "name", "")] + [
                getattr(target, "id", "") for target in getattr(node, "targets", [])
            ]
            lines.update(f"from {own} import {name}" for name in names if name in used and own)
    return sorted(lines)


OURS = {
    "AsyncImage": "from .image import AsyncImage",
    "AsyncIoctx": "from .ioctx import AsyncIoctx",
    "AsyncWatch": "from .watch import AsyncWatch",
    "Twin": "from ._twins import Twin",
    "Union": "from typing import Union",
    "List": "from typing import List",
    "AsyncIterable": "from typing import AsyncIterable",
    "AsyncIterator": "from typing import AsyncIterator",
}


def ours(body: str) -> List[str]:
    return [line for name, line in OURS.items() if re.search(rf"\b{name}\b", body)]


def methods_stub() -> str:
    core, bound = tree_of("_core.pyi"), tree_of("rados", "_bound.pyi")
    source = tree_of("aio", "_methods.py")
    left_out = constant(source, "IMAGE_LEFT_OUT")
    rados = constant(source, "RADOS")
    results = {**RESULTS, **items(core)}

    def public(name: str) -> bool:
        return not name.startswith(("_", "aio_"))

    parts = [
        ("ImageMethods", core, "Image", lambda name: public(name) and name not in left_out),
        ("RBDMethods", core, "RBD", public),
        ("GroupMethods", core, "Group", public),
        ("RadosMethods", bound, "Rados", lambda name: name in rados),
    ]
    body = ""
    for name, module, of, wanted in parts:
        body += f"class {name}(Twin):\n"
        body += "\n".join(methods(classes(module)[of], results, wanted)) + "\n\n"
    body += "RADOS: Tuple[str, ...]\nIMAGE_LEFT_OUT: Tuple[str, ...]\n"
    lines = imports([(core, ".._core", 1), (bound, "..rados._bound", 0)], body)
    return HEAD + "\n".join(sorted({*lines, *ours(body)})) + "\n\n" + body


def transfer_stub() -> str:
    package = tree_of("transfer", "__init__.py")
    here = tree_of("aio", "transfer.py")
    names = {
        alias.name: str(node.module)
        for node in ast.walk(package)
        if isinstance(node, ast.ImportFrom) and node.level
        for alias in node.names
    }
    body, modules, shown = "", [], []
    for name, module in sorted(names.items()):
        tree = tree_of("transfer", f"{module}.py")
        for node in tree.body:
            if isinstance(node, ast.FunctionDef) and node.name == name:
                for argument in node.args.args:
                    if argument.annotation is not None:
                        argument.annotation = replaced(
                            argument.annotation,
                            {"StreamArgument": "_Source" if argument.arg != "dest" else "_Dest"},
                        )
                body += awaitable(node, {}) + "\n"
                modules.append((tree, "", 1))
            elif isinstance(node, ast.ClassDef) and node.name == name:
                shown.append(f"from ..transfer import {name} as {name}")
    for node in here.body:
        if isinstance(node, ast.FunctionDef) and node.name.startswith("stream_"):
            assert node.returns is not None
            body += (
                f"def {node.name}({ast.unparse(node.args)}) -> {ast.unparse(node.returns)}: ...\n"
            )
    head = (
        "_Source = Union[StreamArgument, AsyncIterable[bytes], asyncio.StreamReader]\n"
        "_Dest = Union[StreamArgument, asyncio.StreamWriter]\n\n"
    )
    lines = [
        re.sub(r"^from \.\.(?=\w)", "from ..transfer.", line)
        if not re.match(r"from \.\.(\.|$)", line)
        else line.replace("from ...", "from ..", 1)
        for line in imports(modules, head + body)
    ]
    lines = [line.replace("from ... import", "from .. import") for line in lines]
    chosen = {*lines, *ours(head + body), *shown, "import asyncio"}
    everything = "__all__: List[str]\n\n"
    chosen.add("from typing import List")
    return HEAD + "\n".join(sorted(chosen)) + "\n\n" + everything + head + body


def formatted(text: str) -> str:
    command = ["ruff", "format", "--stdin-filename", str(PACKAGE / "aio" / "stub.pyi"), "-"]
    sorts = ["ruff", "check", "--select", "I", "--fix", "-q", *command[2:]]
    for each in (sorts, command):
        arguments = [sys.executable, "-m", *each]
        done = subprocess.run(arguments, input=text, capture_output=True, text=True, check=True)
        text = done.stdout
    return text


def meaning(text: str) -> Tuple[Set[Tuple[int, Any, str, Any]], List[str]]:
    """Return the meaning of a stub, independent of line breaks and the order of imports."""
    names: Set[Tuple[int, Any, str, Any]] = set()
    rest = []
    for node in ast.parse(text).body:
        if isinstance(node, ast.ImportFrom):
            names.update((node.level, node.module, each.name, each.asname) for each in node.names)
        elif isinstance(node, ast.Import):
            names.update((0, None, each.name, each.asname) for each in node.names)
        else:
            rest.append(ast.dump(node))
    return names, rest


STUBS = {"_methods.pyi": methods_stub, "transfer.pyi": transfer_stub}


def main() -> int:
    status = 0
    for name, make in STUBS.items():
        path = PACKAGE / "aio" / name
        if "--check" not in sys.argv:
            path.write_text(formatted(make()))
        elif not path.exists() or meaning(path.read_text()) != meaning(make()):
            print(f"{path} is not up to date: run tools/aio_stubs.py", file=sys.stderr)
            status = 1
    return status


if __name__ == "__main__":
    sys.exit(main())
