#!/usr/bin/env bash
# The static checks in the virtual environment $venv, where the package is installed already.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. tools/setup.sh
requirements checks tools/check/requirements.txt
# Named checks may not need it; the whole set does.
[[ $* == *'--without clang-tidy'* || ($# -gt 0 && $* != *clang-tidy*) ]] || need clang-tidy=clang-tidy
PATH=$venv/bin:$PATH exec "$python" tools/check/run.py "$@"
