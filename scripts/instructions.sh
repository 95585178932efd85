#!/usr/bin/env bash
# Counts the instructions of a fresh call of three guests, and compares them with the figures of instructions.txt.
#
#   instructions.sh            fails if a call takes 3 % more instructions than is recorded
#   instructions.sh --record   writes the figures down
#
# callgrind counts what runs in user space inside the calls. Time, other work on the machine and its processor do not matter:
# valgrind shows programs the same processor on every x86-64 with AVX2. On others this compares nothing, and says so.
# The build has the dependencies of the debug build, which are optimised, and the crates on the way of a call optimised as well.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/lib.sh
source scripts/lib.sh

record=scripts/instructions.txt
# A call may take so many thousandths of the recorded figure.
permille_max=1030
# So many fewer are worth a record, so that what was gained is not lost unseen.
permille_min=970
calls=200
guests=(reactor command script)
# Those crates that run during a call, and the example: optimised, and without checks. In several units, which two cores compile
# in half the time.
crates=(serverledge-core serverledge-executor-wasm serverledge-testing)
# Where it may, glibc copies and fills with one instruction, which counts once for each byte. This makes it use loops.
tunables=glibc.cpu.x86_rep_movsb_threshold=0x40000000:glibc.cpu.x86_rep_stosb_threshold=0x40000000

counts_here() { [[ $(uname -m) == x86_64 ]] && grep -qw avx2 /proc/cpuinfo; }

build() {
    local crate options=()
    for crate in "${crates[@]}"; do
        options+=(--config "profile.dev.package.$crate.opt-level=2" --config "profile.dev.package.$crate.codegen-units=16")
        options+=(--config "profile.dev.package.$crate.debug-assertions=false" --config "profile.dev.package.$crate.overflow-checks=false")
    done
    # With the features that tests have: without, libraries would be compiled twice.
    [[ -z ${SERVERLEDGE_TEST_FEATURES:-} ]] || options+=(--features "$SERVERLEDGE_TEST_FEATURES")
    CARGO_INCREMENTAL=0 cargo build --workspace --locked --example fresh_call --bin serverledge-wasm-compile "${options[@]}"
    programs=$(target_directory)/debug
}

write_script() {
    cat >"$1" <<'SCRIPT'
// What people write first.
const DIGITS_MAX = 15;

module.exports = (params, context) => {
  for (const name of ['a', 'b']) {
    if (!Number.isSafeInteger(params[name])) throw new TypeError(`${name} must be an integer of at most ${DIGITS_MAX} digits`);
  }
  const sum = [params.a, params.b].reduce((total, each) => total + each, 0);
  return { sum };
};
SCRIPT
}

# Machine code is made for the processor that the compiling child sees, and valgrind's has no AVX-512. Where the machine has, the
# child must not see it either, which takes it half a minute more. What is no machine code for the calls is made as always.
write_compiler() {
    local under=''
    ! grep -qw avx512f /proc/cpuinfo || under="$(command -v valgrind) --tool=none --quiet"
    cat >"$1" <<COMPILER
#!/bin/sh
case \$3 in
    compile | engine | data) exec $under "$programs/serverledge-wasm-compile" "\$@" ;;
    *) exec "$programs/serverledge-wasm-compile" "\$@" ;;
esac
COMPILER
    chmod +x "$1"
}

# Runs a guest's calls under callgrind, and prints the instructions of one.
count() {
    local guest=$1 out=$folder/$1.callgrind arguments total
    case $guest in
        reactor) arguments=('{"a":2,"b":3}' wasm-examples/add/add.wasm) ;;
        command) arguments=('{"text":"to be or not to be"}' wasm-examples/word-count/word-count.wasm) ;;
        script) arguments=('{"a":2,"b":3}' runtimes/javascript/javascript.wasm "$folder/script.js") ;;
    esac
    # Nothing of the caller's environment.
    env -i PATH="$PATH" GLIBC_TUNABLES=$tunables COMPILER="$folder/compiler" \
        valgrind --tool=callgrind --callgrind-out-file="$out" --toggle-collect='*::counted_calls' \
        "$programs/examples/fresh_call" "$calls" "${arguments[@]}" >"$folder/$guest.log" 2>&1 ||
        { tail -n 20 "$folder/$guest.log" >&2; fail "the calls of $guest ended otherwise"; }
    total=$(sed -n 's/^summary: \([0-9]*\)$/\1/p' "$out")
    ((${total:-0} > 0)) || { tail -n 20 "$folder/$guest.log" >&2; fail "callgrind counted nothing of $guest"; }
    printf '%s\n' $((total / calls))
}

# All guests at once: most of the time goes by in one thread.
count_all() {
    local guest pids=() pid
    for guest in "${guests[@]}"; do
        count "$guest" >"$folder/$guest.count" &
        pids+=($!)
    done
    for pid in "${pids[@]}"; do wait "$pid" || fail "not all guests were counted"; done
}

recorded() { sed -n "s/^$1 \(.*\)$/\1/p" "$record"; }
counted() { cat "$folder/$1.count"; }

# The versions that the project fixes, and those that are the machine's.
versions() {
    printf '%s, wasmtime %s\n' "$(rustc --version | cut -d' ' -f1,2)" \
        "$(grep -A1 '^name = "wasmtime"$' Cargo.lock | sed -n 's/^version = "\(.*\)"$/\1/p')"
}
machine() { printf '%s, glibc %s\n' "$(valgrind --version)" "$(getconf GNU_LIBC_VERSION | cut -d' ' -f2)"; }

write_record() {
    {
        printf '# Instructions of a fresh call of each guest, in user space. Written by: scripts/instructions.sh --record\n'
        printf '# versions: %s\n# machine: %s\n' "$(versions)" "$(machine)"
        for guest in "${guests[@]}"; do printf '%s %s\n' "$guest" "$(counted "$guest")"; done
    } >"$record"
    cat "$record"
}

compare() {
    local guest was now permille bad=0
    for guest in "${guests[@]}"; do
        was=$(recorded "$guest") now=$(counted "$guest")
        [[ -n $was ]] || fail "$record has no figure of $guest; scripts/instructions.sh --record writes it"
        permille=$((now * 1000 / was))
        printf '%-8s %9d instructions, recorded %9d: %3d.%d %%\n' "$guest" "$now" "$was" $((permille / 10)) $((permille % 10))
        ((now * 1000 <= was * permille_max)) || bad=1
        ((permille >= permille_min)) || say "$guest has become cheaper: scripts/instructions.sh --record keeps it so"
    done
    ((bad == 0)) && return
    say "recorded with $(recorded '# versions:'), $(recorded '# machine:'); here: $(versions), $(machine)"
    if [[ $(recorded '# machine:') != "$(machine)" ]]; then
        say "${red}over 3 % more instructions than recorded, on another kind of machine: nothing fails$plain"
        return
    fi
    fail "a fresh call takes over 3 % more instructions than $record says; if that is what it is worth: scripts/instructions.sh --record"
}

case ${1:-} in '' | --record) ;; *) fail "unknown argument: $1" ;; esac
if ! counts_here; then
    say "no x86-64 with AVX2: instructions are not compared"
    exit
fi
command -v valgrind >/dev/null || install "what counts instructions" valgrind
need_cargo
build
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
write_script "$folder/script.js"
write_compiler "$folder/compiler"
count_all
if [[ ${1:-} == --record ]]; then write_record; else compare; fi
