# ruff: noqa: INP001 -- a program, no package
"""Whether the gateway of a container works: `healthy.py sense311 CONFIG`, as its HEALTHCHECK.

Green and amber do: amber waits for a person, and no restart would help. It says why not.
"""

import json
import subprocess
import sys


def main(command: str, config: str) -> int:
    """0 or 1, as Docker has it."""
    words = [command, "status", "-c", config, "--json"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)  # noqa: S603
    try:
        said = json.loads(done.stdout)
    except ValueError:
        said = {"problem": done.stderr[-300:]}
    state = said.get("state", "red")
    sys.stdout.write(f"{state}: {said.get('problem') or said.get('error', '')}\n")
    return 0 if state in ("green", "amber") else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
