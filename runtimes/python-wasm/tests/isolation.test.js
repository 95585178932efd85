// Each call begins where the deploy ended; what differs from call to call comes from outside.
'use strict';

const assert = require('node:assert/strict');
const { test } = require('node:test');
const { Python, result } = require('./guest.js');

test('calls do not see each other', () => {
  const guest = new Python(`
    import contextvars, decimal, os, sys
    count = 0
    seen = []
    variable = contextvars.ContextVar("variable", default=0)

    def handler(p):
        global count
        found = [count, list(seen), "colorsys" in sys.modules, os.environ.get("LEFT"), variable.get(), decimal.getcontext().prec, sys.getrecursionlimit()]
        count += 1
        seen.append(count)
        import colorsys
        os.environ["LEFT"] = "behind"
        variable.set(5)
        decimal.getcontext().prec = 3
        sys.setrecursionlimit(500)
        return found
  `);
  for (let call = 0; call < 3; call++) assert.deepEqual(guest.call().result, [0, [], true, null, 0, 28, 1000]);
});

test('random numbers, uuids and secrets differ', () => {
  const guest = new Python(`
    import os, random, secrets, uuid
    own = random.Random()
    def handler(p):
        return [random.random(), str(uuid.uuid4()), secrets.token_hex(8), os.urandom(8).hex(), random.SystemRandom().random()]
  `);
  const [one, two] = [guest.call().result, guest.call().result];
  one.forEach((value, index) => assert.notEqual(value, two[index]));
});

test('a seed that was set at deploy is that of no call', () => {
  const guest = new Python('import random\nrandom.seed(1)\ndef handler(p):\n    return random.random()');
  assert.notEqual(guest.call().result, guest.call().result);
});

test('the environment is that of the call', () => {
  const guest = new Python(
    `
    import os
    at_deploy = dict(os.environ)
    def handler(p):
        return {"deploy": at_deploy, "call": dict(os.environ), "one": os.environ.get("SECRET"), "other": os.getenv("NONE", "none"), "in": "PLAIN" in os.environ}
    `,
    { deployEnv: { PLAIN: 'p' }, secrets: ['SECRET'], env: { PLAIN: 'p', SECRET: 's', SERVERLEDGE_INVOCATION_ID: 'i' } },
  );
  assert.deepEqual(guest.call().result, {
    deploy: { PLAIN: 'p' },
    call: { PLAIN: 'p', SECRET: 's', SERVERLEDGE_INVOCATION_ID: 'i' },
    one: 's',
    other: 'none',
    in: true,
  });
});

for (const code of ['os.environ["A"]', 'os.getenv("A")', 'os.environ.copy()["A"]', '{**os.environ}["A"]', '(os.environ | {})["A"]', 'dict(os.environ.items())["A"]', 'os.environb[b"A"].decode()', 'os.environ.setdefault("A", "x")', 'os.environ.pop("A")']) {
  test(`the first look at the environment: ${code}`, () => {
    assert.equal(result(`import os\ndef handler(p):\n    return ${code}`, {}, { env: { A: 'here' } }), 'here');
  });
}

test('a secret that is read at deploy is told', () => {
  const strict = new Python('import os\nKEY = os.environ["KEY"]\ndef handler(p): pass', { secrets: ['KEY'] });
  assert.equal(strict.error.error, 'SecretMissing');
  assert.equal(strict.error.message, 'the secret KEY is read while the file is loaded, when no secret is there: read it in the handler');
  assert.equal(strict.error.line, 2);
  const lenient = new Python('import os\nKEY = os.environ.get("KEY")\ndef handler(p):\n    return KEY', { secrets: ['KEY'] });
  assert.deepEqual(lenient.warnings, ['main.py:2: the secret KEY is read while the file is loaded, when no secret is there. Read it in the handler']);
});

test('the clock and randomness at deploy are told, but not those of imported modules', () => {
  const quiet = new Python('import random, uuid, tempfile, logging, datetime, secrets\ndef handler(p): pass');
  assert.deepEqual(quiet.warnings, []);
  const told = new Python('import time, uuid\nNOW = time.time()\nID = uuid.uuid4()\ndef handler(p):\n    return NOW');
  assert.equal(told.warnings.length, 2);
  assert.match(told.warnings[0], /^main\.py:2: the clock is read while the file is loaded/);
  assert.match(told.warnings[1], /^main\.py:3: a random value is drawn while the file is loaded/);
  assert.equal(told.call().result, 0);
});

