// What a function prints is its log.
'use strict';

const assert = require('node:assert/strict');
const { test } = require('node:test');
const { Python } = require('./guest.js');

test('print goes to the log, with and without a line end', () => {
  const guest = new Python(`
    import sys
    print("at deploy")
    def handler(p):
        print("one")
        print("two", file=sys.stderr)
        print("ä", end="")
        sys.stdout.write("!")
  `);
  assert.equal(guest.deployLog, 'at deploy\n');
  guest.call();
  assert.equal(guest.log, 'one\ntwo\nä!');
  assert.equal(guest.out, '');
});

test('what was printed before an error is there', () => {
  const guest = new Python('def handler(p):\n    print("before", end="")\n    raise ValueError');
  guest.call();
  assert.equal(guest.log, 'before');
});

test('logging, warnings and tracebacks go to the log', () => {
  const guest = new Python(`
    import logging, traceback, warnings
    def handler(p):
        logging.warning("careful")
        warnings.warn("old")
        try:
            1 / 0
        except ZeroDivisionError:
            traceback.print_exc()
  `);
  guest.call();
  assert.match(guest.log, /WARNING:root:careful/);
  assert.match(guest.log, /main\.py:4: UserWarning: old/);
  assert.match(guest.log, /ZeroDivisionError: division by zero/);
});

test('half of a character pair can be printed, and stdin is empty', () => {
  const guest = new Python('import sys\ndef handler(p):\n    print("\\ud800")\n    return sys.stdin.read()');
  assert.equal(guest.call().result, '');
  assert.equal(guest.log, '\\ud800\n');
});

test('streams can be replaced', () => {
  const source = 'import contextlib, io\ndef handler(p):\n    with contextlib.redirect_stdout(io.StringIO()) as text:\n        print("kept")\n    return text.getvalue()';
  assert.equal(new Python(source).call().result, 'kept\n');
});

test('what is written to the descriptors of stdout and stderr goes to the log', () => {
  const guest = new Python(`
    import os, sys
    os.write(1, b"one ")
    os.write(2, b"two ")
    def handler(p):
        os.write(1, b"1 ")
        os.write(2, b"2 ")
        sys.stdout.buffer.write(b"3 \\xff")
        return "result"
  `);
  assert.equal(guest.error, undefined);
  assert.equal(guest.deployLog, 'one two ');
  assert.deepEqual(guest.warnings, []);
  assert.equal(guest.call().result, 'result');
  assert.equal(guest.log, '1 2 3 \ufffd');
  assert.equal(guest.out, '');
});

test('what is written to stdout at deploy does not hide an error, nor a warning', () => {
  const write = 'import os, time\nos.write(1, b"{}")\n';
  assert.equal(new Python(`${write}1 / 0`).error.error, 'ZeroDivisionError');
  assert.equal(new Python(`${write}NOW = time.time()\ndef handler(p): pass`).warnings.length, 1);
});

// What a function can do to its streams, and what is in the log after that. The result comes in any case.
for (const [what, code, log] of [
  ['closes the streams', 'sys.stdout.close(); sys.stderr.close()', ''],
  ['closes the descriptors', 'os.close(1); os.close(2); print("still there")', 'still there\n'],
  ['takes the streams away', 'del sys.stdout, sys.stderr', ''],
  ['has None for streams', 'sys.stdout = sys.stderr = None; print("nowhere")', ''],
  ['has a stream that ends the function', 'sys.stdout = type("Out", (), {"flush": lambda self: sys.exit(3), "write": len})()', ''],
  ['detaches the buffer', 'sys.stdout.detach()', ''],
  ['writes much', 'print("x" * (3 << 20), end="")', 'x'.repeat(3 << 20)],
  ['writes much to a descriptor', 'os.write(1, b"x" * (3 << 20))', 'x'.repeat(3 << 20)],
]) {
  for (const when of ['in a call', 'at deploy']) {
    test(`a function that ${what} ${when}`, () => {
      const [before, within] = when === 'at deploy' ? [code, 'pass'] : ['', code];
      const guest = new Python(`import os, sys\n${before}\ndef handler(p):\n    ${within}\n    return "result"`);
      assert.equal(guest.error, undefined, JSON.stringify(guest.error));
      const { result, error } = guest.call();
      assert.equal(result, 'result', JSON.stringify(error));
      assert.ok((when === 'at deploy' ? guest.deployLog : guest.log) === log);
    });
  }
}

test('a closed stream is an error to whoever prints, as in CPython', () => {
  const { error } = new Python('import sys\ndef handler(p):\n    sys.stdout.close()\n    print("x")').call();
  assert.deepEqual([error.error, error.message], ['ValueError', 'I/O operation on closed file.']);
});

test('errors that cannot be described are errors', () => {
  for (const [code, name] of [
    ['class E(BaseException):\n    def __str__(self): raise self\ndef handler(p): raise E', 'E'],
    ['import sys\nclass C:\n    def __repr__(self): raise ValueError\ndef handler(p): sys.exit(C())', 'SystemExit'],
  ]) {
    const { error } = new Python(code).call();
    assert.equal(error.error, name, JSON.stringify(error));
  }
});
