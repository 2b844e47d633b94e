#!/bin/sh
# Installs the real servers that the tests use, once, where that is possible.
set -eu
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
    echo "not installed:$missing (no apt or not root); the tests that need them will skip" >&2
fi