test('time goes on in a call', () => {
  const { result: [now, slept] } = new Python('import time\ndef handler(p):\n    a = time.monotonic()\n    time.sleep(2.5)\n    return [time.time(), time.monotonic() - a]').call();
  assert.ok(Math.abs(now - Date.now() / 1000) < 100);
  assert.equal(slept, 2.5);
});

test('a deploy depends on its input only', () => {
  const source = 'import random, time, uuid, os\nX = [random.random(), time.time(), uuid.uuid4().hex, os.urandom(4), object(), {"a", "b"}]\ndef handler(p): pass';
  const [one, two] = [new Python(source), new Python(source)];
  assert.ok(one.snapshot.equals(two.snapshot));
});

// User code that runs when the deploy ends: what it looks at there changes nothing for calls.
for (const [what, code] of [
  ['a destructor', 'class A:\n    def __del__(self):\n        look()\na = A()\na.self = a\ndel a'],
  ['a destructor that leaves another one', 'class A:\n    def __init__(self):\n        self.self = self\n    def __del__(self):\n        look()\n        A()\nA()'],
  ['a finalizer', 'import weakref\nclass A: pass\na = A()\na.self = a\nweakref.finalize(a, look)\ndel a'],
  ['the end of a generator', 'def go():\n    me = generator\n    try:\n        yield me\n    finally:\n        look()\ngenerator = go()\nnext(generator)\ndel generator'],
  ['the collector', 'import gc\ngc.callbacks.append(lambda phase, info: look())'],
  ['a stream', 'import sys\nclass Out:\n    def write(self, text): return len(text)\n    def flush(self): look()\nsys.stdout = Out()'],
  ['an encoder', 'import json\nold = json.JSONEncoder.iterencode\ndef iterencode(self, *a, **k):\n    look()\n    return old(self, *a, **k)\njson.JSONEncoder.iterencode = iterencode'],
]) {
  test(`secrets are there after ${what} has looked at the environment`, () => {
    const guest = new Python(
      `import os\ndef look():\n    os.environ.get("PLAIN")\n    os.environ.get("KEY")\n    os.environb.get(b"KEY")\n${code}\ndef handler(p):\n    return [os.environ.get("KEY"), os.environ.get("PLAIN"), os.environb.get(b"KEY").decode()]`,
      { secrets: ['KEY'], deployEnv: { PLAIN: 'p' }, env: { PLAIN: 'q', KEY: 's' } },
    );
    assert.equal(guest.error, undefined, JSON.stringify(guest.error));
    for (let call = 0; call < 2; call++) assert.deepEqual(guest.call().result, ['s', 'q', 's']);
  });
}

test('what runs when the deploy ends is told like all else', () => {
  const guest = new Python('import time\nclass A:\n    def __del__(self):\n        time.time()\na = A()\na.self = a\ndel a\ndef handler(p): pass');
  assert.equal(guest.warnings.length, 1);
  assert.match(guest.warnings[0], /^main\.py:4: the clock is read/);
});

for (const [what, kept, code] of [
  ['the object', 'os.environ', 'kept["KEY"]'],
  ['a method', 'os.environ.__getitem__', 'kept("KEY")'],
  ['another method', 'os.environ.get', 'kept("KEY")'],
  ['a view', 'os.environ.items()', 'dict(kept)["KEY"]'],
  ['the length', 'os.environ.__len__', 'kept() == 1 and "s"'],
  ['the bytes', 'os.environb.__getitem__', 'kept(b"KEY").decode()'],
  ['os.getenv', 'os.getenv', 'kept("KEY")'],
]) {
  test(`an environment that was kept at deploy has the secrets: ${what}`, () => {
    assert.equal(result(`import os\nkept = ${kept}\ndef handler(p):\n    return ${code}`, {}, { secrets: ['KEY'], env: { KEY: 's' } }), 's');
  });
}

test('an environment of one’s own takes the place of os.environ', () => {
  assert.equal(result('import os\nos.environ = {"KEY": "own"}\ndef handler(p):\n    return os.getenv("KEY")', {}, { secrets: ['KEY'], env: { KEY: 's' } }), 'own');
});

test('garbage that was collected at deploy is not in the snapshot, and the collector is as it was', () => {
  assert.deepEqual(result('import gc\ngc.disable()\ndef handler(p):\n    return [gc.isenabled(), gc.get_threshold()[0] > 0]'), [false, true]);
  assert.deepEqual(result('import gc\ndef handler(p):\n    return [gc.isenabled(), gc.collect()]'), [true, 0]);
});

test('random.seed of one’s own is not called', () => {
  const guest = new Python('import random\nrandom.seed = lambda *a: 1 / 0\ndef handler(p):\n    return random.random()');
  assert.notEqual(guest.call().result, guest.call().result);
});
