#!/usr/bin/env python3
"""A chain of incremental backups of one image, made and restored only with rbd.transfer.

    backup.py save rbd/vm1 backups/vm1       # at first the whole image, then the changes
    backup.py restore backups/vm1 rbd/vm1-restored
    backup.py merge backups/vm1              # one file of the whole chain

Each run takes a snapshot, writes the difference from the previous one to a file, and adds the file
with its checksum to the list of the chain. Then the previous snapshot is not needed any more. A
restored image has the snapshots of all runs.

The program may be killed, or the power cut, at any point. Nothing is removed before its replacement
is on the disk and in the list. A run first notes what it is about to make or remove. The next run
removes what is noted and not in the list.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import json
import os
import sys
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Dict, Iterator, List, Sequence

import rbd
from rbd import transfer
from rbd.spec import ImageSpec, open_ioctx

PREFIX = "backup-"
LIST = "chain.json"
NOTE = "unfinished.json"


def synchronize_directory(directory: Path) -> None:
    """Wait until the names in a directory are on the disk."""
    fd = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def make_directory(directory: Path) -> None:
    """Make a directory, and its parents, on the disk."""
    if not directory.exists():
        make_directory(directory.parent)
        directory.mkdir(exist_ok=True)
        synchronize_directory(directory.parent)


@contextlib.contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Keep other runs of this program away from the chain."""
    fd = os.open(directory, os.O_RDONLY)
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            sys.exit(f"another run is working in {directory}")
        yield
    finally:
        os.close(fd)


def read_json(path: Path, missing: Any) -> Any:
    return json.loads(path.read_text()) if path.exists() else missing


def write_json(path: Path, value: Any) -> None:
    """Replace a file in one step, and wait until that is on the disk."""
    new = path.with_suffix(".new")
    with new.open("w") as file:
        json.dump(value, file, indent=2)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
    synchronize_directory(path.parent)


def read_list(directory: Path) -> List[Dict[str, str]]:
    """Return the runs of the chain, oldest first."""
    runs: List[Dict[str, str]] = read_json(directory / LIST, [])
    return runs


def note(directory: Path, snapshots: Sequence[str], files: Sequence[str]) -> None:
    """Note what the next run must remove, unless the list names it."""
    write_json(directory / NOTE, {"snapshots": [*snapshots], "files": [*files]})


def remove_files(directory: Path) -> List[str]:
    """Remove the noted files that the list does not name. Return the noted snapshots."""
    noted = read_json(directory / NOTE, {"snapshots": [], "files": []})
    listed = {run["file"] for run in read_list(directory)}
    for name in noted["files"]:
        if name not in listed:
            # The file, and its names before it was complete.
            for path in [directory / name, *directory.glob(f".{name}.*.part")]:
                path.unlink(missing_ok=True)
    if noted["files"]:
        note(directory, noted["snapshots"], [])
    snapshots: List[str] = noted["snapshots"]
    return snapshots


def remove_snapshots(image: rbd.Image, names: Sequence[str]) -> None:
    there = {snapshot["name"] for snapshot in image.list_snaps()}
    for name in names:
        if name in there:
            image.remove_snap(name)


def save(spec: ImageSpec, directory: Path, bar: bool) -> None:
    """Add one run to the chain."""
    make_directory(directory)
    with locked(directory), open_ioctx(spec) as ioctx, rbd.Image(ioctx, spec.image) as image:
        runs = read_list(directory)
        start = runs[-1]["snapshot"] if runs else None
        there = {snapshot["name"] for snapshot in image.list_snaps()}
        if start is not None and start not in there:
            sys.exit(f"{spec} has no snapshot {start}: the chain cannot continue")
        # What an interrupted run has left, and older snapshots of the chain.
        remove_snapshots(image, [name for name in remove_files(directory) if name != start])
        remove_snapshots(image, [run["snapshot"] for run in runs[:-1]])

        end = PREFIX + datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%S.%f")
        file = directory / f"{end}.diff"
        note(directory, [end], [file.name])
        try:
            image.create_snap(end)
            with rbd.Image(ioctx, spec.image, snapshot=end, read_only=True) as snapshot:
                digest = transfer.export_diff(
                    snapshot, file, start, checksum="sha256", progress=bar
                )
        except BaseException:
            remove_files(directory)
            remove_snapshots(image, [end])
            raise
        # The file is on the disk now. From here on, the chain ends with the new snapshot.
        write_json(
            directory / LIST, [*runs, {"snapshot": end, "file": file.name, "sha256": digest}]
        )
        note(directory, [], [])
        if start is not None:
            remove_snapshots(image, [start])
    print(f"{file}: {file.stat().st_size} bytes, sha256 {digest}")


