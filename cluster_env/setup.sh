#!/usr/bin/env bash
# Make kd's virtual environment on a cluster, on the login node. Jobs activate it from home; it is never copied to scratch.
#   cluster_env/setup.sh [PROFILE] [VENV]     default: markov, and the profile's venv
# PROFILE is the name of a shipped profile, or a file such as my_site.yaml.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
profile=${1:-markov}
case $profile in
    *.yaml | *.yml) ;;
    *) profile=$here/profiles/$profile.yaml ;;
esac
[ -f "$profile" ] || { echo "setup.sh: no profile $profile" >&2; exit 2; }

# The profile is read by a YAML reader, with whatever Python is here: kd's own is what is being set up.
if ! python3 -c 'import yaml' 2> /dev/null; then
    reader=$(mktemp -d)
    trap 'rm -rf "$reader"' EXIT
    python3 -m pip install --quiet --target "$reader" pyyaml || {
        echo "setup.sh: python3 has no PyYAML and cannot install it: load a Python module first" >&2
        exit 2
    }
    export PYTHONPATH=$reader
fi
read_profile() { python3 "$here/read_profile.py" "$profile" "$1"; }

modules=$(read_profile modules)
module_init=$(read_profile module_init)
venv=${2:-$(read_profile venv)}
unset PYTHONPATH
[ -n "$venv" ] || { echo "setup.sh: the profile names no venv; pass one: setup.sh PROFILE VENV" >&2; exit 2; }

if [ -n "$modules" ]; then
    command -v module > /dev/null || [ -z "$module_init" ] || source "$module_init"
    command -v module > /dev/null || { echo "setup.sh: no 'module' command in this shell" >&2; exit 2; }
    while read -r module; do
        module load "$module" || { echo "setup.sh: cannot load the module $module" >&2; exit 2; }
    done <<< "$modules"
fi

[ -x "$venv/bin/python" ] || python3 -m venv "$venv"
"$venv/bin/python" -m pip install --quiet --constraint "$here/constraints.txt" --editable "$here/.."
echo "ready: source $venv/bin/activate"
