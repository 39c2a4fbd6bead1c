"""The public methods, found by introspection, and arguments that they accept."""

from __future__ import annotations

import inspect
import re
from typing import Any, Callable, Iterator, List, Optional, Set, Tuple

import rbd


def required(function: Callable[..., Any]) -> Optional[List[str]]:
    """Return the names of the parameters without a default; None if there is no signature."""
    found = parameters(function)
    return None if found is None else [one.name for one in found if one.default is one.empty]


def parameters(function: Callable[..., Any]) -> Optional[List[inspect.Parameter]]:
    """Return the parameters except self; None if there is no signature."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return None
    kinds = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return [
        one for one in signature.parameters.values() if one.kind not in kinds and one.name != "self"
    ]


def candidates(name: str, ioctx: Any, image: Any) -> List[Any]:
    """Return values for a parameter of that name, the likeliest first."""
    buffer = bytearray(512)
    values: List[Any] = ["snap", 0, buffer, _ignore, ioctx, image, ["snap"], {}, [0], [buffer]]
    first = {
        "ioctx": ioctx,
        "image": image,
        "size": 8 << 20,
        "length": 512,
        "data": buffer,
        "buffer": buffer,
        "compare": buffer,
        "buffers": [buffer],
        "offsets": [0],
        "block_size": 512,
        "sparse_size": 4096,
        "enabled": True,
        "oncomplete": _ignore,
        "callback": _ignore,
    }
    for word, value in first.items():
        if name == word or name.endswith("_" + word):
            return [value, *values]
    return values


def _ignore(*_: Any) -> None:
    """Do nothing; a callback."""


def public_classes() -> Iterator[Tuple[str, type]]:
    """Return the extension's public classes that are not exceptions."""
    for name in sorted(rbd.__all__):
        value = getattr(rbd, name)
        if isinstance(value, type) and value.__module__.startswith("rbd._core"):
            yield name, value


def methods(subject: Any) -> Iterator[str]:
    """Return the names of the object's public methods, except those that look absent."""
    for name in dir(type(subject)):
        if not name.startswith("_") and callable(getattr(subject, name, None)):
            yield name


def gated(kind: type) -> Iterator[Tuple[str, Set[str]]]:
    """Return the public methods whose docstrings name C functions, with those functions."""
    known = {name for name, _, _ in rbd._core.table()}
    for name in dir(kind):
        _, _, claims = (getattr(kind, name).__doc__ or "").partition("Implements:")
        functions = set(re.findall(r"\brbd_\w+", claims)) & known
        if not name.startswith("_") and functions:
            yield name, functions
