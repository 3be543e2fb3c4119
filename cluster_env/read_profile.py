"""Print what setup.sh needs of a cluster profile, a line each: ``read_profile.py PROFILE KEY``.

Runs on any Python 3 that has PyYAML, before kd and its Python are there. Variables ($HOME) are expanded.
"""

import os
import sys

import yaml


def main():
    """Print the value of one key; of a list, each entry on a line. Returns 2 for a file that is no profile."""
    file, key = sys.argv[1:]
    try:
        with open(file, encoding="utf-8") as text:
            profile = yaml.safe_load(text)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        sys.stderr.write("setup.sh: {}: {}\n".format(file, " ".join(str(error).split())))
        return 2
    if not isinstance(profile, dict):
        sys.stderr.write(f"setup.sh: {file}: expected keys and values, as in 'modules: [...]'\n")
        return 2
    value = profile.get(key) or []
    for entry in value if isinstance(value, list) else [value]:
        print(os.path.expandvars(str(entry)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
