"""The surface of the stock `rados` module, from the table in data/stock_rados_api.json."""

from __future__ import annotations

import inspect
import re
from typing import Any, Iterator, List, Tuple

import pytest

from rbd import rados
from test_rados_constants import TABLE


def methods() -> Iterator[Any]:
    for name, facts in TABLE["classes"].items():
        for method, fact in facts["methods"].items():
            yield pytest.param(name, method, fact["signature"], id=f"{name}.{method}")


def wanted(signature: str) -> List[Tuple[str, bool]]:
    """Return the parameters of a signature of the table, and whether each has a default."""
    text = re.sub(r"'[^']*'", "''", signature.strip("()"))
    parts = [part.strip() for part in text.split(",") if part.strip()]
    return [(part.split("=")[0], "=" in part) for part in parts]


@pytest.mark.parametrize(("name", "method", "signature"), list(methods()))
def test_each_stock_method_has_its_signature(name: str, method: str, signature: str) -> None:
    cls = getattr(rados, name)
    assert hasattr(cls, method)
    if method.startswith("__") and method != "__init__":
        return
    found = [
        one
        for one in inspect.signature(
            cls if method == "__init__" else getattr(cls, method)
        ).parameters.values()
        if one.name != "self" and one.kind is not one.VAR_POSITIONAL
    ]
    want = wanted(signature) if signature != "(*args)" else []
    assert [one.name for one in found[: len(want)]] == [one for one, _ in want]
    for one, (_, optional) in zip(found, want):
        assert not optional or one.default is not one.empty
    assert all(one.default is not one.empty for one in found[len(want) :])


@pytest.mark.parametrize("name", sorted(TABLE["exceptions"]))
def test_each_stock_exception_has_its_bases(name: str) -> None:
    cls = getattr(rados, name)
    assert issubclass(cls, rados.Error)
    bases = TABLE["exceptions"][name]["bases"]
    assert bases[0] in [base.__name__ for base in cls.__bases__]
    assert cls.__module__ == "rbd.rados"


@pytest.mark.parametrize("name", sorted(TABLE["functions"]))
def test_each_stock_function_has_its_signature(name: str) -> None:
    function = getattr(rados, name)
    found = [one.name for one in inspect.signature(function).parameters.values()]
    assert found == [one for one, _ in wanted(TABLE["functions"][name]["signature"])]


def test_text_functions_encode_and_decode() -> None:
    assert rados.cstr("ä", "n") == b"\xc3\xa4"
    assert rados.cstr(b"a", "n") == b"a"
    assert rados.cstr(None, "n", opt=True) is None
    for wrong in (None, 5):
        with pytest.raises(TypeError, match="n must be a string"):
            rados.cstr(wrong, "n")  # type: ignore[arg-type]
    assert rados.cstr_list(["a", b"b"], "n") == [b"a", b"b"]
    assert rados.decode_cstr(b"x") == "x"
    assert rados.decode_cstr(None) is None
    assert rados.flatten_dict({"a": "b", "c": "d"}, "n") == b"a\0b\0c\0d\0"
    assert rados.flatten_dict({}, "n") == b""
    with pytest.raises(ValueError, match="NUL"):
        rados.flatten_dict({"a": "b\0"}, "n")
