"""The exception hierarchy and its contract."""

from __future__ import annotations

import builtins
import copy
import errno
import pickle
from typing import Type

import pytest

import rbd
from rbd import exceptions

OS_ERRORS = [
    value
    for name in exceptions.__all__
    if isinstance(value := getattr(rbd, name), type)
    and issubclass(value, rbd.OSError)
    and value is not rbd.OSError
]

TWINS = {
    rbd.ImageNotFound: FileNotFoundError,
    rbd.ObjectNotFound: FileNotFoundError,
    rbd.ImageExists: FileExistsError,
    rbd.ObjectExists: FileExistsError,
    rbd.PermissionError: builtins.PermissionError,
    rbd.Timeout: TimeoutError,
    rbd.IOError: builtins.OSError,
    rbd.FunctionNotSupported: NotImplementedError,
}


@pytest.mark.parametrize("cls", OS_ERRORS)
def test_os_error_is_a_direct_base(cls: Type[rbd.OSError]) -> None:
    assert rbd.OSError in cls.__bases__
    assert issubclass(cls, rbd.Error)


def test_os_error_itself_derives_only_from_error() -> None:
    assert rbd.OSError.__bases__ == (rbd.Error,)
    assert not issubclass(rbd.OSError, builtins.OSError)


@pytest.mark.parametrize(("cls", "twin"), TWINS.items())
def test_exceptions_derive_from_their_builtin(
    cls: Type[rbd.OSError], twin: Type[BaseException]
) -> None:
    assert issubclass(cls, twin)
    with pytest.raises(twin):
        raise cls("m", errno=1)


@pytest.mark.parametrize("cls", OS_ERRORS)
def test_the_text_contains_the_errno(cls: Type[rbd.OSError]) -> None:
    without = cls("m")
    assert without.errno is None
    assert str(without).startswith("RBD ")
    assert str(without).endswith("(m)")
    numbered = cls("m", errno=22)
    assert numbered.errno == 22
    assert str(numbered) == f"[errno 22] {without}"
    assert cls("m", 22).errno == 22


def test_plain_os_error_keeps_its_message() -> None:
    assert str(rbd.OSError("m")) == "m"
    assert str(rbd.OSError("m", errno=5)) == "[errno 5] m"


@pytest.mark.parametrize("cls", [*OS_ERRORS, rbd.OSError])
def test_exceptions_pickle_and_copy(cls: Type[rbd.OSError]) -> None:
    error = cls("m", errno=7)
    error.note = "kept"
    for twin in (pickle.loads(pickle.dumps(error)), copy.copy(error), copy.deepcopy(error)):
        assert type(twin) is cls
        assert (str(twin), twin.errno, twin.args) == (str(error), 7, error.args)
        assert twin.note == "kept"


class Own(rbd.ImageNotFound):
    """An exception of a program, with other arguments."""

    def __init__(self, volume: int) -> None:
        super().__init__(f"volume {volume}", errno=errno.ENOENT)
        self.volume = volume


def test_an_exception_class_of_a_program_pickles() -> None:
    error = pickle.loads(pickle.dumps(Own(7)))
    assert type(error) is Own
    assert (str(error), error.errno, error.volume) == (str(Own(7)), errno.ENOENT, 7)


def test_an_exception_class_of_a_program_replaces_no_class() -> None:
    assert type(rbd.make_ex(errno.ENOENT, "m")) is rbd.ImageNotFound


def test_a_class_with_a_code_enters_the_map_of_its_hierarchy() -> None:
    known = dict(exceptions.errno_to_exception)
    try:

        class TooManyLinks(rbd.OSError, code=errno.ELOOP):
            pass

        assert type(rbd.make_ex(-errno.ELOOP, "m")) is TooManyLinks
        assert errno.ELOOP not in rbd.rados._errno_to_exception
    finally:
        exceptions.errno_to_exception.clear()
        exceptions.errno_to_exception.update(known)


@pytest.mark.parametrize("cls", [*OS_ERRORS, rbd.OSError])
def test_index_and_offset_are_declared(cls: Type[rbd.OSError]) -> None:
    assert (cls("m").index, cls("m").offset) == (None, None)


def test_errors_without_an_errno_say_so() -> None:
    assert rbd.Error("a", "b").args == ("a", "b")
    assert (str(rbd.Error()), rbd.Error().errno) == ("", None)
    assert rbd.StreamError("m", 1).errno is None


def test_a_stream_error_pickles() -> None:
    error = pickle.loads(pickle.dumps(rbd.StreamError("m", 12)))
    assert (str(error), error.position) == ("m", 12)
    assert isinstance(error, ValueError)


@pytest.mark.parametrize("code", sorted(exceptions.errno_to_exception))
@pytest.mark.parametrize("sign", [1, -1])
def test_make_ex_maps_an_errno_to_its_class(code: int, sign: int) -> None:
    error = rbd.make_ex(sign * code, "m")
    assert type(error) is exceptions.errno_to_exception[code]
    assert error.errno == code


def test_make_ex_of_an_unknown_errno_is_an_os_error() -> None:
    error = rbd.make_ex(-errno.EXDEV, "m")
    assert type(error) is rbd.OSError
    assert error.errno == errno.EXDEV


def test_library_not_found_derives_from_import_error() -> None:
    assert issubclass(rbd.LibraryNotFound, ImportError)
    assert issubclass(rbd.LibraryNotFound, rbd.Error)


def test_exceptions_are_named_as_in_the_stock_module() -> None:
    for name in rbd.exceptions.__all__:
        thing = getattr(rbd, name)
        if isinstance(thing, type):
            assert (thing.__module__, thing.__qualname__) == ("rbd", name)
