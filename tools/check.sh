#!/usr/bin/env bash
# The static checks in the virtual environment $venv, where the package is installed already.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. tools/setup.sh
requirements checks tools/check/requirements.txt
# Only the whole set, or its name, needs clang-tidy.
[[ $* == *'--without clang-tidy'* || ($# -gt 0 && $* != *clang-tidy*) ]] || need clang-tidy=clang-tidy
PATH=$venv/bin:$PATH exec "$python" tools/check/run.py "$@"
