#!/usr/bin/env bash
# A small certificate authority for the broker, the gateway and the devices.
#   certificates.sh FOLDER init HOSTNAME   the authority, the broker's certificate, an empty revocation list
#   certificates.sh FOLDER issue NAME      NAME.key and NAME.crt; NAME is the device id, or "gateway"
#   certificates.sh FOLDER revoke NAME     adds it to ca.crl; reload the broker afterwards (SIGHUP)
# Keep FOLDER off the broker: only ca.crt, ca.crl, server.crt and server.key belong there, readable by its user.
set -euo pipefail
umask 077

days=825
usage() { sed -n '2,6s/^# \{0,1\}//p' "$0" >&2; exit 2; }
[ $# -eq 3 ] || usage
folder=$1 verb=$2 name=$3
[[ $name =~ ^[A-Za-z0-9._-]{1,64}$ ]] || { echo "$name: not a device id or host name" >&2; exit 2; }
mkdir -p "$folder"
cd "$folder"

authority() {
    openssl ca -batch -notext -config <(cat <<EOF
[ca]
default_ca = here
[here]
dir = .
database = index.txt
serial = serial
new_certs_dir = .
certificate = ca.crt
private_key = ca.key
default_md = sha256
default_days = $days
default_crl_days = $days
policy = any
unique_subject = no
[any]
commonName = supplied
[server]
subjectAltName = DNS:$name
extendedKeyUsage = serverAuth
[client]
extendedKeyUsage = clientAuth
EOF
    ) "$@" 2>>openssl.log
}

issue() { # file, extensions
    openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes \
        -keyout "$1.key" -out "$1.csr" -subj "/CN=$name" 2>>openssl.log
    authority -in "$1.csr" -out "$1.crt" -extensions "$2"
    rm "$1.csr"
}

case $verb in
    init)
        [ ! -e ca.key ] || { echo "$folder: has an authority already" >&2; exit 2; }
        openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650 \
            -keyout ca.key -out ca.crt -subj "/CN=sense311 devices" 2>>openssl.log
        : > index.txt
        echo 01 > serial
        issue server server
        authority -gencrl -out ca.crl
        ;;
    issue)
        [ ! -e "$name.crt" ] || { echo "$name: has a certificate, revoke it first" >&2; exit 2; }
        issue "$name" client
        ;;
    revoke)
        authority -revoke "$name.crt"
        authority -gencrl -out ca.crl
        rm "$name.crt" "$name.key"
        ;;
    *) usage ;;
esac
