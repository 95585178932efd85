#!/usr/bin/env bash
# QuickJS, as the crate rquickjs has it, spreads a text into an object as nothing.
#
# ECMA-262 (2025), 7.3.26 CopyDataProperties: the source is made an object (ToObject), so a text gives its letters by their
# places. Expected: { ...'hi' } is {"0":"h","1":"i"}, as Object.assign({}, 'hi') and arrays have it. Seen: {}.
#
# crates rquickjs 0.14.0 with rquickjs-sys 0.14.0.
# Exits 0 if it behaves as recorded, 1 if that has changed, 2 if it cannot be tried here.
set -euo pipefail
export LC_ALL=C

folder=$(mktemp -d /var/tmp/finding.XXXXXX)
trap 'rm -rf "$folder"' EXIT
cannot() { echo "cannot be tried here: $*" >&2; exit 2; }
for program in cargo cc; do command -v "$program" >/dev/null || cannot "no $program"; done
mkdir "$folder/src"
cd "$folder"
cat >Cargo.toml <<'END'
[package]
name = "try"
version = "0.0.0"
edition = "2024"
publish = false

[dependencies]
rquickjs = { version = "=0.14.0", default-features = false }
rquickjs-sys = "=0.14.0"
END
cat >src/main.rs <<'END'
fn main() {
    let runtime = rquickjs::Runtime::new().expect("a runtime");
    let context = rquickjs::Context::full(&runtime).expect("a context");
    let told = |source: &str| context.with(|it| it.eval::<String, _>(source).expect("a text"));
    let spread = told("JSON.stringify({ ...'hi' })");
    let assigned = told("JSON.stringify(Object.assign({}, 'hi'))");
    let array = told("JSON.stringify([...'hi'])");
    println!("spread {spread}, assigned {assigned}, array {array}");
    let seen = (spread.as_str(), assigned.as_str(), array.as_str());
    std::process::exit(i32::from(seen != ("{}", r#"{"0":"h","1":"i"}"#, r#"["h","i"]"#)));
}
END
env -u CARGO_TARGET_DIR cargo build --quiet >log 2>&1 || cannot "cargo does not build: $(tail -n 3 log)"
echo "$(rustc --version), rquickjs 0.14.0"
status=0
timeout 60 target/debug/try || status=$?
((status == 0)) || { echo "CHANGED (status $status)" >&2; exit 1; }
echo "as recorded: a text spreads into an object as nothing"
