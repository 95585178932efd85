#!/bin/sh
# Makes what the cluster's members know each other by, with openssl, and only what is missing:
#
#   issue.sh DIR                      the authority (ca.pem, ca.key) and the cluster's key (cluster.key)
#   issue.sh DIR NAME SUBJECTALTNAME  a certificate and its key (NAME.pem, NAME.key), for server and client; made anew where
#                                     the names have changed or it ends within 30 days
#
# Prints a line for each thing made.
set -eu
umask 077
dir=$1 name=${2:-} names=${3:-}
ca_days=3650 days=365 renew_seconds=2592000

mkdir -p "$dir"
cd "$dir"
# One at a time: hosts are set up side by side.
exec 9>.lock
flock 9

new_key='-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes'

if [ -z "$name" ]; then
    if ! [ -s ca.pem ] || ! [ -s ca.key ]; then
        # shellcheck disable=SC2086  # several words
        openssl req -x509 $new_key -days "$ca_days" -subj "/CN=Serverledge cluster" -keyout ca.key.new -out ca.pem.new \
            -addext basicConstraints=critical,CA:TRUE,pathlen:0 -addext keyUsage=critical,keyCertSign,cRLSign 2>openssl.log ||
            { cat openssl.log >&2; exit 1; }
        mv ca.key.new ca.key
        mv ca.pem.new ca.pem
        echo "made ca.pem"
    fi
    if ! [ -s cluster.key ]; then
        openssl rand -base64 32 >cluster.key.new
        mv cluster.key.new cluster.key
        echo "made cluster.key"
    fi
    exit 0
fi

if [ -s "$name.key" ] && [ "$(cat "$name.names" 2>/dev/null)" = "$names" ] &&
    openssl verify -CAfile ca.pem "$name.pem" >/dev/null 2>&1 &&
    openssl x509 -in "$name.pem" -noout -checkend "$renew_seconds" >/dev/null; then
    exit 0
fi
{
    echo "subjectAltName=$names"
    echo "basicConstraints=critical,CA:FALSE"
    echo "keyUsage=critical,digitalSignature"
    echo "extendedKeyUsage=serverAuth,clientAuth"
} >"$name.ext"
# shellcheck disable=SC2086  # several words
{
    openssl req -new $new_key -subj "/CN=$name" -keyout "$name.key.new" -out "$name.csr" &&
        openssl x509 -req -days "$days" -in "$name.csr" -CA ca.pem -CAkey ca.key -CAcreateserial -extfile "$name.ext" \
            -out "$name.pem.new"
} 2>openssl.log || { cat openssl.log >&2; exit 1; }
rm -f "$name.csr" "$name.ext"
mv "$name.key.new" "$name.key"
mv "$name.pem.new" "$name.pem"
printf '%s\n' "$names" >"$name.names"
echo "made $name.pem"
