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
