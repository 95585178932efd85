# Versions of the toolchains that several guests share. A change of them builds every guest again.
# shellcheck shell=bash
# shellcheck disable=SC2034  # read by lib.sh
rust_version=1.99.1
zig_version=0.17.1
