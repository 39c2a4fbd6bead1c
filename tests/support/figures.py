"""What a test has done, as numbers for the reliability page. `./dev soak` collects them."""

from __future__ import annotations

import json
import os


def note(what: str, number: float) -> None:
    """Note how much of something was done. Notes with the same words add up.

    RBD_FIGURES names the file that gets a line of JSON. Without it nothing is kept.
    """
    path = os.environ.get("RBD_FIGURES")
    if path:
        with open(path, "a", encoding="utf-8") as file:
            file.write(json.dumps([what, number]) + "\n")
