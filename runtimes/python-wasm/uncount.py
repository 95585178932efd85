"""Takes the section that counts segments of data out of a module: `uncount.py MODULE`.

Binaryen writes the section in every module with bulk memory operations. Only `memory.init` and `data.drop` need it, which
are not in this module: without the section, one that has them is invalid. A node takes no module with it apart into an
engine and data.
"""

import sys

DATA_COUNT = 12
HEADER_BYTES = 8


def length(module: bytes, at: int) -> tuple[int, int]:
    """A number in LEB128, and the place behind it."""
    value = shift = 0
    while True:
        byte = module[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, at


def without_count(module: bytes) -> bytes:
    kept, at = [module[:HEADER_BYTES]], HEADER_BYTES
    while at < len(module):
        count, start = length(module, at + 1)
        if module[at] != DATA_COUNT:
            kept.append(module[at : start + count])
        at = start + count
    return b"".join(kept)


if __name__ == "__main__":
    path = sys.argv[1]
    with open(path, "rb") as file:
        module = file.read()
    with open(path, "wb") as file:
        file.write(without_count(module))
