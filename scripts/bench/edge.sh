#!/usr/bin/env bash
# Functions in browsers: the size of the library, snapshots on the wire, the time from the browser's cache to a result,
# calls in the page and in its Worker beside calls of the node over loopback, and the end of an endless loop. In each of
# Chromium, Firefox and WebKitGTK that is installed, with a profile of its own. The node has its data in a temporary
# folder. Prints a table, lines `figure NAME VALUE` and `ratio NAME VALUE`, and at the end what is beyond its bound.
#   scripts/bench/edge.sh [--rounds N] [--only chromium|firefox|webkit] [--markdown]
#                         [--against FOLDER]   another build in the same run, for `ratio NAME/against VALUE`
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)
# shellcheck source=scripts/lib.sh
source "$root/scripts/lib.sh"
cd "$root"

prepare() {
    command -v python3 >/dev/null || install "what measures" python3
    need_cargo
    say "building (release) ..."
    cargo build --release --locked --quiet -p serverledge-node
}

case " $* " in
    *" --help "* | *" -h "*) exec python3 -B "$root/scripts/bench/edge.py" --help ;;
esac
prepare >&2
exec python3 -B "$root/scripts/bench/edge.py" "$@"