def remove_image(ioctx: Any, name: str) -> None:
    with rbd.Image(ioctx, name) as image:
        for snapshot in list(image.list_snaps()):
            image.remove_snap(snapshot["name"])
    rbd.RBD().remove(ioctx, name)


@contextlib.contextmanager
def new_image(spec: ImageSpec) -> Iterator[rbd.Image]:
    """Yield an image that gets its name when it is complete."""
    unfinished = f"{spec.image}.restoring"
    with open_ioctx(spec) as ioctx:
        names = rbd.RBD().list(ioctx)
        if spec.image in names:
            sys.exit(f"{spec} exists already")
        if unfinished in names:
            with rbd.Image(ioctx, unfinished, read_only=True) as image:
                if list(image.watchers_list()):
                    # Also for half a minute after it was killed.
                    sys.exit(f"another restore of {spec} is running: try again later")
            remove_image(ioctx, unfinished)
        rbd.RBD().create(ioctx, unfinished, 0)
        try:
            with rbd.Image(ioctx, unfinished) as image:
                yield image
        except BaseException:
            remove_image(ioctx, unfinished)
            raise
        rbd.RBD().rename(ioctx, unfinished, spec.image)


def restore(directory: Path, spec: ImageSpec, bar: bool) -> None:
    """Make a new image from all runs of the chain."""
    with locked(directory), new_image(spec) as image:
        runs = read_list(directory)
        if not runs:
            sys.exit(f"{directory} has no runs")
        for run in runs:
            expected = ("sha256", run["sha256"])
            transfer.import_diff(directory / run["file"], image, expected=expected, progress=bar)
    print(f"{spec} restored")


def merge(directory: Path) -> None:
    """Make one run from the whole chain, which takes less space and restores in one step."""
    with locked(directory):
        snapshots = remove_files(directory)
        runs = read_list(directory)
        if len(runs) > 1:
            last = runs[-1]["snapshot"]
            steps = [f"merging-{number}.diff" for number in range(len(runs) - 2)]
            steps.append(f"{last}.merged.diff")
            old = [run["file"] for run in runs]
            passed = [run["snapshot"] for run in runs[:-1]]
            note(directory, [*snapshots, *passed], [*old, *steps])
            digest = None
            whole = old[0]
            for following, merged in zip(old[1:], steps):
                digest = transfer.merge_diff(
                    directory / whole,
                    directory / following,
                    directory / merged,
                    checksum="sha256",
                    # Intermediate files need not survive.
                    fsync=merged == steps[-1],
                )
                whole = merged
            write_json(directory / LIST, [{"snapshot": last, "file": whole, "sha256": digest}])
            remove_files(directory)
    print(f"{directory}: one run left")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--bar", action="store_true", help="draw a bar, if tqdm is installed")
    commands = parser.add_subparsers(dest="command", required=True)
    for name, arguments in (
        ("save", ("image", "directory")),
        ("restore", ("directory", "image")),
        ("merge", ("directory",)),
    ):
        command = commands.add_parser(name)
        for argument in arguments:
            command.add_argument(argument, type=ImageSpec.parse if argument == "image" else Path)
    given = parser.parse_args()
    if given.command == "save":
        save(given.image, given.directory, given.bar)
    elif given.command == "restore":
        restore(given.directory, given.image, given.bar)
    else:
        merge(given.directory)


if __name__ == "__main__":
    main()
