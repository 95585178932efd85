#!/usr/bin/env bash
# Podman makes the missing source of a bind mount, as a folder, where Docker's API refuses the container.
#
# Docker Engine API v1.41, POST /containers/create, HostConfig.Mounts[].Type: "bind Mounts a file or directory from the host into the
# container. Must exist prior to creating the container." Docker answers 400 "bind source path does not exist"; only the older form
# HostConfig.Binds makes folders. Expected: 400, and nothing made. Seen: 201, and a folder on the host, even for what was meant to
# be a file.
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

source=$folder/missing/ca.pem
created=$(ask -o "$folder/answer" -w '%{http_code}' \
    -d "{\"Image\":\"$image\",\"Cmd\":[\"/x\"],\"HostConfig\":{\"Mounts\":[{\"Type\":\"bind\",\"Source\":\"$source\",\"Target\":\"/ca.pem\",\"ReadOnly\":true}]}}" \
    http://d/v1.41/containers/create)
echo "a bind mount of a path that is not there -> $created; afterwards: $(stat -c %F "$source" 2>&1)"
[[ $created == 201 && -d $source ]] || changed "create gave $created: $(cat "$folder/answer")"
echo "as recorded: the path was made, as a folder"
