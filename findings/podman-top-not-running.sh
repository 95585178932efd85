#!/usr/bin/env bash
# Podman answers /containers/{id}/top of a container that does not run with 200 and nothing.
#
# Docker Engine API v1.41, GET /containers/{id}/top: 200 is an object with Titles and Processes; 404 "no such container"; 500 "server error".
# Docker itself answers 409 "container … is not running". Expected: an error in JSON. Seen: 200 with an empty body and no error at all, which
# is no JSON; docker top prints "EOF".
#
# Debian 12's podman 4.3.1+ds1-8, as root. Nothing is run in a container: an empty image, and requests with curl.
# Exits 0 if it behaves as recorded, 1 if that has changed, 2 if it cannot be tried here.
set -euo pipefail
export LC_ALL=C DEBIAN_FRONTEND=noninteractive

recorded=4.3.1
folder=$(mktemp -d /var/tmp/finding.XXXXXX) service=''
finish() {
    [[ -z $service ]] || { kill "$service" && wait "$service"; } 2>/dev/null || true
    awk -v folder="$folder/" 'index($2, folder) == 1 { print $2 }' /proc/mounts | sort -r | xargs -r umount -l
    rm -rf "$folder"
}
trap finish EXIT
cannot() { echo "cannot be tried here: $*" >&2; exit 2; }
changed() { echo "CHANGED: $*" >&2; exit 1; }

((EUID == 0)) || cannot "Podman's service wants root"
for program in podman curl; do
    command -v "$program" >/dev/null || apt-get install -y -qq --no-install-recommends "$program" >/dev/null || cannot "no $program"
done
podman --root "$folder/root" --runroot "$folder/run" --tmpdir "$folder/tmp" --storage-driver vfs --cgroup-manager cgroupfs \
    --events-backend file --network-config-dir "$folder/networks" system service --time=0 "unix://$folder/socket" 2>"$folder/log" &
service=$!
ask() { curl -sS --max-time 30 --unix-socket "$folder/socket" -H 'content-type: application/json' "$@"; }
for _ in $(seq 100); do ! ask http://d/_ping >/dev/null 2>&1 || break; sleep 0.1; done
version=$(ask http://d/version | sed 's/.*"Name":"Podman Engine","Version":"\([^"]*\)".*"ApiVersion":"\([^"]*\)".*/Podman \1, API \2/')
echo "$version"
[[ $version == "Podman $recorded, "* ]] || echo "(recorded with $recorded)"
mkdir "$folder/empty"
tar -cf "$folder/empty.tar" -C "$folder/empty" .
imported=$(curl -sS --max-time 30 --unix-socket "$folder/socket" -H 'content-type: application/x-tar' \
    --data-binary "@$folder/empty.tar" 'http://d/v1.41/images/create?fromSrc=-')
image=$(sed 's/.*sha256:\([0-9a-f]\{64\}\).*/\1/' <<<"$imported")
[[ ${#image} == 64 ]] || cannot "an empty image is not imported: $imported"

id=$(ask -d "{\"Image\":\"$image\",\"Cmd\":[\"/x\"]}" http://d/v1.41/containers/create | sed 's/.*"Id":"\([0-9a-f]*\)".*/\1/')
[[ -n $id ]] || cannot "no container was made"
top=$(ask -o "$folder/answer" -w '%{http_code}' "http://d/v1.41/containers/$id/top")
echo "top of a created container -> $top, $(stat -c %s "$folder/answer") bytes: $(cat "$folder/answer")"
[[ $top == 200 && ! -s $folder/answer ]] || changed "top gave $top: $(cat "$folder/answer")"
echo "as recorded: 200 and an empty body"
