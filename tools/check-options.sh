#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# The option table, as src/nspawn/print-options prints it, is the same as what --help, the manual,
# the completion of shells and docs/COMPATIBILITY.md say:
#
#   tools/check-options.sh [BUILD-FOLDER]
#
# Exit status 77: there is no python3, or nothing is built.
set -eu
top=$(cd "$(dirname "$0")/.." && pwd)
build=${1:-.}

if ! command -v python3 >/dev/null; then
        echo "'python3' is not installed"
        exit 77
fi
if [ ! -x "$build/src/nspawn/print-options" ]; then
        echo "'$build/src/nspawn/print-options' is not built"
        exit 77
fi
PYTHONDONTWRITEBYTECODE=1 exec python3 "$top/tools/check_options.py" "$top" "$build"
