#!/usr/bin/env bash
# Podman says that it speaks Docker's API 1.41 and lacks POST /containers/{id}/update.
#
# Docker Engine API v1.41 has the route "Update a container: change various configuration options of a container without having to
# recreate it" (since 1.22), which answers 200 with Warnings, 404 with a JSON message for an unknown container, or 500. Podman reports
# ApiVersion 1.41. Expected: 200, or an error in JSON. Seen: 404 "Not Found" in plain text for a container that is there, as for a path that
# nobody knows; so a client that reads 404 as the API says believes that the container is gone.
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
there=$(ask -o /dev/null -w '%{http_code}' "http://d/v1.41/containers/$id/json")
update=$(ask -o "$folder/answer" -w '%{http_code} %{content_type}' -d '{"Memory":67108864,"MemorySwap":67108864}' "http://d/v1.41/containers/$id/update")
echo "inspect -> $there; update -> $update: $(cat "$folder/answer")"
[[ $there == 200 ]] || changed "the container cannot be inspected ($there)"
[[ $version == *'API 1.41' && $update == '404 text/plain'* && $(cat "$folder/answer") == 'Not Found'* ]] || changed "update gave $update"
echo "as recorded: the route is missing"
