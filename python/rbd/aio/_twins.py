"""Awaitable forms of methods and functions, generated from these."""

from __future__ import annotations

import asyncio
import functools
import inspect
import types
from typing import Any, Awaitable, Callable, Dict, Generator, Generic, Iterable, Optional, TypeVar

from . import _workers

T = TypeVar("T")
Self = TypeVar("Self", bound="Closing")

# Parameters that are called during the call.
_CALLBACKS = ("on_progress", "iterate_cb", "callback")


class Twin:
    """The awaitable form of an object of `rbd`. It is accepted wherever the object is."""

    __slots__ = ("__weakref__", "_sync")

    def __init__(self, sync: Any) -> None:
        self._sync: Any = sync

    def __del__(self) -> None:
        # Dropping the last reference may close the object, which waits for the cluster.
        sync = getattr(self, "_sync", None)
        if sync is not None and not getattr(sync, "closed", False):
            self._sync = None
            _workers.drop(sync)


class Closing:
    """A context manager that closes. A failed close does not replace the body's exception."""

    __slots__ = ()

    close: Any

    async def _leave(self) -> None:
        await self.close()

    async def __aenter__(self: Self) -> Self:
        return self

    async def __aexit__(
        self,
        type_: Optional[type],
        value: Optional[BaseException],
        traceback: Optional[types.TracebackType],
    ) -> None:
        try:
            await self._leave()
        except Exception:
            if value is None:
                raise


def unwrap(value: Any) -> Any:
    """Return the object of `rbd` that an argument stands for."""
    return value._sync if isinstance(value, Twin) else value


class _Gated:
    """A method that looks absent, as its blocking form does, if librbd lacks its function."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function

    def __get__(self, instance: Any, owner: Optional[type] = None) -> Any:
        if instance is None:
            return self._function
        getattr(instance._sync, self._function.__name__)
        return types.MethodType(self._function, instance)


def call(
    function: Callable[..., Any],
    args: Iterable[Any],
    kwargs: Dict[str, Any],
    callbacks: Dict[str, int],
    adapt: Callable[[_workers.Call, Any], Any] = lambda _, value: value,
) -> Awaitable[Any]:
    """Call a blocking function in a thread. `callbacks` are called in the loop.

    callbacks: the names of parameters, and their positions. adapt: a further conversion of each
    argument.
    """
    given = [unwrap(value) for value in args]
    named = {name: unwrap(value) for name, value in kwargs.items()}
    made = _workers.Call(asyncio.get_running_loop(), function, given, named)
    for i, value in enumerate(given):
        given[i] = adapt(made, value)
    for name, value in named.items():
        named[name] = adapt(made, value)
    for name, position in callbacks.items():
        if callable(named.get(name)):
            named[name] = made.in_loop(named[name])
        elif 0 <= position < len(given) and callable(given[position]):
            given[position] = made.in_loop(given[position])
    return made.result()


def callbacks_of(function: Callable[..., Any]) -> Dict[str, int]:
    """Return the parameters of a function that are callbacks, with their positions."""
    parameters = inspect.signature(function).parameters
    return {name: at for at, name in enumerate(parameters) if name in _CALLBACKS}


def method(function: Callable[..., Any], owner: type) -> Callable[..., Any]:
    """Return the awaitable form of a method, for a class of twins."""
    callbacks = callbacks_of(function)

    async def twin(self: Twin, *args: Any, **kwargs: Any) -> Any:
        return await call(function, (self, *args), kwargs, callbacks)

    return _named(twin, function, owner.__module__, f"{owner.__name__}.{function.__name__}")


def _named(
    twin: Callable[..., Any], function: Callable[..., Any], module: str, qualname: str
) -> Callable[..., Any]:
    twin.__name__ = function.__name__
    twin.__qualname__ = qualname
    twin.__module__ = module
    twin.__doc__ = function.__doc__
    twin.__signature__ = inspect.signature(function)  # type: ignore[attr-defined]
    return twin


def derive(owner: type, source: type, names: Optional[Iterable[str]] = None) -> None:
    """Add the awaitable forms of a class's methods to a class of twins.

    names: the methods. None means all public ones except `aio_*`, which call back on completion.
    Their awaitable form has the name without the prefix.
    """
    for name in sorted(vars(source)) if names is None else names:
        if name.startswith(("_", "aio_")) or name in vars(owner):
            continue
        function = getattr(source, name)
        if isinstance(function, property) or not callable(function):
            continue
        made = method(function, owner)
        gated = type(vars(source)[name]).__name__ == "_Gate"
        setattr(owner, name, _Gated(made) if gated else made)


def function(source: Callable[..., Any], module: str, adapt: Any) -> Callable[..., Any]:
    """Return the awaitable form of a function; `adapt(call, value)` converts each argument."""
    callbacks = callbacks_of(source)

    @functools.wraps(source)
    async def twin(*args: Any, **kwargs: Any) -> Any:
        return await call(source, args, kwargs, callbacks, adapt)

    return _named(twin, source, module, source.__name__)


class Opening(Generic[T]):
    """An awaitable that opens something. `async with` enters the result and closes it."""

    __slots__ = ("_opened", "_start")

    def __init__(self, start: Callable[[], Awaitable[T]]) -> None:
        self._start = start
        self._opened: Any = None

    async def _open(self) -> T:
        return await self._start()

    def __await__(self) -> Generator[Any, None, T]:
        return self._open().__await__()

    async def __aenter__(self) -> T:
        self._opened = await self._open()
        opened: T = self._opened
        return opened

    async def __aexit__(
        self,
        type_: Optional[type],
        value: Optional[BaseException],
        traceback: Optional[types.TracebackType],
    ) -> None:
        if self._opened is not None:
            await self._opened.__aexit__(type_, value, traceback)
