// Where the handler is, how it is called, and what it gives back.
'use strict';

const assert = require('node:assert/strict');
const { test } = require('node:test');
const { Python, result } = require('./guest.js');

test('a handler gets params and context', () => {
  const guest = new Python(
    `
    def handler(params, context):
        return {"sum": params["a"] + params["b"], "context": context}
    `,
    { name: 'adder', env: { SERVERLEDGE_INVOCATION_ID: 'id-7', SERVERLEDGE_DEADLINE_MS: '1700000000123', SERVERLEDGE_MEMORY_MB: '96' } },
  );
  const told = { invocation_id: 'id-7', function: 'adder', deadline_ms: 1700000000123, memory_mb: 96 };
  assert.deepEqual(guest.call({ a: 1, b: 2 }).result, { sum: 3, context: told });
});

test('the context of a call in a trace has the trace, and one of a host that tells nothing has no facts', () => {
  const source = 'def handler(context): return context';
  const trace = { TRACEPARENT: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01', TRACESTATE: 'a=b' };
  const nothing = { invocation_id: '', function: 'tested', deadline_ms: 0, memory_mb: 0 };
  assert.deepEqual(result(source), nothing);
  assert.deepEqual(result(source, {}, { env: trace }), { ...nothing, traceparent: trace.TRACEPARENT, tracestate: trace.TRACESTATE });
});

for (const [signature, expected] of [
  ['params', [{ a: 1 }, null]],
  ['params, context', [{ a: 1 }, 'tested']],
  ['context, params', [{ a: 1 }, 'tested']],
  ['ctx, event', [{ a: 1 }, 'tested']],
  ['context', [null, 'tested']],
  ['params, *, context', [{ a: 1 }, 'tested']],
  ['', [null, null]],
]) {
  test(`def handler(${signature})`, () => {
    const source = `
    def handler(${signature}):
        names = dict(locals())
        context = names.get("context", names.get("ctx"))
        return [names.get("params", names.get("event")), context and context["function"]]
    `;
    assert.deepEqual(result(source, { a: 1 }), expected);
  });
}

test('methods, callable objects, partials and *args are handlers', () => {
  assert.equal(result('class A:\n    def run(self, params, context):\n        return context["function"]\nhandler = A().run'), 'tested');
  assert.equal(result('class A:\n    def __call__(self, params):\n        return params["x"]\nhandler = A()', { x: 4 }), 4);
  assert.equal(result('import functools\ndef f(a, params):\n    return a + params["x"]\nhandler = functools.partial(f, 1)', { x: 4 }), 5);
  assert.equal(result('def handler(*args):\n    return len(args)'), 2);
});

test('the handler is found by module and function', () => {
  const other = { handler: 'main.other' };
  assert.equal(result('def other(p):\n    return 2', {}, other), 2);
  assert.equal(result('def handler(p):\n    return 3', {}, { file: 'hello.py', handler: 'hello' }), 3);
  assert.equal(result('', {}, { files: { 'lib/inner.py': 'def go(p):\n    return __name__' }, handler: 'lib/inner.go' }), 'lib.inner');
  assert.equal(result('', {}, { files: { 'lib/inner.py': 'def go(p):\n    return __name__' }, handler: 'lib.inner.go' }), 'lib.inner');
});

test('a file whose name is no identifier, or that of a module of the library, is loaded', () => {
  assert.equal(result('def handler(p):\n    return 1', {}, { file: 'my-function.py' }), 1);
  assert.equal(result('import json\ndef handler(p):\n    return json.dumps({})', {}, { file: 'json.py' }), '{}');
});

for (const [what, source, options, message] of [
  ['no handler', 'def other(p): pass', {}, "main.py has no function 'handler'; it has other"],
  ['nothing at all', '', {}, "main.py has no function 'handler'; it has none"],
  ['no callable', 'handler = 5', {}, "'handler' in main.py cannot be called"],
  ['no such file', 'def handler(p): pass', { handler: 'other.handler' }, 'there is no file other.py'],
  ['no such name', 'def handler(p): pass', { handler: 'a..b' }, "'a..b' is no module.function"],
]) {
  test(`HandlerMissing: ${what}`, () => {
    const guest = new Python(source, options);
    assert.equal(guest.exit, 1);
    assert.deepEqual(guest.error, { error: 'HandlerMissing', message, stack: '', file: 'main.py' });
  });
}

test('results are JSON as in the container runtime', () => {
  const guest = new Python('def handler(p):\n    return eval(p["code"])');
  const text = (code) => guest.call({ code }).text;
  assert.equal(text('{"a": [1, 2.5, None, True, "ä"]}'), '{"a":[1,2.5,null,true,"ä"]}');
  assert.equal(text('(1, 2)'), '[1,2]');
  assert.equal(text('None'), 'null');
  assert.equal(text('10 ** 30'), '1000000000000000000000000000000');
  assert.equal(text('"\\ud800"'), '"\\ud800"');
  assert.equal(text('{1: 2}'), '{"1":2}');
});

for (const [code, error, message] of [
  ['object()', 'TypeError', /^the result cannot be written as JSON: Object of type object is not JSON serializable$/],
  ['{1, 2}', 'TypeError', /^the result cannot be written as JSON: Object of type set/],
  ['float("nan")', 'ValueError', /^the result cannot be written as JSON: Out of range float values/],
  ['b"x"', 'TypeError', /^the result cannot be written as JSON/],
]) {
  test(`a result that is no JSON: ${code}`, () => {
    const { error: got } = new Python(`def handler(p):\n    return ${code}`).call();
    assert.equal(got.error, error);
    assert.match(got.message, message);
    assert.equal(got.stack, '');
  });
}

test('params that Python cannot read are told', () => {
  const guest = new Python('def handler(p):\n    return 1');
  assert.match(guest.callText('{"a": NaN}').error.message, /^the parameters are not JSON: NaN is no JSON/);
  assert.match(guest.callText('{').error.message, /^the parameters are not JSON/);
});
