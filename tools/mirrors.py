"""This machine's network settings, package mirror and pip settings, for use in a root."""

from __future__ import annotations

import functools
import re
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Source:
    """One package source of this machine."""

    uri: str
    suites: tuple[str, ...]


def apt_sources(directory: Path = Path("/etc/apt")) -> list[Source]:
    """Return this machine's binary package sources, in either of apt's two formats."""
    found: list[Source] = []
    lists = [directory / "sources.list", *sorted(directory.glob("sources.list.d/*.list"))]
    for path in (path for path in lists if path.is_file()):
        for line in path.read_text().splitlines():
            match = re.match(r"deb\s+(?:\[[^\]]*\]\s+)?(\S+)\s+(\S+)\s+\S", line)
            if match:
                found.append(Source(match[1].rstrip("/"), (match[2],)))
    for path in sorted(directory.glob("sources.list.d/*.sources")):
        for stanza in re.split(r"\n\s*\n", path.read_text()):
            lines = (line for line in stanza.splitlines() if line[:1] not in ("#", " ", ""))
            fields = {
                key.lower(): value.split() for key, _, value in (li.partition(":") for li in lines)
            }
            if "deb" in fields.get("types", ()) and fields.get("enabled") != ["no"]:
                suites = tuple(fields.get("suites", ()))
                found.extend(Source(uri.rstrip("/"), suites) for uri in fields.get("uris", ()))
    return found


def debian() -> tuple[str | None, str | None]:
    """Return the Debian mirror and the security mirror of this machine; None for a missing one."""
    main = security = None
    for source in apt_sources():
        if any(suite.endswith("-security") for suite in source.suites) and "debian" in source.uri:
            security = security or source.uri
        elif re.search(r"/debian\Z", source.uri):
            main = main or source.uri
    return main, security


@functools.cache
def pip_settings() -> dict[str, str]:
    """Return the global settings of this machine's pip, `{}` if there is no pip."""
    command = [sys.executable, "-m", "pip", "config", "list"]
    listed = subprocess.run(command, capture_output=True, text=True, check=False)
    pairs = re.findall(r"^global\.([\w-]+)='(.*)'$", listed.stdout, re.MULTILINE)
    return dict(pairs)


def pip_paths(settings: Iterable[str]) -> list[Path]:
    """Return the local files and directories that pip settings name, which a root must see too."""
    found = set()
    for word in " ".join(settings).split():
        # A local index links to files beside it, so its parent must be there as well.
        path = Path(word[len("file://") :]).parent if word.startswith("file://") else Path(word)
        if path.is_absolute() and len(path.parts) > 2 and path.exists():
            found.add(path)
    return sorted(found)
