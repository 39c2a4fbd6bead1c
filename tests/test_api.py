"""The surface of the stock module, name by name: the table in data/stock_api.json."""

from __future__ import annotations

import inspect
import json
import pathlib
import re
from typing import Any, Dict, List, Optional, Tuple

import pytest

import rbd

TABLE: Dict[str, Any] = json.loads(
    (pathlib.Path(__file__).parent / "data" / "stock_api.json").read_text()
)
METHODS = [
    (cls, method, fact["signature"])
    for cls, about in TABLE["classes"].items()
    for method, fact in about["methods"].items()
]


def parameters(signature: str) -> List[Tuple[str, Optional[str]]]:
    """Return '(a, b=1)' as [('a', None), ('b', '1')]."""
    inside = signature.strip()[1:-1].strip()
    parts = re.split(r",\s*", inside) if inside else []
    return [(part.partition("=")[0], part.partition("=")[2] or None) for part in parts]


def default_value(text: str) -> Any:
    return getattr(rbd, text) if text.startswith("RBD_") else eval(text)


@pytest.mark.parametrize("name", sorted(TABLE["exceptions"]))
def test_each_stock_exception_has_its_bases(name: str) -> None:
    cls = getattr(rbd, name)
    names = [base.__name__ for base in cls.__mro__]
    for base in TABLE["exceptions"][name]["bases"]:
        assert base in names


@pytest.mark.parametrize("name", sorted(TABLE["classes"]))
def test_each_stock_class_exists(name: str) -> None:
    assert inspect.isclass(getattr(rbd, name))


@pytest.mark.parametrize(("cls", "method", "signature"), METHODS)
def test_each_stock_method_has_its_signature(cls: str, method: str, signature: str) -> None:
    function = getattr(getattr(rbd, cls), method)
    assert inspect.getdoc(function), "help() must say what it does"
    wanted = parameters(signature)
    given = [p for p in inspect.signature(function).parameters.values() if p.name != "self"]
    assert [p.name for p in given[: len(wanted)]] == [name for name, _ in wanted]
    for parameter, (_, default) in zip(given, wanted):
        if default is None:
            assert parameter.default in (inspect.Parameter.empty, None)
        else:
            assert parameter.default == default_value(default)
    for extra in given[len(wanted) :]:
        assert extra.kind is inspect.Parameter.KEYWORD_ONLY
        assert extra.default is not inspect.Parameter.empty
