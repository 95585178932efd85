#!/usr/bin/env bash
# Functions in containers: cold starts by phase with and without template containers, what the node adds to a warm call on the
# agent's own socket, calls per second, and a burst of clients where one container is warm. Starts a node of its own on a free
# port of loopback, with its data in a temporary folder, and a Docker Engine if none answers. Prints tables and lines
# `ratio NAME VALUE` and `value NAME VALUE UNIT`.
#
#   scripts/bench/containers.sh [--starts N] [--rounds N] [--seconds N] [--limit SECONDS] [--markdown] [--only cold|warm|load|burst]
#   scripts/bench/containers.sh --peer URL [--peer-runtime NAME] ...   also any node that speaks Serverledge's API, in turns
#   scripts/bench/containers.sh --node FILE ...                        this program, instead of a release build
#   scripts/bench/containers.sh --only burst --against FILE ...        another build's program in turns
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)
# shellcheck source=scripts/lib.sh
source "$root/scripts/lib.sh"

# Other work of the script goes to stderr: stdout holds what was measured.
prepare() {
    cd "$root"
    command -v python3 >/dev/null || install "what measures" python3
    if [[ " $* " != *" --node"[\ =]* ]]; then
        need_cargo
        say "building (release) ..."
        cargo build --release --locked --quiet -p serverledge-node
    fi
    need_docker
    images_are_there || runtimes/build.sh --offline
    # Paths in the arguments are relative to where the caller is.
    cd "$caller"
}

caller=$PWD
case " $* " in
    *" --help "* | *" -h "*) exec python3 -B "$root/scripts/bench/containers.py" --help ;;
esac
measuring=''
trap stop_docker EXIT
# The measuring program removes what it made; a signal to this script alone has to reach it.
trap '[[ $measuring ]] || exit 143; kill -TERM "$measuring" 2>/dev/null || true' INT TERM

prepare "$@" >&2
python3 -B "$root/scripts/bench/containers.py" "$@" &
measuring=$!
status=0
wait "$measuring" || status=$?
# A signal ends the waiting, not what is waited for.
while kill -0 "$measuring" 2>/dev/null; do wait "$measuring" || status=$?; done
exit "$status"
