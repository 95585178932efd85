#!/usr/bin/env bash
# Measures a cluster: the time that one hop adds to a call, calls per second of two nodes of half a core against
# one (offloaded by the nodes themselves, and through the load balancer), and asynchronous calls accepted per second with the
# embedded registry and with etcd. Starts etcd and nodes of its own on free ports of loopback, with data in a temporary
# folder. Prints lines `value NAME VALUE UNIT` and `ratio NAME VALUE`.
#
#   scripts/bench/offload.sh [--seconds N] [--rounds N] [--only hop|two|async|idle]
#
# Needs root for the part with half a core each (control groups).
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)
# shellcheck source=scripts/lib.sh
source "$root/scripts/lib.sh"
cd "$root"

prepare() {
    local missing=() tool
    for tool in python3 wrk; do command -v "$tool" >/dev/null || missing+=("$tool"); done
    command -v etcd >/dev/null || missing+=(etcd-server)
    command -v etcdctl >/dev/null || missing+=(etcd-client)
    ((${#missing[@]} == 0)) || install "what measures" "${missing[@]}"
    need_cargo
    say "building (release) ..."
    cargo build --release --locked --quiet -p serverledge-node
}

case " $* " in
    *" --help "* | *" -h "*) exec python3 -B "$root/scripts/bench/offload.py" --help ;;
esac
prepare >&2
exec python3 -B "$root/scripts/bench/offload.py" "$@"
