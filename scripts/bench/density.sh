#!/usr/bin/env bash
# Memory of a node with many scripts of ten lines, each deployed and called: resident memory, idle and per function, and
# machine code on disk per function. The node has its data in a temporary folder. Prints lines `figure NAME VALUE`.
#   scripts/bench/density.sh [--functions N] [--calls N]
#                            [--against FOLDER]   another build of `serverledge` in the same run, for `ratio NAME/against VALUE`
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)
# shellcheck source=scripts/lib.sh
source "$root/scripts/lib.sh"
cd "$root"

prepare() {
    command -v python3 >/dev/null || install "what measures" python3
    need_cargo
    say "building (release) ..."
    cargo build --release --locked --quiet -p serverledge-node -p serverledge-cli
}

case " $* " in
    *" --help "* | *" -h "*) exec python3 -B "$root/scripts/bench/density.py" --help ;;
esac
prepare >&2
exec python3 -B "$root/scripts/bench/density.py" "$@"
