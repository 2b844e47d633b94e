#!/bin/sh
# Makes the folder of an installation in containers:  begin.sh FOLDER
# The configuration, a small city to begin with, and secrets that nobody has seen: no default, none
# twice. What is there stays as it is. Run it as root: the files belong to the containers' user.
set -eu
[ $# -eq 1 ] || { sed -n '2,4s/^# \{0,1\}//p' "$0" >&2; exit 2; }
here=$(cd "$(dirname "$0")/.." && pwd)
folder=$1
owner=31100
umask 077

# What is mounted from the checkout is no secret; a strict umask has kept it from that user.
chmod -R a+rX "$here/docker/mosquitto.conf" "$here/prometheus" "$here/grafana" || true

mkdir -p "$folder"
folder=$(cd "$folder" && pwd)
for name in broker city/rules secrets store backups data/broker data/influxdb data/influxdb-config \
    data/prometheus data/grafana; do
    mkdir -p "$folder/$name"
done
[ -e "$folder/sense311.toml" ] || cp "$here/docker/sense311.toml" "$folder/"
[ -e "$folder/city/assets.geojson" ] || cp "$here/examples/assets.geojson" "$folder/city/"
for name in influx_token influx_password grafana_password; do
    # 256 bits; without a line end, which some readers take for a part of it.
    [ -s "$folder/secrets/$name" ] ||
        od -An -N32 -tx1 /dev/urandom | tr -d ' \n' >"$folder/secrets/$name"
done
# Empty, so that it is the containers' already when root writes the key into it.
[ -e "$folder/secrets/open311_api_key" ] || : >"$folder/secrets/open311_api_key"
[ -e "$folder/.env" ] || echo "SENSE311_HOME=$folder" >"$folder/.env"
if [ "$(id -u)" = 0 ]; then
    chown -R "$owner:$owner" "$folder"
else
    echo "now, as root: chown -R $owner:$owner $folder" >&2
fi
[ -s "$folder/secrets/open311_api_key" ] ||
    echo "still wanted: the city's key, in $folder/secrets/open311_api_key" >&2
