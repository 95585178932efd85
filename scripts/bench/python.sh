#!/usr/bin/env bash
# Python functions in WebAssembly (`python-wasm`) beside the same in containers (`python`), in one run and in turns: requests
# per second of warm functions, the first call after a deploy, what a deploy costs the node's processor, memory and machine
# code of a function, and a program that only computes beside a native Python 3.13. Starts a node of its own on loopback, with
# its data in a temporary folder, and a Docker Engine if none answers. Prints lines `figure NAME VALUE` and `ratio NAME VALUE`.
#   scripts/bench/python.sh [--rounds N] [--seconds N] [--connections N] [--functions N] [--native PROGRAM]
#                           [--only load|first|deploy|memory|compute]
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)
# shellcheck source=scripts/lib.sh
source "$root/scripts/lib.sh"
cd "$root"

prepare() {
    command -v python3 >/dev/null || install "what measures" python3
    command -v wrk >/dev/null || install "what sends requests" wrk
    need_cargo
    say "building (release) ..."
    cargo build --release --locked --quiet -p serverledge-node -p serverledge-cli
    need_docker
    images_are_there || runtimes/build.sh --offline
}

case " $* " in
    *" --help "* | *" -h "*) exec python3 -B "$root/scripts/bench/python.py" --help ;;
esac
trap stop_docker EXIT
prepare "$@" >&2
python3 -B "$root/scripts/bench/python.py" "$@"
