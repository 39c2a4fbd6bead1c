"""The types of parameters and results, read from the stubs, so that nobody types them twice.

The extension's types stand in `_core.pyi` and `rados/_bound.pyi`; those of the modules in Python,
in their annotations. A reader sees `int` for what takes any integer, and `X | None` for Optional.
"""

from __future__ import annotations

import ast
import inspect
import re
import typing
from functools import cache
from pathlib import Path
from typing import Any, Dict, Iterator, List, NamedTuple, Optional, Tuple

import rbd

PACKAGE = Path(rbd.__file__).parent
STUBS = {
    "rbd._core": "_core.pyi",
    "rbd._core.rados": "rados/_bound.pyi",
    "rbd.aio": "aio/_methods.pyi",
}
# What the stubs call something, and what a reader calls it.
PLAIN = {
    "SupportsIndex": "int",
    "_Offsets": "AnyBuffer | Sequence[int]",
    "_Out": "AnyBuffer",
    "Self": "",
    "Any": "object",
    "Opening": "Awaitable",
    "_Function": "Callable",
}
BUILTIN = {"List": "list", "Dict": "dict", "Tuple": "tuple", "Type": "type", "Set": "set"}


class Types(NamedTuple):
    parameters: Dict[str, str]
    result: str


def written(node: Optional[ast.expr]) -> str:
    """A type as a reader is to see it: '' for nothing, and for what says nothing."""
    if node is None:
        return ""
    if isinstance(node, ast.Constant):
        if isinstance(node.value, str):
            return written(ast.parse(node.value, mode="eval").body)
        if node.value is Ellipsis:
            return "..."
        return str(node.value)
    if isinstance(node, ast.Name):
        plain = PLAIN.get(node.id, BUILTIN.get(node.id, node.id))
        return written(aliases()[plain]) if plain in aliases() else plain
    if isinstance(node, ast.Attribute):
        of = written(node.value)
        if node.attr in aliases():
            return written(aliases()[node.attr])
        return node.attr if of in ("typing", "t") else f"{of}.{node.attr}"
    if isinstance(node, ast.List):
        return "[" + ", ".join(map(written, node.elts)) + "]"
    if isinstance(node, ast.Tuple):
        return ", ".join(map(written, node.elts))
    if isinstance(node, ast.BinOp):
        return joined([written(node.left), written(node.right)])
    if isinstance(node, ast.Subscript):
        inner: Any = node.slice
        # Python 3.8 and older had an ast.Index around it.
        inner = getattr(inner, "value", inner) if type(inner).__name__ == "Index" else inner
        of = written(node.value)
        if of == "Literal":
            values = [ast.literal_eval(part) for part in getattr(inner, "elts", [inner])]
            return joined([type(value).__name__ for value in values])
        parts = [written(part) for part in inner.elts] if isinstance(inner, ast.Tuple) else None
        if of == "Optional":
            return joined([written(inner), "None"])
        if of == "Union":
            return joined(parts or [written(inner)])
        return f"{of}[{', '.join(parts) if parts is not None else written(inner)}]"
    return ast.unparse(node)


@cache
def aliases() -> Dict[str, ast.expr]:
    """Names that modules give to types, such as `AnyFile = Union[...]`; not those of rbd.types.

    A stub's own names begin with an underscore, and no page has them.
    """
    found = {}
    for path in (*PACKAGE.rglob("*.py"), *(PACKAGE / name for name in STUBS.values())):
        if path.name == "types.py":
            continue
        top = ast.parse(path.read_text()).body
        # Some modules have them for type checkers alone.
        checked = [inner for node in top if isinstance(node, ast.If) for inner in node.body]
        for node in top + checked:
            if not isinstance(node, ast.Assign) or not isinstance(node.value, ast.Subscript):
                continue
            name, of = node.targets[0], node.value.value
            if not isinstance(name, ast.Name) or not isinstance(of, ast.Name):
                continue
            if of.id in ("Union", "Callable", "Optional") and (
                path.suffix == ".pyi" or not name.id.startswith("_")
            ):
                found[name.id] = node.value
    return found


