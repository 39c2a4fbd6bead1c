#!/usr/bin/env python3
"""Check the subject of a commit: "topic: what", at most 72 characters, then an empty line.

tools/check/subject.py FILE        as a commit-msg hook, which .pre-commit-config.yaml installs
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import List

LONGEST = 72
SUBJECT = re.compile(r"[a-z0-9_.\-]+(?:, [a-z0-9_.\-]+)*: \S")
# Subjects that git itself writes.
OWN = ("Merge ", "Revert ", "fixup! ", "squash! ", "amend! ")


def faults(message: str) -> List[str]:
    """Return what is wrong with the message of a commit."""
    lines = [line for line in message.splitlines() if not line.startswith("#")]
    subject = lines[0] if lines else ""
    if subject.startswith(OWN):
        return []
    found = []
    if not SUBJECT.match(subject):
        found.append(f'the subject must be "topic: what", not {subject!r}')
    if len(subject) > LONGEST:
        found.append(f"the subject has {len(subject)} characters, more than {LONGEST}")
    if subject.endswith("."):
        found.append("the subject must not end with a full stop")
    if len(lines) > 1 and lines[1].strip():
        found.append("the line below the subject must be empty")
    return found


def main() -> int:
    found = faults(Path(sys.argv[1]).read_text())
    for fault in found:
        print(f"commit message: {fault}", file=sys.stderr)
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
