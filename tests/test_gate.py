"""A method looks absent on an instance exactly if the loaded librbd has none of its functions."""

from __future__ import annotations

import sys
from typing import Any, Callable

import pytest

import rbd
from support import fakerbd
from support.location import Where, open_all, raised_by
from support.public_surface import gated


@pytest.mark.parametrize("kind", [rbd.RBD, rbd.Image, rbd.Group])
def test_methods_that_librbd_lacks_look_absent(
    kind: type, rbd_ioctx: rbd.rados.Ioctx, rbd_image: rbd.Image
) -> None:
    subject = {rbd.RBD: rbd.RBD, rbd.Image: lambda: rbd_image}.get(
        kind, lambda: rbd.Group(rbd_ioctx, "none")
    )()
    seen = 0
    for name, functions in gated(kind):
        seen += 1
        if any(rbd.supports(function) for function in functions):
            assert hasattr(subject, name), name
            continue
        assert not hasattr(subject, name), name
        # The class has every method, whichever library is loaded.
        assert callable(getattr(kind, name)), name
        with pytest.raises(rbd.FunctionNotSupported) as caught:
            getattr(subject, name)
        assert isinstance(caught.value, AttributeError)
        assert any(function in str(caught.value) for function in functions), name
    assert seen > 5


def test_only_the_module_makes_gates() -> None:
    for make in (rbd._core._Gate, lambda: object.__new__(rbd._core._Gate)):
        with pytest.raises(TypeError):
            make()


def without_the_exceptions(where: Where) -> None:
    _cluster, _ioctx, image = open_all(where)
    assert isinstance(raised_by(lambda: image.on_quiesce), AttributeError)
    sys.modules["rbd.exceptions"] = None  # type: ignore[assignment]
    assert type(raised_by(lambda: image.on_quiesce)) is ModuleNotFoundError


@fakerbd.needs_compiler
def test_an_error_without_its_class_is_another_error(shimmed: Callable[..., Any]) -> None:
    shimmed(without_the_exceptions, missing="rbd_quiesce_watch")
