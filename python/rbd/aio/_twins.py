"""Awaitable forms of methods and functions, made of these: nothing is written twice."""

from __future__ import annotations

import asyncio
import functools
import inspect
import types
from typing import Any, Awaitable, Callable, Dict, Generator, Generic, Iterable, Optional, TypeVar

from . import _workers

T = TypeVar("T")
Self = TypeVar("Self", bound="Closing")

# Parameters that are called back while the call goes on.
_CALLBACKS = ("on_progress", "iterate_cb", "callback")


class Twin:
    """What is awaited in place of an object of `rbd`, and goes wherever that goes."""

    __slots__ = ("__weakref__", "_sync")

    def __init__(self, sync: Any) -> None:
        self._sync: Any = sync

    def __del__(self) -> None:
        # The last reference may close it, which waits for the cluster.
        sync = getattr(self, "_sync", None)
        if sync is not None and not getattr(sync, "closed", False):
            self._sync = None
            _workers.drop(sync)


class Closing:
    """A context manager that closes; the body's exception says more than a failed close."""

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
    """A method that looks absent, as the one that it is made of, if librbd lacks its function."""

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
    """Call a blocking function in a thread; `callbacks` are called in the loop.

    callbacks: the names of parameters, and their positions. adapt: what else is done to arguments.
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
    """The parameters of a function that are called back, with their positions."""
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
    """Give a class of twins the awaitable forms of the methods of a class.

    names: which; None for all public ones but those that call back on completion (`aio_*`), whose
    awaitable form has the name without the prefix.
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
    """What opens something: to be awaited, or entered by `async with`, which closes it again."""

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
