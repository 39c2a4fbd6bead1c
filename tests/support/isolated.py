"""Runs functions of tests in separate processes, so that a crash or a hang is a failure."""

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
import time
import traceback
from pathlib import Path
from typing import Any, Callable, Dict, List, NamedTuple, Optional

from support import figures

TESTS = Path(__file__).parents[1]
#: How many times longer everything may take, for an emulated processor.
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


# Every warning is an error, except the warning about a fork beside threads, which some tests make.
_WARNINGS = ["-W", "error", "-W", "ignore:This process:DeprecationWarning"]


# The time that a round may take if there are many.
_ROUND_SECONDS = 100 * PATIENCE


def _module_of(function: Callable[..., Any]) -> str:
    """Return the name of the function's module for an import, even if it runs as __main__."""
    path = Path(sys.modules[function.__module__].__file__ or "").resolve()
    return ".".join(path.relative_to(TESTS).with_suffix("").parts)


class Outcome(NamedTuple):
    """The end of the process."""

    status: int
    answer: Any
    output: str

    def __str__(self) -> str:
        how = f"status {self.status}"
        if self.status < 0:
            how = f"signal {signal.Signals(-self.status).name}"
        return f"{how}\n{self.output[-8000:]}"


def connecting(cluster: Any, ioctx: Any) -> str:
    """Return the first lines of a program: its `cluster`, and its `ioctx` in the place of the given
    one."""
    return (
        f"import rbd\ncluster = rbd.connect({str(cluster.conffile)!r})\n"
        f"ioctx = cluster.open_ioctx({ioctx.get_pool_name()!r})\n"
        f"ioctx.set_namespace({ioctx.get_namespace()!r})\n"
    )


def _again(module: str, function: str, rounds: int, arguments: List[Any]) -> int:
    """Make rounds of a function. Each must end in time."""
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
    """Start `function(*arguments)`, a function of a test module, in a new interpreter.

    Arguments and the answer are sent as JSON. After `timeout` seconds the process prints the stack
    of each thread, and ends. If it is not `watched`, it is killed instead: that watch hangs in a
    forked child that goes through the interpreter's exit. `development`: use Python's development
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
        # A new process group, so that the children of the process are killed with it.
        start_new_session=True,
        env={**os.environ, **(env or {})},
        **options,
    )


def finish(process: subprocess.Popen, timeout: float = 60) -> Outcome:
    """Wait for the process. Kill it if it exceeds its limit."""
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
    """Return the answer of `function(*arguments)` in a separate process, which must succeed."""
    outcome = finish(start(function, *arguments, timeout=timeout, **options), timeout)
    assert outcome.status == 0, str(outcome)
    return outcome.answer


def answer_and_leave(answer: Any) -> None:
    """End a separate process without closing anything: librbd 16 crashes if it closes an image
    whose cache cannot be saved for want of rights."""
    sys.stdout.write(f"answer:{json.dumps(answer)}\n")
    sys.stdout.flush()
    os._exit(0)


def repeat(
    function: Callable[..., Any], *arguments: Any, rounds: int, timeout: float, **options: Any
) -> None:
    """Run many rounds of `function(*arguments)` in one separate process, and note their number.

    A round that returns a number counts as that many.
    """
    module = _module_of(function)
    name = function.__name__
    done = run(_again, module, name, rounds, arguments, timeout=timeout, **options)
    assert done >= rounds
    figures.note(name.replace("_", " "), done)


def fork(child: Callable[[], Any]) -> int:
    """Run `child` in a forked process, which must end in time. Return its status."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            child()
            status = 0
        except BaseException:
            traceback.print_exc()
        os._exit(status)
    deadline = time.monotonic() + 40 * PATIENCE
    while time.monotonic() < deadline:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.01)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    raise AssertionError("the child hung")
