// Recursion too deep is an error of Python's, not a trap. Node.js gives WebAssembly a stack of some 984 KiB here, and frames of
// its own length; the node has 512 KiB, for which cpython.patch sets the limits.
'use strict';

const assert = require('node:assert/strict');
const { test } = require('node:test');
const { Python } = require('./guest.js');

const guest = new Python(`
    import functools, json, pickle, copy

    class Nested:
        def __init__(self, depth):
            self.depth = depth
        def __repr__(self):
            return "." + (repr(Nested(self.depth - 1)) if self.depth else "")
        def __eq__(self, other):
            return Nested(self.depth - 1) == other if self.depth else True
        def __bool__(self):
            return bool(Nested(self.depth - 1)) if self.depth else True
        def __getitem__(self, key):
            return Nested(self.depth - 1)[key] if self.depth else key

    def lists(depth):
        value = []
        for _ in range(depth):
            value = [value]
        return value

    def by_sorted(depth):
        return sorted([1], key=lambda each: by_sorted(depth - 1) if depth else each)

    def by_map(depth):
        return list(map(lambda _: by_map(depth - 1) if depth else 0, [1]))

    def plain(depth):
        return 1 + plain(depth - 1) if depth else 0

    def by_generator(depth):
        if depth:
            yield from by_generator(depth - 1)
        yield depth

    @functools.cache
    def cached(depth):
        return cached(depth - 1) + 1 if depth else 0

    kinds = {
        "sorted": by_sorted,
        "map": by_map,
        "plain": plain,
        "cached": cached,
        "generator": lambda depth: len(list(by_generator(depth))),
        "repr": lambda depth: len(repr(Nested(depth))),
        "eq": lambda depth: Nested(depth) == 1,
        "bool": lambda depth: bool(Nested(depth)),
        "getitem": lambda depth: Nested(depth)[3],
        "loads": lambda depth: bool(json.loads("[" * depth + "]" * depth)),
        "dumps": lambda depth: len(json.dumps(lists(depth))),
        "lists": lambda depth: len(repr(lists(depth))),
        "equal lists": lambda depth: lists(depth) == lists(depth),
        "pickle": lambda depth: len(pickle.dumps(lists(depth))),
        "copy": lambda depth: bool(copy.deepcopy(lists(depth))),
        "compile": lambda depth: bool(compile("-" * depth + "1", "text", "eval")),
        "brackets": lambda depth: bool(compile("(" * depth + "1" + ")" * depth, "text", "eval")),
        "delete": lambda depth: lists(depth) is None,
        "result": lists,
    }

    def handler(params):
        try:
            result = kinds[params["kind"]](params["depth"])
            return result if params["kind"] == "result" else repr(result)[:20]
        except (RecursionError, MemoryError) as error:
            return type(error).__name__
`);

for (const [kind, depth, expected] of [
  ['sorted', 100, '[1]'],
  ['sorted', 300, 'RecursionError'],
  ['map', 100, '[[[[[[[[[[[[[[[[[[[['],
  ['plain', 950, '950'],
  ['plain', 3000, 'RecursionError'],
  ['cached', 100, '100'],
  ['cached', 600, 'RecursionError'],
  ['generator', 900, '901'],
  ['repr', 100, '101'],
  ['repr', 600, 'RecursionError'],
  ['eq', 600, 'RecursionError'],
  ['bool', 600, 'RecursionError'],
  ['getitem', 600, '3'],
  ['loads', 400, 'True'],
  ['loads', 3000, 'RecursionError'],
  ['dumps', 3000, 'RecursionError'],
  ['lists', 400, '802'],
  ['lists', 20000, 'RecursionError'],
  ['equal lists', 20000, 'RecursionError'],
  ['pickle', 20000, 'RecursionError'],
  ['copy', 400, 'True'],
  ['copy', 20000, 'RecursionError'],
  ['compile', 20000, 'MemoryError'],
  ['brackets', 60, 'True'],
  ['brackets', 20000, 'MemoryError'],
  ['delete', 100000, 'False'],
]) {
  test(`${kind}, ${depth} deep: ${expected}`, () => {
    assert.deepEqual(guest.call({ kind, depth }).result, expected);
  });
}

test('a result too deep', () => {
  const { error } = guest.call({ kind: 'result', depth: 3000 });
  assert.equal(error.error, 'RecursionError');
});

test('params too deep', () => {
  const { error } = guest.callText('['.repeat(5000) + ']'.repeat(5000));
  assert.match(error.message, /^the parameters are not JSON: maximum recursion depth exceeded/);
});

test('a limit of one’s own counts for plain functions', () => {
  const raised = new Python(`
    import sys
    sys.setrecursionlimit(100000)
    def plain(depth):
        return 1 + plain(depth - 1) if depth else 0
    def handler(p):
        return plain(20000)
  `);
  assert.equal(raised.call().result, 20000);
});
