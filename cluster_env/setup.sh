#!/usr/bin/env bash
# Make kd's virtual environment on a cluster, on the login node. Jobs activate it from home; it is never copied to scratch.
#   cluster_env/setup.sh [PROFILE] [VENV]     default: markov, and the profile's venv
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
profile=$here/profiles/${1:-markov}.yaml
[ -f "$profile" ] || { echo "setup.sh: no profile $profile" >&2; exit 2; }

# The two keys this script needs, read without Python: it is what is being set up.
modules=$(sed -n 's/^modules: *\[\(.*\)\].*/\1/p' "$profile" | tr -d ' ' | tr ',' '\n')
venv=${2:-$(sed -n 's/^venv: *\([^ #]*\).*/\1/p' "$profile")}
venv=${venv/#\$HOME/$HOME}
[ -n "$venv" ] || { echo "setup.sh: the profile names no venv; pass one: setup.sh PROFILE VENV" >&2; exit 2; }

if [ -n "$modules" ]; then
    command -v module > /dev/null || { echo "setup.sh: no 'module' command in this shell" >&2; exit 2; }
    while read -r module; do module load "$module"; done <<< "$modules"
fi

[ -x "$venv/bin/python" ] || python3 -m venv "$venv"
"$venv/bin/python" -m pip install --quiet --constraint "$here/constraints.txt" --editable "$here/.."
echo "ready: source $venv/bin/activate"
