#!/usr/bin/env bash
# shellcheck source=tests/conformance/lib.sh
source "$ROOT/tests/conformance/lib.sh"
# The last release with a target for WASI.
maven teavm org.teavm:teavm-tooling:0.13.1 org.teavm:teavm-classlib:0.13.1 org.teavm:teavm-jso-impl:0.13.1 org.teavm:teavm-platform:0.13.1
need javac
classes=$(find "$TOOLS/teavm/repository" -name '*.jar' | grep -E '/org/(teavm|ow2)|/com/|/commons-io/|/org/mozilla/' | paste -sd:)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
javac --release 11 -cp "$classes" -d "$work/classes" Main.java
javac -cp "$classes" -d "$work/build" Build.java
nice -n 19 java -Xmx1500m -XX:+UseSerialGC -cp "$work/build:$work/classes:$classes" Build "$work/out"
cp "$work/out/main.wasm" "$module"
say_version "TeaVM 0.13.1"
