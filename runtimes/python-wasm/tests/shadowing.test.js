// Modules of a function's own that are called like those of Python's library: they take their place, as in CPython, and nothing
// of the runtime breaks.
'use strict';

const assert = require('node:assert/strict');
const { test } = require('node:test');
const { Python, result } = require('./guest.js');

const OWN = 'MINE = "mine"\ndef value():\n    return MINE';
// What a call needs of the library: errors with stacks, results, streams, random numbers, coroutines.
const HANDLER = (name) => `
import ${name} as own
def handler(p):
    print("printed")
    if p.get("fail"):
        try:
            raise ExceptionGroup("several", [ValueError("one"), KeyError("two")])
        except ExceptionGroup as error:
            raise RuntimeError("it fails") from error
    return [own.value(), own.__file__]
`;

for (const name of ['random', 'json', 'datetime', 're', 'enum', 'traceback', 'linecache', 'tokenize', 'textwrap', 'inspect', 'heapq', 'copy', 'types', 'functools', 'collections', 'keyword', 'token', 'string', 'logging', 'warnings', 'threading', 'asyncio', 'socket', 'binascii2', 'importlib2', 'http', 'calendar', 'secrets', 'uuid', 'contextlib']) {
  test(`a module called ${name}`, () => {
    for (const file of [`${name}.py`, `${name}/__init__.py`]) {
      const guest = new Python(HANDLER(name), { files: { [file]: OWN } });
      assert.equal(guest.error, undefined, JSON.stringify(guest.error));
      for (let call = 0; call < 2; call++) {
        const { result, error } = guest.call();
        assert.deepEqual(result, ['mine', `/app/code/${file}`], JSON.stringify(error));
        assert.equal(guest.log, 'printed\n');
      }
      const { error } = guest.call({ fail: true });
      assert.deepEqual([error.error, error.message], ['RuntimeError', 'it fails']);
      assert.match(error.stack, /ValueError: one/);
      assert.match(error.stack, /main\.py", line 8/);
    }
  });
}

// They are there before any file is: so it is in CPython.
for (const name of ['os', 'time', 'sys', 'io', 'abc', 'codecs', 'stat', 'builtins']) {
  test(`a module called ${name} is never found, as in CPython`, () => {
    const guest = new Python(`import ${name} as own\ndef handler(p):\n    return hasattr(own, "MINE")`, { files: { [`${name}.py`]: OWN } });
    assert.equal(guest.error, undefined, JSON.stringify(guest.error));
    assert.equal(guest.call().result, false);
  });
}

test('coroutines, with modules of one’s own beside', () => {
  const files = { 'random.py': OWN, 'heapq.py': OWN, 'json.py': OWN, 'inspect.py': OWN, 'contextvars2.py': OWN, 'asyncio.py': OWN };
  const source = 'async def inner():\n    return 5\nasync def handler(p):\n    return await inner()';
  assert.equal(result(source, {}, { files }), 5);
});

test('random numbers differ where a module of one’s own is called random, too', () => {
  const guest = new Python('import random, os\ndef handler(p):\n    return [random.value(), os.urandom(8).hex()]', { files: { 'random.py': OWN } });
  const [one, two] = [guest.call().result, guest.call().result];
  assert.equal(one[0], 'mine');
  assert.notEqual(one[1], two[1]);
});

test('modules of one’s own that only a call imports do not run at deploy', () => {
  const guest = new Python('def handler(p):\n    import colorsys\n    return colorsys.value()', { files: { 'colorsys.py': `print("loaded")\n${OWN}` } });
  assert.equal(guest.deployLog, '');
  assert.equal(guest.call().result, 'mine');
  assert.equal(guest.log, 'loaded\n');
});

test('a main file that is called like a module of the library has that module', () => {
  for (const name of ['random', 'json', 'datetime', 'asyncio'])
    assert.equal(result(`import ${name}\ndef handler(p):\n    return ${name}.__name__`, {}, { file: `${name}.py` }), name);
});

test('requests, with modules of one’s own beside', () => {
  const source = 'import http.client\ndef handler(p):\n    connection = http.client.HTTPConnection("example.org")\n    connection.request("GET", "/")\n    return connection.getresponse().read().decode()';
  const guest = new Python(source, { files: { 'json.py': OWN, 'random.py': OWN, 'uuid.py': OWN }, send: () => ({ body: 'fine' }) });
  assert.equal(guest.error, undefined, JSON.stringify(guest.error));
  assert.equal(guest.call().result, 'fine');
});
