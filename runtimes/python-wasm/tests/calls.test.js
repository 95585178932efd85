// Other functions, and the stores of the space.
'use strict';

const assert = require('node:assert/strict');
const { test } = require('node:test');
const { Python } = require('./guest.js');

test('call gives another function’s result', () => {
  const calls = [];
  const call = (name, params) => {
    calls.push([name, params]);
    return { text: 'ä'.repeat(params.long ? 10000 : 1) };
  };
  const guest = new Python(
    `
    import serverledge
    def handler(p):
        return [call("other", {"a": 1}), serverledge.call("other"), len(call("other", {"long": True})["text"])]
    `,
    { call },
  );
  assert.deepEqual(guest.call().result, [{ text: 'ä' }, { text: 'ä' }, 10000]);
  assert.deepEqual(calls, [['other', { a: 1 }], ['other', {}], ['other', { long: true }]]);
});

test('a call that fails has a code', () => {
  const guest = new Python(`
    from serverledge import CallError, call
    def handler(p):
        found = []
        for name, args in (("none", {}), ("", {}), (5, {}), ("x", {1, 2})):
            try:
                call(name, args)
            except CallError as error:
                found.append([error.code, str(error)])
        return found
  `);
  assert.deepEqual(guest.call().result, [
    ['function_unknown', 'there is none'],
    ['invalid_name', "a function's name has at least one character"],
    ['invalid_name', "a function's name is a string, not int"],
    ['invalid_params', 'the arguments cannot be written as JSON: Object of type set is not JSON serializable'],
  ]);
});

test('nothing is called at deploy', () => {
  const { error } = new Python('call("other")');
  assert.deepEqual([error.error, error.message], ['CallError', 'there is no invocation that could call: it has not begun']);
});

test('acall in an async handler', () => {
  const guest = new Python('import asyncio\nasync def handler(p):\n    return await asyncio.gather(acall("a"), acall("b"))', { call: (name) => name });
  assert.deepEqual(guest.call().result, ['a', 'b']);
});

test('the key-value stores', () => {
  const guest = new Python(`
    from serverledge import KvError, kv
    def handler(p):
        found = [kv.get("none"), kv.delete("none")]
        kv.set("text", "ä")
        kv.set("json", {"a": [1]})
        kv.set("bytes", b"\\0\\xff", ttl=60)
        found += [kv.get("text"), kv.get("json", "json"), list(kv.get("bytes", "bytes"))]
        found += [kv.increment("n", 2), kv.increment("n", 10 ** 20), kv.increment("n", -10 ** 20)]
        entry = kv.entry("text")
        found.append([entry["value"], kv.compare_and_set("text", "wrong", "b"), kv.compare_and_set("text", entry["version"], "c") is not None, kv.get("text")])
        found += [kv.list(limit=2)["keys"], kv.store("other").get("text"), kv.delete("text")]
        for wrong in (lambda: kv.get(5), lambda: kv.get("a", "xml"), lambda: kv.set("a", "b", ttl=0), lambda: kv.increment("text2", 1.5)):
            try:
                wrong()
            except KvError as error:
                found.append(error.code)
        return found
  `);
  assert.deepEqual(guest.call().result, [
    null, false, 'ä', { a: [1] }, [0, 255], 2, 100000000000000000002, 2,
    ['ä', null, true, 'c'], ['bytes', 'json'], null, true,
    'kv_key_invalid', 'kv_request_invalid', 'kv_ttl_invalid', 'kv_request_invalid',
  ]);
  assert.equal(new Python('from serverledge import akv\nasync def handler(p):\n    await akv.set("k", 1)\n    return await akv.get("k", "json")').call().result, 1);
});
