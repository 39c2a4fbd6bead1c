"""Nothing in the project ties it to one machine or one package index.

No absolute path into somebody's home or work directory, no option or variable that names an index,
and no web address beyond the few that the documentation needs.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import List

from tree import files, text_of

HOSTS = {
    "bford.info",
    "cmake.org",
    "docs.ceph.com",
    "docs.github.com",
    "docs.python.org",
    "github.com",
    "json-schema.org",
    "json.schemastore.org",
    "keepachangelog.com",
    "semver.org",
    "tracker.ceph.com",
    "www.apache.org",
    "www.w3.org",
}
PATHS = re.compile(r"(?<![\w.~$}*/-])/(?:home|work|Users|mnt|srv|root)/\w")
INDEX = re.compile(r"(?:--|\b)(?:extra-)?index-url\b|\bPIP_(?:EXTRA_)?INDEX_URL\b|--find-links\b")
ADDRESS = re.compile(r"https?://([A-Za-z0-9.-]+\.[A-Za-z]{2,})")
OUTSIDE = re.compile(r"\.\./shared\b")


def findings(root: Path) -> List[str]:
    found = []
    for path in files(root):
        name = path.relative_to(root).as_posix()
        if name == "LICENSE" or name == "tools/check/words.py":
            continue
        for number, line in enumerate(text_of(path).splitlines(), 1):
            where = f"{name}:{number}"
            for pattern, what in (
                (PATHS, "a path of one machine"),
                (INDEX, "a package index"),
                (OUTSIDE, "a path outside the project"),
            ):
                match = pattern.search(line)
                if match:
                    found.append(f"{where}: {what}: {match.group()}")
            found += [f"{where}: the host {h}" for h in ADDRESS.findall(line) if h not in HOSTS]
    return found
