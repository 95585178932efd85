#!/usr/bin/env bash
# shellcheck source=tests/conformance/lib.sh
source "$ROOT/tests/conformance/lib.sh"
# The compiler and the library for WASI come from Maven's central repository; no Gradle is needed.
maven kotlin org.jetbrains.kotlin:kotlin-compiler-embeddable:2.4.20 org.jetbrains.kotlin:kotlin-stdlib-wasm-wasi:2.4.20:klib
repository=$TOOLS/kotlin/repository
library=$(find "$repository" -name 'kotlin-stdlib-wasm-wasi-*.klib')
classes=$(find "$repository" -name '*.jar' | grep -E '/(org/jetbrains|net)/' | paste -sd:)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
kotlin() { nice -n 19 java -Xmx1500m -XX:+UseSerialGC -cp "$classes" org.jetbrains.kotlin.cli.js.K2JSCompiler -Xwasm -Xwasm-target=wasm-wasi -libraries "$library" "$@"; }
kotlin -Xir-produce-klib-dir -ir-output-dir "$work/klib" -ir-output-name main main.kt
kotlin -Xir-produce-js -Xir-dce -Xinclude="$work/klib" -ir-output-dir "$work/out" -ir-output-name main
cp "$(find "$work/out" -name '*.wasm' | head -n 1)" "$module"
say_version "Kotlin 2.4.20"
