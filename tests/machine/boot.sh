#!/bin/sh
# Boots a machine of its own, with systemd as its first process, until its trial is over:
#
#     sh boot.sh PLACE SEED CHECKOUT PYTHON OUT
#
# Its files are this machine's, read only; what it writes lies in memory under PLACE (an empty
# folder) and is forgotten with it. SEED is laid over them. It has loopback and no other network.
# CHECKOUT and PYTHON (a prefix) stand in /opt/sense311, OUT at /trial. Mounts are seen by this
# process alone, so nothing of them is left; when it is killed, so is all that it started. As root.
set -eu
if [ "${1:-}" != mounted ]; then
    exec unshare --mount --propagation private --pid --fork --kill-child --mount-proc \
        sh "$0" mounted "$@"
fi
place=$2 seed=$3 checkout=$4 python=$5 out=$6
mount -t tmpfs -o mode=0755 tmpfs "$place"
mkdir "$place/written" "$place/work" "$place/root"
mount -t overlay overlay \
    -o "lowerdir=/,upperdir=$place/written,workdir=$place/work" "$place/root"
cp -R "$seed/." "$place/root/"
exec systemd-nspawn --quiet --directory="$place/root" --machine=sense311-trial --register=no \
    --keep-unit --private-network --link-journal=no --console=pipe \
    --bind-ro="$checkout:/opt/sense311/checkout" --bind-ro="$python:/opt/sense311/python" \
    --bind="$out:/trial" --boot systemd.unit=trial.target
