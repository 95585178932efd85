#!/usr/bin/env bash
# Requests per second of this node beside bare axum (and `wasmtime serve`, where it is on PATH), interleaved in one run;
# the same of scripts, short and bundled, beside workerd (where npm is); requests of functions beside reqwest; and what the node
# needs to start and to sit idle.
# Prints a table and lines `ratio NAME VALUE` and `figure NAME VALUE`.
#   scripts/bench/http.sh [--rounds N] [--seconds N] [--connections N] [--only http|script|nested|loop|outgoing|start]
#                         [--against FOLDER]   another build of `serverledge` in the same run, for `ratio NAME/against VALUE`
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cd "$root"
case " $* " in
  *" --help "* | *" -h "*) exec python3 -B scripts/bench/measure.py --help ;;
esac
for tool in python3 wrk; do
  command -v "$tool" >/dev/null && continue
  [ "$(id -u)" = 0 ] || { echo "$tool is missing: apt-get install $tool" >&2; exit 1; }
  apt-get install -y -q "$tool" >/dev/null
done
echo "building (release) ..." >&2
cargo build --release --quiet -p serverledge-node -p serverledge-cli
cargo build --release --quiet -p serverledge-api --example bare_axum
cargo build --release --quiet -p serverledge-client --example bare_reqwest
# The Rust example as rustc links it by itself: from here, the flags of wasm-examples/.cargo are not found.
# Once as a module of WASI preview 1, once as a component.
for target in wasm32-wasip1 wasm32-wasip2; do
  if rustup target list --installed 2>/dev/null | grep -qx "$target" || rustup target add "$target" 2>/dev/null; then
    cargo build --release --quiet --locked --manifest-path wasm-examples/Cargo.toml --target "$target" -p hello \
      --target-dir "${CARGO_TARGET_DIR:-target}/bench-guests"
  else
    echo "rustup has no target $target: measuring without a Rust program for it" >&2
  fi
done
exec python3 -B scripts/bench/measure.py "$@"
