"""The surface of the stock module, name by name: the table in data/stock_api.json."""

from __future__ import annotations

import copy
import inspect
import json
import pathlib
import pickle
import re
import subprocess
import sys
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


def test_an_rbd_object_takes_attributes(monkeypatch: pytest.MonkeyPatch) -> None:
    # Programs keep data of their own there, and their tests replace its methods.
    call = rbd.RBD()
    monkeypatch.setattr(call, "list", lambda ioctx: ["another"])
    assert call.list(None) == ["another"]  # type: ignore[arg-type]
    monkeypatch.undo()
    assert call.list.__doc__ == rbd.RBD.list.__doc__
    other = rbd.RBD()
    setattr(other, "own", 1)  # noqa: B010
    assert vars(other) == {"own": 1}


class Named(rbd.RBD):
    """Calls with a name, as a program may derive them."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name


def test_an_rbd_object_can_be_copied() -> None:
    # Programs copy the objects that hold one, and hand them to other processes.
    made = [copy.copy(rbd.RBD()), copy.deepcopy([rbd.RBD()])[0]]
    made += [
        pickle.loads(pickle.dumps(rbd.RBD(), protocol))
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1)
    ]
    for call in made:
        assert type(call) is rbd.RBD
        assert vars(call) == {}
        assert call.version() == rbd.RBD().version()
    named = pickle.loads(pickle.dumps(Named("images")))
    assert (type(named), named.name, named.version()) == (Named, "images", rbd.RBD().version())
    assert pickle.loads(pickle.dumps(rbd.RBD().version))() == rbd.RBD().version()


OLD_PROTOCOLS = """
import pickle
import rbd
from rbd import rados

foreign = [base for base in rbd.RBD.__mro__ if base.__name__ == "pybind11_object"][0]
classes = [cls for cls in foreign.__subclasses__() if cls.__module__.startswith("rbd")]
assert {rbd.RBD, rbd.Image, rados.Rados, rados.Ioctx, rados.WriteOp} <= {*classes}
for cls in classes:
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        try:
            pickle.dumps(cls.__new__(cls), protocol)
        except TypeError:
            pass
        else:
            assert cls is rbd.RBD, cls
"""


def test_no_pickle_protocol_ends_the_process() -> None:
    run = subprocess.run(
        [sys.executable, "-c", OLD_PROTOCOLS], stderr=subprocess.PIPE, text=True, timeout=60
    )
    assert (run.returncode, run.stderr) == (0, "")
