"""Functions of a test run in a process of their own, so that a crash or a hang is a failure."""

from __future__ import annotations

import contextlib
import faulthandler
import gc
import importlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, Callable, Dict, List, NamedTuple, Optional

from support import figures

TESTS = Path(__file__).parents[1]
#: How many times longer everything may take: where the processor is emulated.
PATIENCE = float(os.environ.get("RBD_TEST_PATIENCE") or 1)

_START = """
import faulthandler, importlib, json, sys
faulthandler.enable()
if {watched}:
    faulthandler.dump_traceback_later({timeout}, exit=True)
sys.path.insert(0, {tests!r})
arguments = json.loads(sys.argv[1])
answer = getattr(importlib.import_module({module!r}), {function!r})(*arguments)
if {watched}:
    faulthandler.cancel_dump_traceback_later()
# Whole lines, though several processes may write at the same time.
sys.stdout.write(f"answer:{{json.dumps(answer)}}\\n")
sys.stdout.flush()
"""


# Every warning is an error, but for the one about what some of these tests are there to do.
_WARNINGS = ["-W", "error", "-W", "ignore:This process:DeprecationWarning"]


# How long a round may take where many are made.
_ROUND_SECONDS = 100 * PATIENCE


def _module_of(function: Callable[..., Any]) -> str:
    """The name to import the function's module by, also where that module runs as __main__."""
    path = Path(sys.modules[function.__module__].__file__ or "").resolve()
    return ".".join(path.relative_to(TESTS).with_suffix("").parts)


class Outcome(NamedTuple):
    """How the process ended."""

    status: int
    answer: Any
    output: str

    def __str__(self) -> str:
        how = f"status {self.status}"
        if self.status < 0:
            how = f"signal {signal.Signals(-self.status).name}"
        return f"{how}\n{self.output[-8000:]}"


def connecting(cluster: Any, ioctx: Any) -> str:
    """The first lines of a program: its `cluster`, and its `ioctx` where the one given is."""
    return (
        f"import rbd\ncluster = rbd.connect({str(cluster.conffile)!r})\n"
        f"ioctx = cluster.open_ioctx({ioctx.get_pool_name()!r})\n"
        f"ioctx.set_namespace({ioctx.get_namespace()!r})\n"
    )


def _again(module: str, function: str, rounds: int, arguments: List[Any]) -> int:
    """Make rounds of a function, each of which must end in time."""
    call = getattr(importlib.import_module(module), function)
    done = 0
    for _ in range(rounds):
        faulthandler.dump_traceback_later(_ROUND_SECONDS, exit=True)
        answer = call(*arguments)
        done += 1 if answer is None else answer
        gc.collect()
    return done


def start(
    function: Callable[..., Any],
    *arguments: Any,
    timeout: float = 60,
    env: Optional[Dict[str, str]] = None,
    python: str = sys.executable,
    watched: bool = True,
    development: bool = True,
    **options: Any,
) -> subprocess.Popen:
    """Start `function(*arguments)`, a function of a module of tests, in a new interpreter.

    Arguments and the answer travel as JSON. After `timeout` seconds the process tells where each
    of its threads stands, and ends; not `watched`, it is killed. (That watch hangs in a child that
    was forked off and goes through the interpreter's exit.) `development`: Python's development
    mode, whose allocator finds stray writes.
    """
    code = _START.format(
        timeout=timeout * PATIENCE,
        watched=watched,
        tests=str(TESTS),
        module=_module_of(function),
        function=function.__name__,
    )
    mode = ["-X", "dev"] if development else []
    return subprocess.Popen(
        [python, *mode, *_WARNINGS, "-c", code, json.dumps(arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        # A group of its own: what the process leaves behind goes with it.
        start_new_session=True,
        env={**os.environ, **(env or {})},
        **options,
    )


def finish(process: subprocess.Popen, timeout: float = 60) -> Outcome:
    """Wait for the process; a hang beyond its own limit kills it."""
    try:
        output, _ = process.communicate(timeout=timeout * PATIENCE + 5)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        output, _ = process.communicate()
        output += "\nkilled: it, or a child of it, did not end"
    else:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    answer = None
    for line in output.splitlines():
        if line.startswith("answer:"):
            answer = json.loads(line[len("answer:") :])
    return Outcome(process.returncode, answer, output)


def run(function: Callable[..., Any], *arguments: Any, timeout: float = 60, **options: Any) -> Any:
    """`function(*arguments)` in a process of its own, which must end well; gives the answer."""
    outcome = finish(start(function, *arguments, timeout=timeout, **options), timeout)
    assert outcome.status == 0, str(outcome)
    return outcome.answer


def repeat(
    function: Callable[..., Any], *arguments: Any, rounds: int, timeout: float, **options: Any
) -> None:
    """Many rounds of `function(*arguments)` in one process of its own, counted as a figure.

    A round that answers a number counts as so many.
    """
    module = _module_of(function)
    name = function.__name__
    done = run(_again, module, name, rounds, arguments, timeout=timeout, **options)
    assert done >= rounds
    figures.note(name.replace("_", " "), done)
