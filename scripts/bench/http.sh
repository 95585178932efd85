#!/usr/bin/env bash
# Requests per second of this node beside bare axum (and `wasmtime serve`, where it is on PATH), interleaved in one run,
# and what the node needs to start and to sit idle. Prints a table and lines `ratio NAME VALUE` and `figure NAME VALUE`.
#   scripts/bench/http.sh [--rounds N] [--seconds N] [--connections N] [--only http|nested|loop|start]
#                         [--against FOLDER]   another build of `serverledge` in the same run, for `ratio NAME/against VALUE`
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cd "$root"
for tool in python3 wrk; do
  command -v "$tool" >/dev/null && continue
  [ "$(id -u)" = 0 ] || { echo "$tool is missing: apt-get install $tool" >&2; exit 1; }
  apt-get install -y -q "$tool" >/dev/null
done
echo "building (release) ..." >&2
cargo build --release --quiet -p serverledge-node -p serverledge-cli
cargo build --release --quiet -p serverledge-api --example bare_axum
exec python3 scripts/bench/measure.py "$@"
