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

# Command, and the Debian package that it comes in.
missing=""
need() {
    PATH="$PATH:/usr/sbin" command -v "$1" >/dev/null 2>&1 || missing="$missing $2"
}
need mosquitto mosquitto
need victoria-metrics victoria-metrics
need promtool prometheus
need systemd-analyze systemd
need systemd-nspawn systemd-container
need docker-compose docker-compose
need chromium chromium
need nginx nginx-light
[ -n "$missing" ] || exit 0
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1; then
    echo "not installed:$missing (no apt or not root); $else_skip" >&2
    exit 0
fi

# Their own services are not wanted: the tests start the servers themselves. While this file says
# no, a package starts none; where systemd runs, none of them starts with the machine either.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    trap 'rm -f "$policy"' EXIT
    trap 'exit 1' HUP INT TERM
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
fi
export DEBIAN_FRONTEND=noninteractive
# Another one may be at work: a while is waited for it.
apt-get -o DPkg::Lock::Timeout=300 update -qq
apt-get -o DPkg::Lock::Timeout=300 install -y -qq --no-install-recommends $missing >/dev/null
if [ -d /run/systemd/system ]; then
    for service in $missing; do
        systemctl --quiet disable "$service" 2>/dev/null || true
    done
fi
