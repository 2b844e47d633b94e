#!/bin/sh
# Installs what the tests use beside Python, once, where that is possible: real servers, from
# Debian, and what node runs: the official parser of AsyncAPI documents, and MicroPython.
set -eu
cd "$(dirname "$0")/.."
else_skip="the tests that need it will skip"

# They go into a folder of their own, under the versions and hashes of the lock file.
parts=.venv/node
if ! command -v node >/dev/null 2>&1 || ! command -v npm >/dev/null 2>&1; then
    echo "not installed: what node runs in tests (no node and npm); $else_skip" >&2
elif ! cmp -s tests/node/package-lock.json "$parts/installed.json"; then
    mkdir -p "$parts"
    rm -f "$parts/installed.json"
    cp tests/node/package.json tests/node/package-lock.json "$parts/"
    if (cd "$parts" && npm ci --ignore-scripts --no-audit --no-fund --silent); then
        cp tests/node/package-lock.json "$parts/installed.json"
    else
        echo "not installed: what node runs in tests (npm ci failed); $else_skip" >&2
    fi
fi

missing=""
command -v /usr/sbin/mosquitto >/dev/null 2>&1 || missing="$missing mosquitto"
command -v victoria-metrics >/dev/null 2>&1 || missing="$missing victoria-metrics"
[ -n "$missing" ] || exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq
    # Their own services are not wanted: the tests start the servers themselves.
    apt-get install -y -qq --no-install-recommends $missing >/dev/null
else
    echo "not installed:$missing (no apt or not root); $else_skip" >&2
fi
