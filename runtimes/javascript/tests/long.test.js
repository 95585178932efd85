// Inputs that are long, or grow: they take time and memory as long as they are, and no more.
'use strict';

const assert = require('node:assert/strict');
const { test } = require('node:test');
const zlib = require('node:zlib');

const { Guest } = require('./guest.js');

const LONG = 300_000;
const MILLISECONDS_MAX = 10_000;
const handler = (body) => `module.exports = async (params) => {\n${body}\n};`;

// What a handler with this body gives, in little time.
function quickly(body, params, options) {
  const begun = Date.now();
  const { result, error } = new Guest(handler(body), options).call(params);
  assert.equal(error, undefined, JSON.stringify(error));
  assert.ok(Date.now() - begun < MILLISECONDS_MAX, `${Date.now() - begun} ms`);
  return result;
}

test('long runs of spaces are trimmed at once', () => {
  const inner = `a${' '.repeat(LONG)}b`;
  const results = quickly(
    `return [new Headers({ a: ' \\t' + params.inner + '\\r\\n ' }).get('a') === params.inner,
      new Headers({ a: params.spaces }).get('a'), new URL(params.spaces + 'http://h/a' + params.spaces).href,
      URL.parse(params.inner), new TextDecoder(params.spaces + 'utf8' + params.spaces).encoding,
      (() => { try { new TextDecoder(params.inner); } catch (error) { return error.name; } })()];`,
    { inner, spaces: ' '.repeat(LONG) },
  );
  assert.deepEqual(results, [true, '', 'http://h/a', null, 'utf-8', 'RangeError']);
});

const FORM_TYPES = [
  'multipart/form-data; boundary="a\\"b"',
  'multipart/form-data;x;boundary=ab  ;c',
  'multipart/form-data; boundary=a"b; y',
  'multipart/form-data; boundary="ab',
  'multipart/form-data; a=1; BOUNDARY=ab;boundary=c',
  'multipart/form-data;=;boundary=ab',
];
test('parameters of types are read as in Node.js', async () => {
  const body = `const all = [];
    for (const type of params) {
      for (const bound of ['a"b', 'ab', 'c']) {
        const text = '--' + bound + '\\r\\nContent-Disposition: form-data; name="n"\\r\\n\\r\\nv\\r\\n--' + bound + '--\\r\\n';
        const form = new Response(text, { headers: { 'content-type': type } }).formData();
        all.push([type, bound, await form.then((form) => [...form], (error) => error.name)]);
      }
    }
    return all;`;
  const AsyncFunction = (async () => {}).constructor;
  assert.deepEqual(quickly(body, FORM_TYPES), await new AsyncFunction('params', body)(FORM_TYPES));
});

test('a long type of a form takes no long time', () => {
  for (const type of [`multipart/form-data${';a="'.repeat(LONG / 4)}`, `multipart/form-data;${' '.repeat(LONG)}`, `multipart/form-data;${'a'.repeat(LONG)}`, `multipart/form-data; a="${'\\'.repeat(LONG)}`]) {
    const body = `return new Response('', { headers: { 'content-type': params } }).formData().catch((error) => error.name);`;
    assert.equal(quickly(body, type), 'TypeError');
  }
});

// === decompression ===

test('a small chunk that stands for many bytes comes in pieces, as they are wanted', () => {
  const packed = zlib.gzipSync(Buffer.alloc(256 << 20)).toString('base64');
  const body = `const bytes = Uint8Array.from(atob(params), (each) => each.charCodeAt(0));
    const reader = new Blob([bytes]).stream().pipeThrough(new DecompressionStream('gzip')).getReader();
    const sizes = [];
    for (let n = 0; n < 3; n++) sizes.push((await reader.read()).value.length);
    await reader.cancel('enough');
    return sizes;`;
  // As a whole they would not have place: 64 MiB.
  assert.deepEqual(quickly(body, packed, { memoryPages: 1024 }), [65536, 65536, 65536]);
});

test('all pieces come, and are right', () => {
  const plain = Buffer.from(Array.from({ length: 50_000 }, (_, n) => `${n * n} `).join(''));
  const exact = Buffer.alloc(2 * 65536, 7);
  for (const [format, pack] of [['gzip', zlib.gzipSync], ['deflate', zlib.deflateSync], ['deflate-raw', zlib.deflateRawSync]]) {
    for (const bytes of [plain, exact]) {
      const body = `const bytes = Uint8Array.from(atob(params), (each) => each.charCodeAt(0));
        const all = new Response(ReadableStream.from([bytes.slice(0, 1000), bytes.slice(1000)]).pipeThrough(new DecompressionStream('${format}')));
        return Array.from(new Uint8Array(await crypto.subtle.digest('SHA-256', await all.arrayBuffer())));`;
      const digest = require('node:crypto').createHash('sha256').update(bytes).digest();
      assert.deepEqual(quickly(body, pack(bytes).toString('base64')), [...digest], format);
    }
  }
  const cutOff = zlib.gzipSync(exact).subarray(0, -1).toString('base64');
  const body = `const bytes = Uint8Array.from(atob(params), (each) => each.charCodeAt(0));
    return new Response(ReadableStream.from([bytes]).pipeThrough(new DecompressionStream('gzip'))).text().catch((error) => error.name);`;
  assert.equal(quickly(body, cutOff), 'TypeError');
});

test('a header of gzip has an end', () => {
  const head = [0x1f, 0x8b, 8, 0x1c, 0, 0, 0, 0, 0, 3, 3, 0, 1, 0, 2];
  const body = `const { head, name, rest } = params;
    let left = name;
    const stream = new ReadableStream({ pull(controller) {
      if (left === name) controller.enqueue(Uint8Array.from(head));
      if (left <= 0) { controller.enqueue(Uint8Array.from(rest)); return controller.close(); }
      left -= 10;
      controller.enqueue(new Uint8Array(10).fill(65));
    } });
    return new Response(stream.pipeThrough(new DecompressionStream('gzip'))).text().catch((error) => error.message);`;
  const rest = [0, ...Buffer.from('note\0'), ...zlib.gzipSync('hello').subarray(10)];
  assert.equal(quickly(body, { head, name: 20_000, rest }), 'hello');
  assert.equal(quickly(body, { head, name: 200_000, rest }), 'incorrect header check');
});

// === copies ===

test('a property with the name of the prototype is copied as one', () => {
  const copy = quickly(
    `const copy = structuredClone(JSON.parse('{"__proto__": {"a": 1}, "b": 2}'));
    return [Object.keys(copy), copy.a ?? null, Object.getPrototypeOf(copy) === Object.prototype, copy];`,
    {},
  );
  assert.equal(JSON.stringify(copy), '[["__proto__","b"],null,true,{"__proto__":{"a":1},"b":2}]');
});
