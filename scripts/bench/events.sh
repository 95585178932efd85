#!/usr/bin/env bash
# What runs, events and an open console cost a node: calls beside a hundred open streams of events, one of which is never
# read; the processor time of an idle console; the memory at the bounds. Prints lines `figure NAME VALUE` and
# `ratio NAME VALUE`.
#   scripts/bench/events.sh [--rounds N] [--calls N] [--idle SECONDS] [--only readers|idle|memory]
#                           [--against FOLDER]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
case " $* " in
  *" --help "* | *" -h "*) exec python3 -B scripts/bench/events.py --help ;;
esac
echo "building (release) ..." >&2
cargo build --release --quiet -p serverledge-node -p serverledge-cli
exec python3 -B scripts/bench/events.py "$@"