def joined(parts: List[str]) -> str:
    """Alternatives, each once, with None at the end."""
    flat = [one for part in parts for one in split(part)]
    once = list(dict.fromkeys(one for one in flat if one != "None"))
    return " | ".join(once + ["None"] * ("None" in flat))


def split(text: str) -> List[str]:
    """The alternatives of a type, without looking into brackets."""
    found, depth, start = [], 0, 0
    for at, character in enumerate(text):
        depth += (character in "[(") - (character in "])")
        if character == "|" and depth == 0:
            found.append(text[start:at].strip())
            start = at + 1
    return [*found, text[start:].strip()]


Functions = Dict[str, List[ast.FunctionDef]]


@cache
def stub(module: str) -> Functions:
    """The functions of a stub and the methods of its classes, with all their overloads."""
    found: Functions = {}

    def walk(body: List[ast.stmt], prefix: str) -> None:
        for node in body:
            if isinstance(node, ast.ClassDef):
                walk(node.body, f"{node.name}.")
            elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                found.setdefault(prefix + node.name, []).append(node)  # type: ignore[arg-type]

    walk(ast.parse((PACKAGE / STUBS[module]).read_text()).body, "")
    return found


def merged(functions: List[ast.FunctionDef]) -> Types:
    """The types of all the overloads together."""
    parameters: Dict[str, List[str]] = {}
    results = []
    for function in functions:
        arguments = function.args
        for one in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs):
            if one.annotation is not None and one.arg != "self":
                parameters.setdefault(one.arg, []).append(written(one.annotation))
        results.append(written(function.returns))
    result = joined([one for one in results if one] or [""])
    return Types({name: joined(types) for name, types in parameters.items()}, result)


def in_stub(name: str) -> Optional[Types]:
    """name: as in 'Image.read' or 'Ioctx.read'."""
    for module in STUBS:
        functions = stub(module).get(name)
        if functions:
            return merged(functions)
    return None


def elements(cls: str) -> str:
    """The type of what an object of the extension's class `cls` yields; '' if it is none."""
    found = in_stub(f"{cls}.__iter__")
    match = found.result if found else ""
    return match[len("Iterator[") : -1] if match.startswith("Iterator[") else ""


def of(name: str, value: Any) -> Optional[Types]:
    """The types of a documented callable: `name` is as in 'rbd.Image.read'."""
    value = inspect.unwrap(getattr(value, "__func__", value))
    annotations = getattr(value, "__annotations__", None)
    if annotations:
        plain = {key: written(parsed(annotation)) for key, annotation in annotations.items()}
        result = plain.pop("return", "")
        plain.pop("self", None)
        return Types(plain, result)
    *place, last = name.split(".")[1:]
    owner: Any = rbd
    for part in place:
        owner = getattr(owner, part, None)
    # The class that defines it, which may be one that this one extends.
    classes = [cls.__name__ for cls in owner.__mro__] if inspect.isclass(owner) else []
    candidates = [f"{cls}.{last}" for cls in classes] or [last]
    return next(filter(None, map(in_stub, candidates)), None)


def parsed(annotation: Any) -> ast.expr:
    if not isinstance(annotation, str):
        annotation = readable(annotation)
    try:
        return ast.parse(annotation, mode="eval").body
    except SyntaxError as error:
        raise ValueError(f"an annotation that is no type: {annotation!r}") from error


def readable(annotation: Any) -> str:
    """A type that was evaluated, as one would write it."""
    if annotation is None:
        return "None"
    if isinstance(annotation, type) and not typing.get_args(annotation):
        return annotation.__name__
    text = re.sub(r"<class '(?:\w+\.)*(\w+)'>", r"\1", str(annotation))
    return re.sub(r"ForwardRef\('([^']*)'\)", r"\1", text).replace("typing.", "").replace("~", "")


def fields(cls: type) -> Iterator[Tuple[str, str, str]]:
    """The keys of a TypedDict: name, type, and what the comment at the line's end says."""
    lines, first = inspect.getsourcelines(cls)
    del first
    tree = ast.parse("".join(lines)).body[0]
    assert isinstance(tree, ast.ClassDef)
    for node in tree.body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            _, _, comment = lines[node.lineno - 1].partition("  # ")
            yield node.target.id, written(node.annotation), comment.strip()
