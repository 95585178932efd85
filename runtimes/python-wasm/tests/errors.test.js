// Errors in words, at deploy and in a call.
'use strict';

const assert = require('node:assert/strict');
const { test } = require('node:test');
const { Python, result } = require('./guest.js');

test('an exception has its type, its message and the frames of the user', () => {
  const guest = new Python(`
    import json

    def inner(text):
        return json.loads(text)

    def handler(params):
        return inner(params["text"])
  `);
  const { error } = guest.call({ text: '{bad' });
  assert.equal(error.error, 'JSONDecodeError');
  assert.equal(error.message, 'Expecting property name enclosed in double quotes: line 1 column 2 (char 1)');
  assert.deepEqual(error.stack.split('\n').filter((line) => line.startsWith('  File')), [
    '  File "/app/code/main.py", line 7, in handler',
    '  File "/app/code/main.py", line 4, in inner',
  ]);
  assert.match(error.stack, /return json\.loads\(text\)/);
  assert.match(error.stack, /^Traceback \(most recent call last\):/);
  assert.match(error.stack, /json\.decoder\.JSONDecodeError: Expecting property name.*$/);
});

test('causes and groups are shown', () => {
  const chained = new Python(`
    def handler(params):
        try:
            {}["a"]
        except KeyError as error:
            raise ValueError("outer") from error
  `).call().error;
  assert.match(chained.stack, /KeyError: 'a'\n\nThe above exception was the direct cause of the following exception:/);
  const group = new Python('def handler(p):\n    raise ExceptionGroup("several", [ValueError("one"), TypeError("two")])').call().error;
  assert.equal(group.message, 'several (2 sub-exceptions)');
  assert.match(group.stack, /ValueError: one[^]*TypeError: two/);
});

test('an error that cannot say what it is', () => {
  const { error } = new Python(`
    class Strange(Exception):
        def __str__(self):
            raise RuntimeError
    def handler(p):
        raise Strange
  `).call();
  assert.equal(error.error, 'Strange');
  assert.equal(error.message, '(the error cannot say what it is)');
});

test('long messages are shortened', () => {
  const { error } = new Python('def handler(p):\n    raise ValueError("x" * 100000)').call();
  assert.ok(error.message.length < 9000);
});

test('exit is an error', () => {
  const guest = new Python('import sys\ndef handler(p):\n    sys.exit(p["code"])');
  assert.deepEqual(
    ((error) => [error.error, error.message])(guest.call({ code: 3 }).error),
    ['SystemExit', 'the function has called exit: code 3'],
  );
  assert.equal(guest.call({ code: null }).error.message, 'the function has called exit: code 0');
  assert.equal(guest.call({ code: 'bye' }).error.message, "the function has called exit: 'bye'");
  const { error } = new Python('raise SystemExit(4)');
  assert.deepEqual([error.error, error.message, error.line], ['SystemExit', 'the function has called exit: code 4', 1]);
});

test('a syntax error tells its place', () => {
  const guest = new Python('def handler(p):\n    x = (1,\n    return x y\n');
  assert.equal(guest.exit, 1);
  const { error, message, file, line, column } = guest.error;
  assert.deepEqual({ error, message, file, line, column }, { error: 'SyntaxError', message: "'(' was never closed", file: 'main.py', line: 2, column: 9 });
  const inner = new Python('import other', { files: { 'other.py': 'x = 1\ny = = 2\n' } }).error;
  assert.deepEqual([inner.error, inner.file, inner.line, inner.column], ['SyntaxError', 'other.py', 2, 5]);
});

test('an exception at deploy tells its place', () => {
  const { error } = new Python('def f():\n    return 1 / 0\n\nx = f()\n');
  const { error: name, message, file, line, column, stack } = error;
  assert.deepEqual({ name, message, file, line, column }, { name: 'ZeroDivisionError', message: 'division by zero', file: 'main.py', line: 2, column: 12 });
  assert.match(stack, /in <module>[^]*in f/);
});

for (const [source, message] of [
  ['import numpy', /^No module named 'numpy': it has compiled parts, .* with the runtime python,/],
  ['import dbm', /^No module named 'dbm': the runtime python-wasm does not have this part of Python's library; .* the runtime python,/],
  ['from curses import wrapper', /^No module named 'curses': the runtime python-wasm does not have this part/],
  ['import _ctypes', /^No module named '_ctypes': the runtime python-wasm does not have this part/],
  ['import leftpad', /^No module named 'leftpad': send its files with the function if it is written in Python; else deploy/],
  ['import json.nothing', /^No module named 'json.nothing'$/],
]) {
  test(`ModuleNotFoundError: ${source}`, () => {
    const { error } = new Python(`${source}\ndef handler(p): pass`);
    assert.deepEqual([error.error, error.file, error.line], ['ModuleNotFoundError', 'main.py', 1]);
    assert.match(error.message, message);
  });
}

test('an import that fails can be caught', () => {
  assert.equal(result('try:\n    import numpy\nexcept ImportError:\n    numpy = None\ndef handler(p):\n    return numpy is None'), true);
});

for (const [what, code, message] of [
  ['threads', 'import threading; threading.Thread(target=print).start()', /no threads: use asyncio, or deploy the function with the runtime python/],
  ['thread pools', 'import concurrent.futures as f; f.ThreadPoolExecutor().submit(print)', /no threads/],
  ['processes', 'import subprocess; subprocess.run(["ls"])', /no processes: deploy the function with the runtime python/],
  ['servers', 'import socket; socket.create_server(("localhost", 80))', /only HTTP goes out .*: deploy the function with the runtime python/],
  ['datagrams', 'import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM)', /only HTTP goes out/],
  ['addresses of names', 'import socket; socket.gethostbyname("localhost")', /only HTTP goes out/],
]) {
  test(`what cannot work says so: ${what}`, () => {
    const { error } = new Python(`def handler(p):\n    ${code}`).call();
    assert.match(error.message, message);
  });
}

test('memory that is used up is an error that can be caught', () => {
  const guest = new Python(
    `
    def handler(p):
        try:
            x = bytearray(1 << 28)
        except MemoryError:
            if p.get("raise"):
                raise
            return "caught"
    `,
    { memoryPages: 1024 },
  );
  assert.equal(guest.call().result, 'caught');
  assert.equal(guest.call({ raise: true }).error.error, 'MemoryError');
  const filling = new Python('def handler(p):\n    x = []\n    while True:\n        x.append("some text %d" % len(x))', { memoryPages: 512 });
  assert.equal(filling.call().error.error, 'MemoryError');
});
