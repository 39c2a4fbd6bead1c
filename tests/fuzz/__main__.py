"""Fuzz a target with atheris: `python -m fuzz TARGET [libFuzzer's options]`, in tests/.

For example: `python -m fuzz diff -max_total_time=600`. Inputs that reach new code are kept in the
directory FUZZ_CORPUS, if that is set. Put an input that makes a target fail into corpus/TARGET/.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["rbd.transfer", "fuzz"]):
    import rbd.transfer.formats
    import rbd.transfer.merge
    import rbd.transfer.source  # noqa: F401
    from fuzz import targets


def main() -> None:
    if len(sys.argv) < 2 or sys.argv[1] not in targets.TARGETS:
        raise SystemExit(f"usage: python -m fuzz {'|'.join(targets.TARGETS)} [OPTION ...]")
    name = sys.argv[1]
    corpus = Path(os.environ.get("FUZZ_CORPUS") or tempfile.mkdtemp(), name)
    corpus.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(targets.seeds()[name]):
        (corpus / f"seed-{number}").write_bytes(seed)
    known = Path(__file__).with_name("corpus") / name
    directories = [str(path) for path in (corpus, known) if path.is_dir()]
    limits = ["-rss_limit_mb=1024", "-timeout=10", "-max_len=4096"]
    atheris.Setup([sys.argv[0], *limits, *sys.argv[2:], *directories], targets.TARGETS[name])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
