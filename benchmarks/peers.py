"""The programs beside which the package is measured."""

from __future__ import annotations

import importlib.util
import json
import shutil
from typing import Callable, Optional, Union

from .place import Ended, Place, fio_has_rbd, run, stock_python

# Why a contender cannot run here; None: it can.
Lacking = Callable[[], Optional[str]]


def always() -> Optional[str]:
    return None


def stock() -> Optional[str]:
    return None if stock_python() else "no interpreter with the stock rbd module (python3-rbd)"


def fio() -> Optional[str]:
    return None if fio_has_rbd() else "no fio with an rbd engine"


def uvloop() -> Optional[str]:
    return None if importlib.util.find_spec("uvloop") else "no uvloop"


def program(name: str) -> Lacking:
    return lambda: None if shutil.which(name) else f"no {name}"


def fio_rate(
    place: Place,
    image: str,
    op: str,
    *,
    block: int = 4096,
    depth: int = 32,
    seconds: float,
    burst: int = 0,
) -> float:
    """Blocks per second of fio's rbd engine, at random offsets: for so long, or in one burst."""
    command = ["fio", "--name=job", "--ioengine=rbd", "--clientname=admin", f"--pool={place.pool}"]
    command += [f"--rbdname={image}", f"--rw=rand{op}", f"--bs={block}", f"--iodepth={depth}"]
    if burst:
        command += [f"--number_ios={burst}"]
    else:
        command += ["--time_based", f"--runtime={int(seconds * 1000)}ms"]
    command += ["--norandommap", "--output-format=json"]
    ended = run(command, {**place.cluster.env, **(place.writeback if burst else {})})
    # Before the report, librbd may have said something.
    report = json.loads(ended.output[ended.output.index("{") :])
    return float(report["jobs"][0][op]["iops"])


def rbd_command(place: Place, *arguments: Union[str, object]) -> Ended:
    """The `rbd` command, silent."""
    return run(["rbd", "--no-progress", *map(str, arguments)], place.cluster.env)


def qemu_convert(place: Place, image: str, path: object) -> Ended:
    """`qemu-img convert` of an image into a file."""
    source = f"rbd:{place.pool}/{image}:conf={place.cluster.conffile}"
    command = ["qemu-img", "convert", "-f", "raw", "-O", "raw", source, str(path)]
    return run(command, place.cluster.env)
