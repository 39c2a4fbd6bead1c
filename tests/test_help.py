"""help() describes every public name: meaning, parameters, and the C function."""

from __future__ import annotations

import importlib
import inspect
import re
from typing import Any, Dict, Iterator, Set, Tuple

import pytest

import rbd
from support.public_surface import public_classes

MODULES = ("aio", "files", "rados", "spec", "testing", "transfer", "types")


def public_names() -> Iterator[Tuple[str, Any]]:
    """Return the classes and functions that the package's modules offer."""
    modules = [("rbd", rbd)]
    modules += [(f"rbd.{name}", importlib.import_module(f"rbd.{name}")) for name in MODULES]
    for place, module in modules:
        names = getattr(module, "__all__", None) or vars(module)
        for name in sorted(names):
            value = getattr(module, name)
            own = str(getattr(value, "__module__", "")).startswith("rbd")
            if not name.startswith("_") and callable(value) and own:
                yield f"{place}.{name}", value


def methods_of_the_extension() -> Iterator[Tuple[str, Any]]:
    for place, cls in public_classes():
        for name, value in vars(cls).items():
            if not name.startswith("_") and not isinstance(value, property):
                yield f"{place}.{name}", getattr(cls, name)


NAMES: Dict[str, Any] = dict(public_names())
METHODS: Dict[str, Any] = dict(methods_of_the_extension())
#: Methods that only read the object, Python, or what another method has fetched.
WITHOUT_C: Set[str] = {
    "Completion.is_complete",
    "Completion.wait_for_complete_and_cb",
    "Image.open_file",
    "Image.require_not_closed",
    *(name for name in METHODS if name.endswith(".get_next_chunk")),
}
ROUTINES = {name: value for name, value in NAMES.items() if inspect.isroutine(value)}
#: The methods of the classes that are written in Python.
PYTHON: Dict[str, Any] = {
    f"{place}.{name}": value
    for place, cls in NAMES.items()
    if inspect.isclass(cls) and not cls.__module__.startswith(("rbd._core", "rbd.types"))
    for name, value in vars(cls).items()
    if not name.startswith("_") and inspect.isfunction(value)
}


@pytest.mark.parametrize("name", [*NAMES, *METHODS, *PYTHON])
def test_every_name_has_a_docstring(name: str) -> None:
    text = inspect.getdoc({**NAMES, **METHODS, **PYTHON}[name])
    assert text, "help() must say what it is for"


@pytest.mark.parametrize("name", METHODS)
def test_docstrings_show_no_details_of_the_extension(name: str) -> None:
    """No second signature, no C++, and no separator of the text signature."""
    text = METHODS[name].__doc__
    own = name.split(".")[-1]
    assert not re.search(rf"^{own}\(|^--$|\bstd::|\brbdxx::|_core\b|Overloaded", text, re.MULTILINE)


@pytest.mark.parametrize("name", [*ROUTINES, *METHODS])
def test_every_signature_names_its_parameters(name: str) -> None:
    for parameter in inspect.signature({**ROUTINES, **METHODS}[name]).parameters.values():
        assert parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)


def test_every_method_names_its_c_functions() -> None:
    known = {function for function, *_ in rbd._core.table()}
    silent = set()
    for name, method in METHODS.items():
        told = re.search(r"Implements: ([\w,\s]+)", inspect.getdoc(method) or "")
        named = re.findall(r"\br(?:bd|ados)_\w+", told.group(1)) if told else []
        assert known.issuperset(named), name
        if not named:
            silent.add(name)
    assert silent == WITHOUT_C
