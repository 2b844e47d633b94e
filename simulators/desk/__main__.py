"""`python -m simulators.desk`: the simulated 311 desk as a process of its own.

One JSON line on standard output, `{"url": ...}`, when it answers; complaints go to standard error.
Ends on SIGTERM or SIGINT with 0; 2 for wrong usage, 3 when the port or the ledger cannot be had.
"""

import argparse
import json
import sys
from pathlib import Path

from simulators.desk import (
    DIALECTS,
    DeskConfig,
    Faults,
    LedgerRefusedError,
    ServicesRefusedError,
    faults_from,
    read_services,
    serve,
)

_EXIT_USAGE = 2
_EXIT_OUTSIDE = 3


def _arguments(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m simulators.desk", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0 picks a free one")
    parser.add_argument("--db", type=Path, required=True, help="the ledger, made if absent")
    parser.add_argument("--api-key-file", type=Path, required=True)
    parser.add_argument("--faults", type=faults_from, default=Faults(), help="JSON object")
    parser.add_argument("--jurisdiction-id", help="then every call has to name it")
    parser.add_argument("--dialect", choices=sorted(DIALECTS), default="generic")
    parser.add_argument("--services", type=Path, help="a table like services.toml")
    return parser.parse_args(argv)


def _announce(url: str) -> None:
    sys.stdout.write(json.dumps({"url": url}) + "\n")
    sys.stdout.flush()


def main(argv: list[str]) -> int:
    """Runs the desk as a process of its own; one JSON line on standard output when it is ready."""
    arguments = _arguments(argv)
    try:
        config = DeskConfig(
            port=arguments.port,
            db=arguments.db,
            api_key=arguments.api_key_file.read_text(encoding="utf-8").strip(),
            faults=arguments.faults,
            jurisdiction_id=arguments.jurisdiction_id,
            services=read_services(arguments.services),
            dialect=DIALECTS[arguments.dialect],
        )
        serve(config, _announce)
    except (ServicesRefusedError, ValueError, OverflowError) as error:
        sys.stderr.write(f"desk: {error}\n")
        return _EXIT_USAGE
    except (LedgerRefusedError, OSError) as error:
        sys.stderr.write(f"desk: {error}\n")
        return _EXIT_OUTSIDE
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
