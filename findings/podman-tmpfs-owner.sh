#!/usr/bin/env bash
# Podman's Docker-compatible API refuses a tmpfs that belongs to a user.
#
# Docker Engine API v1.41, POST /containers/create: HostConfig.Tmpfs is "a map of container directories which should be replaced by
# tmpfs mounts, and their corresponding mount options". The options of tmpfs are the kernel's (tmpfs(5)): uid= and gid= are among them,
# and Docker takes them. Expected: 201. Seen: 500, and the container is not made. The only way is Podman's own option "U".
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

create() { ask -o "$folder/answer" -w '%{http_code}' -d "{\"Image\":\"$image\",\"Cmd\":[\"/x\"],\"HostConfig\":{\"Tmpfs\":{\"/data\":\"$1\"}}}" http://d/v1.41/containers/create; }
plain=$(create 'rw,size=1m,mode=0755')
echo "rw,size=1m,mode=0755                   -> $plain"
owned=$(create 'rw,size=1m,mode=0755,uid=1000,gid=1000')
echo "rw,size=1m,mode=0755,uid=1000,gid=1000 -> $owned $(cat "$folder/answer")"
[[ $plain == 201 ]] || changed "a tmpfs without owner gave $plain"
[[ $owned == 500 && $(cat "$folder/answer") == *'unknown mount option'*uid=1000* ]] || changed "a tmpfs with an owner gave $owned"
echo "as recorded: uid= and gid= of a tmpfs are unknown mount options"
