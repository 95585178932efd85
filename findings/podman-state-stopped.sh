#!/usr/bin/env bash
# Podman shows a container in the state "stopped", which Docker's API does not have.
#
# Docker Engine API v1.41, GET /containers/{id}/json: State.Status is one of created, running, paused, restarting, removing, exited,
# dead. Expected: one of these. Seen: "stopped" for some ten milliseconds after the container's process has ended and before Podman
# has cleaned up after it, so that clients generated from the API's own description (an enum) fail to read the answer now and then.
#
# Debian 12's podman 4.3.1+ds1-8, conmon, crun or runc, and busybox-static, as root.
# Exits 0 if it behaves as recorded, 1 if that has changed, 2 if it cannot be tried here.
set -euo pipefail
export LC_ALL=C DEBIAN_FRONTEND=noninteractive

recorded=4.3.1
folder=$(mktemp -d /var/tmp/finding.XXXXXX) service=''
finish() {
    [[ -z $service ]] || { kill "$service" && wait "$service"; } 2>/dev/null || true
    awk -v folder="$folder/" 'index($2, folder) == 1 { print $2 }' /proc/mounts | sort -r | xargs -r umount -l
    # The last container's cleaning up may still be writing.
    for _ in $(seq 50); do ! rm -rf "$folder" 2>/dev/null || break; sleep 0.1; done
}
trap finish EXIT
cannot() { echo "cannot be tried here: $*" >&2; exit 2; }
changed() { echo "CHANGED: $*" >&2; exit 1; }

((EUID == 0)) || cannot "Podman's service wants root"
for program in podman curl crun runc busybox; do
    package=${program/busybox/busybox-static}
    command -v "$program" >/dev/null || apt-get install -y -qq --no-install-recommends "$package" >/dev/null || cannot "no $package"
done
# crun wants one version of cgroups.
runtime=crun
! mountpoint -q /sys/fs/cgroup/unified || runtime=runc
podman --runtime "$runtime" --root "$folder/root" --runroot "$folder/run" --tmpdir "$folder/tmp" --storage-driver vfs --cgroup-manager cgroupfs \
    --events-backend file --network-config-dir "$folder/networks" system service --time=0 "unix://$folder/socket" 2>"$folder/log" &
service=$!
ask() { curl -sS --max-time 30 --unix-socket "$folder/socket" -H 'content-type: application/json' "$@"; }
for _ in $(seq 100); do ! ask http://d/_ping >/dev/null 2>&1 || break; sleep 0.1; done
version=$(ask http://d/version | sed 's/.*"Name":"Podman Engine","Version":"\([^"]*\)".*"ApiVersion":"\([^"]*\)".*/Podman \1, API \2/')
echo "$version"
[[ $version == "Podman $recorded, "* ]] || echo "(recorded with $recorded)"
mkdir -p "$folder/empty/bin"
cp "$(command -v busybox)" "$folder/empty/bin/busybox"
tar -cf "$folder/empty.tar" -C "$folder/empty" .
imported=$(curl -sS --max-time 30 --unix-socket "$folder/socket" -H 'content-type: application/x-tar' \
    --data-binary "@$folder/empty.tar" 'http://d/v1.41/images/create?fromSrc=-')
image=$(sed 's/.*sha256:\([0-9a-f]\{64\}\).*/\1/' <<<"$imported")
[[ ${#image} == 64 ]] || cannot "an image is not imported: $imported"

seen=''
for _ in $(seq 30); do
    id=$(ask -d "{\"Image\":\"$image\",\"Cmd\":[\"/bin/busybox\",\"true\"],\"HostConfig\":{\"NetworkMode\":\"none\",\"Ulimits\":[{\"Name\":\"nofile\",\"Soft\":1024,\"Hard\":1024},{\"Name\":\"nproc\",\"Soft\":1000,\"Hard\":1000}]}}" \
        http://d/v1.41/containers/create | sed 's/.*"Id":"\([0-9a-f]*\)".*/\1/')
    started=$(ask -X POST -w '%{http_code}' "http://d/v1.41/containers/$id/start")
    [[ $started == 204 ]] || cannot "no container starts: $started"
    status=running
    until [[ $status == exited || $status == stopped ]]; do
        status=$(ask "http://d/v1.41/containers/$id/json" | sed 's/.*"State":{"Status":"\([a-z]*\)".*/\1/')
    done
    seen+="$status "
    ask -X DELETE "http://d/v1.41/containers/$id?force=true" >/dev/null
    [[ $status != stopped ]] || break
done
echo "first state after the end, container by container: $seen"
[[ $seen == *stopped* ]] || changed "stopped was not seen"
echo "as recorded: a state that the API does not have"
