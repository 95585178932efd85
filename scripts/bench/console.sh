#!/usr/bin/env bash
# The web console in Chromium on a node with a thousand functions and ten thousand records of runs: the time from the
# address to a list of functions that can be used and to a picture of all runs, and the bytes that a first visit loads,
# without the editor and with it. Each visit has a browser without a cache. Prints lines `figure NAME VALUE`, and at the
# end what is beyond its bound.
#   scripts/bench/console.sh [--rounds N] [--functions N] [--runs N]
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)
# shellcheck source=scripts/lib.sh
source "$root/scripts/lib.sh"
cd "$root"

case " $* " in
    *" --help "* | *" -h "*) exec python3 -B "$root/scripts/bench/console.py" --help ;;
esac
{
    command -v python3 >/dev/null || install "what measures" python3
    command -v chromium >/dev/null || install "a browser" chromium
    need_cargo
    say "building (release) ..."
    cargo build --release --locked --quiet -p serverledge-node
} >&2
exec python3 -B "$root/scripts/bench/console.py" "$@"
