#!/usr/bin/env bash
# The time of a deploy of a script: one of ten lines, and, where npm is, a bundle of 265 kB. Measures the time until the reply,
# and the processor time of the node and the children that it starts. The node has its data in a temporary folder.
# Prints lines `figure NAME VALUE`.
#   scripts/bench/deploy.sh [--deploys N]
#                           [--against FOLDER]   another build of `serverledge` in turn with this one, for `ratio NAME/against VALUE`
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
    *" --help "* | *" -h "*) exec python3 -B "$root/scripts/bench/deploy.py" --help ;;
esac
prepare >&2
exec python3 -B "$root/scripts/bench/deploy.py" "$@"
