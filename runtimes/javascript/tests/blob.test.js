// Blobs, files and forms, compared with Node.js.
'use strict';

const assert = require('node:assert/strict');
const { inspect } = require('node:util');
const { test } = require('node:test');

const { Guest } = require('./guest.js');

// Node.js 18 has it, but not as a global.
globalThis.File ??= require('node:buffer').File;

// Runs the function here and in the guest, and compares what they give.
function same(name, compute) {
  test(name, async () => {
    const here = JSON.parse(JSON.stringify((await compute()) ?? null));
    const reply = new Guest(`module.exports = ${compute};`).call();
    assert.deepEqual(reply.result, here, JSON.stringify(reply.error));
  });
}

function run(source, params, options) {
  const guest = new Guest(source, options);
  assert.equal(guest.error, undefined);
  const reply = guest.call(params);
  assert.equal(reply.error, undefined, JSON.stringify(reply.error));
  return { ...reply, log: guest.log };
}

same('a blob is its parts, one after the other', async () => {
  const bytes = new Uint8Array([65, 66, 67, 68]);
  const inner = new Blob(['in', 'ner']);
  const blob = new Blob([
    'aé☃😀\ud800',
    bytes.subarray(1, 3),
    bytes.buffer,
    new DataView(bytes.buffer, 2),
    inner,
    5,
    null,
    {},
  ]);
  bytes.fill(0);
  return [
    blob.size,
    blob.type,
    await blob.text(),
    [...new Uint8Array(await blob.arrayBuffer())],
    new Blob().size,
    await new Blob(new Set(['x', 'y'])).text(),
    await new Blob([new String('object')]).text(),
    await new Blob(['a\r\nb\nd'], { endings: 'native' }).text(),
    await new Blob(['a\r\nb\rc\nd'], { endings: 'transparent' }).text(),
    String(blob),
    Object.keys(Blob.prototype).filter((name) => name !== 'bytes'),
  ];
});

same('types of blobs', () =>
  ['Text/HTML; Charset=UTF-8', 'a/é', 'a/\u0001b', '', undefined, null, 5].map((type) => new Blob([], { type }).type),
);

same('slices of blobs', async () => {
  const blob = new Blob(['0123456789'], { type: 'a/b' });
  const slices = [[], [3], [-3], [2, 5], [2, -2], [-5, -2], [5, 2], [0, 100], [100], [-100, 3], [undefined, 4]];
  const texts = await Promise.all(slices.map((slice) => blob.slice(...slice).text()));
  const inner = blob.slice(2, 8).slice(1, 3, 'C/D');
  return [texts, blob.slice(1).type, inner.type, await inner.text(), inner.size];
});

same('the stream of a blob', async () => {
  const pieces = [];
  for await (const piece of new Blob(['abc', 'def']).stream()) pieces.push(...piece);
  const none = [];
  for await (const piece of new Blob().stream()) none.push(piece);
  return [pieces, none];
});

same('files', async () => {
  const file = new File(['ab', new Blob(['c'])], 'näme/x', { type: 'Text/Plain', lastModified: 5 });
  const now = Date.now();
  const made = new File([], 7).lastModified;
  return [
    file.name,
    file.type,
    file.size,
    file.lastModified,
    await file.text(),
    file instanceof Blob,
    String(file),
    made >= now && made < now + 10_000,
    new File([], 7).name,
    new File([], '', { lastModified: 'none' }).lastModified,
    (await file.slice(1).text()) + (file.slice(1) instanceof File),
  ];
});

same('what is refused of blobs and files', () => {
  const told = (attempt) => {
    try {
      return [attempt()];
    } catch (error) {
      return [error.name, error.code, error.message];
    }
  };
  return [
    () => new Blob('text'),
    () => new Blob(1),
    () => new Blob({}),
    () => new Blob(null),
    () => new Blob([], 1),
    () => new Blob([], { endings: 'x' }),
    () => new File(),
    () => new File(['a']),
    () => new File('a', 'b'),
    () => new File([], 'b', 1),
  ].map(told);
});

test('bytes and copies of blobs, and their line breaks', () => {
  const { result } = run(`module.exports = async () => {
    const blob = new Blob(['abc'], { type: 'a/b' });
    const bytes = await blob.bytes();
    bytes[0] = 0;
    const copy = structuredClone({ blob, file: new File(['x'], 'n', { lastModified: 3, type: 'c/d' }) });
    return [await blob.text(), copy.blob instanceof Blob, copy.blob.type, await copy.blob.text(), copy.file instanceof File,
      copy.file.name, copy.file.lastModified, copy.file.type,
      await new Blob(['a\\r\\nb\\rc\\nd'], { endings: 'native' }).text()];
  };`);
  assert.deepEqual(result, ['abc', true, 'a/b', 'abc', true, 'n', 3, 'c/d', 'a\nb\nc\nd']);
});

same('forms', () => {
  const shown = (value) => (typeof value === 'string' ? value : [value.name, value.type, value.size, value instanceof File]);
  const form = new FormData();
  form.append('a', 1);
  form.append('b', 'x\r\n\ud800');
  form.append('a', null);
  form.append('blob', new Blob(['xy'], { type: 'q/r' }));
  form.append('blob', new Blob(['xy']), 'named.txt');
  form.append('file', new File(['z'], 'f.txt', { type: 't/p' }));
  form.append('file', new File(['z'], 'f.txt', { type: 't/p' }), 'other.txt');
  const all = [...form].map(([name, value]) => [name, shown(value)]);
  form.set('a', 'only');
  form.set('new', { toString: () => 'object' });
  form.delete('b');
  const each = [];
  form.forEach(
    function (value, name, of) {
      each.push([name, shown(value), of === form, this.self]);
    },
    { self: 1 },
  );
  const seen = [];
  for (const [name] of form) {
    seen.push(name);
    if (seen.length === 2) form.append('late', 'x');
  }
  return [
    all,
    each,
    seen,
    [...form.keys()],
    [...form.values()].map(shown),
    form.get('a'),
    form.get('none'),
    form.getAll('blob').map(shown),
    form.getAll('none'),
    form.has('new'),
    form.has('b'),
    String(form),
    Object.prototype.toString.call(form.entries()),
    form.entries()[Symbol.iterator]().next().value[0],
    Object.keys(FormData.prototype).sort(),
  ];
});

same('what is refused of forms', () => {
  const told = (attempt) => {
    try {
      return [attempt()];
    } catch (error) {
      return [error.name, error.message];
    }
  };
  const form = new FormData();
  return [
    () => new FormData(1),
    () => form.append('a'),
    () => form.append(),
    () => form.append('a', 'b', 'c'),
    () => form.set('a'),
    () => form.set('a', 1, 'c'),
    () => form.get(),
    () => form.getAll(),
    () => form.has(),
    () => form.delete(),
    () => form.forEach(),
    () => form.forEach(1),
    () => FormData.prototype.get.call({}, 'a'),
  ].map(told);
});

test('the console shows blobs, files and forms as Node.js does', () => {
  const values = `[
    new Blob(['ab'], { type: 'a/b' }),
    new File(['ab'], "it's", { lastModified: 5 }),
    { nested: new Blob() },
  ]`;
  const { log } = run(`module.exports = () => { for (const value of ${values}) console.log(value); };`);
  assert.equal(
    log,
    `${eval(values)
      .map((value) => inspect(value))
      .join('\n')}\n`,
  );
  const form = run(`module.exports = () => {
    const form = new FormData();
    form.append('a', '1');
    form.append('b-c', 'x');
    form.append('a', '2');
    console.log(form);
  };`);
  assert.equal(form.log, "FormData { a: [ '1', '2' ], 'b-c': 'x' }\n");
});

// === forms as bodies ===

const made = `
  const form = new FormData();
  form.append('text', 'líne 1\\nline 2\\rline 3\\r\\n');
  form.append('na"me\\r\\n', 'x');
  form.append('empty', '');
  form.append('file', new File(['abc\\r\\n--'], 'a "b"\\n.txt', { type: 'text/x' }));
  form.append('blob', new Blob([new Uint8Array([0, 13, 10, 255])]));
  const shown = async (form) => {
    const all = [];
    for (const [name, value] of form)
      all.push([name, typeof value === 'string' ? value : [value.name, value.type, [...new Uint8Array(await value.arrayBuffer())]]]);
    return all;
  };`;

test('a form as the body of a request is what Node.js reads', async () => {
  let sent;
  const send = (request) => {
    sent = request;
    return {};
  };
  run(`module.exports = async () => { ${made} await fetch('http://h.example/', { method: 'POST', body: form }); };`, null, {
    send,
  });
  const type = sent.headers.find(([name]) => name === 'content-type')[1];
  assert.match(type, /^multipart\/form-data; boundary=----formdata-serverledge-[0-9a-f]{24}$/);
  const found = await new Response(sent.body, { headers: { 'content-type': type } }).formData();
  const shown = await eval(`(async () => { ${made} return shown; })()`);
  assert.deepEqual(await shown(found), [
    ['text', 'líne 1\r\nline 2\r\nline 3\r\n'],
    ['na"me\r\n', 'x'],
    ['empty', ''],
    ['file', ['a "b"\n.txt', 'text/x', [97, 98, 99, 13, 10, 45, 45]]],
    ['blob', ['blob', 'application/octet-stream', [0, 13, 10, 255]]],
  ]);
});

test('a form that Node.js writes is read', async () => {
  const { form, shown } = await eval(`(async () => { ${made} return { form, shown }; })()`);
  const response = new Response(form);
  const headers = [['content-type', response.headers.get('content-type')]];
  const body = Buffer.from(await response.arrayBuffer());
  const send = () => ({ status: 200, headers, body });
  const source = `${made} module.exports = async () => shown(await (await fetch('http://h.example/')).formData());`;
  const { result } = run(source, null, { send });
  const again = await new Response(body, { headers: { 'content-type': headers[0][1] } }).formData();
  assert.deepEqual(result, await shown(again));
});

const bodies = [
  ['--x\r\nContent-Disposition: form-data; name="a"\r\n\r\nv\r\n--x--\r\n', 'multipart/form-data; boundary=x'],
  ['--x\r\nContent-Disposition: form-data; name="a"\r\n\r\nv\r\n--x--', 'Multipart/Form-Data; charset=utf-8; boundary="x"'],
  ['--x\r\ncontent-disposition: form-data; name="a"; filename="b%22c"\r\n\r\nv\r\n--x--', 'multipart/form-data; boundary=x'],
  [
    '--x\r\nContent-Type: a/b\r\nContent-Disposition: form-data; name="a"; filename="f"\r\n\r\n\r\n--x\r\n' +
      'Content-Disposition: form-data; name="é"\r\n\r\n☃\r\n--y\r\n--x--',
    'multipart/form-data; boundary=x',
  ],
  ['--x--', 'multipart/form-data; boundary=x'],
  ['--x\r\nContent-Disposition: form-data; name="a"\r\n\r\nv\r\n--x\r\n', 'multipart/form-data; boundary=x'],
  ['--x\r\nContent-Disposition: form-data; name="a"\r\n\r\nv', 'multipart/form-data; boundary=x'],
  ['--x\r\nContent-Disposition: attachment; name="a"\r\n\r\nv\r\n--x--', 'multipart/form-data; boundary=x'],
  ['--x\r\n\r\nv\r\n--x--', 'multipart/form-data; boundary=x'],
  ['text', 'multipart/form-data; boundary=x'],
  ['', 'multipart/form-data; boundary=x'],
  ['text', 'multipart/form-data'],
  ['a=b&c=d+e%20f&a=%c3%a9&&g', 'application/x-www-form-urlencoded;charset=UTF-8'],
  ['', 'application/x-www-form-urlencoded'],
  ['a=b', 'text/plain'],
];

test('bodies are forms, or not, as in Node.js', async () => {
  const read = async (list) => {
    const all = [];
    for (const [body, type] of list) {
      try {
        const form = await new Response(body, { headers: { 'content-type': type } }).formData();
        all.push(
          [...form].map(([name, value]) => [name, typeof value === 'string' ? value : [value.name, value.type, value.size]]),
        );
      } catch (error) {
        all.push([error.name, error.message]);
      }
    }
    return all;
  };
  const { result } = run(`module.exports = ${read};`, bodies);
  assert.deepEqual(result, await read(bodies));
});

// Node.js 20 takes it for the mark before the search of a URL.
test('a question mark at the beginning of a form belongs to the name', () => {
  const { result } = run(`module.exports = async () => {
    const body = new URLSearchParams([['?a', 'b']]).toString().replace('%3F', '?');
    return [...await new Response(body, { headers: { 'content-type': 'application/x-www-form-urlencoded' } }).formData()];
  };`);
  assert.deepEqual(result, [['?a', 'b']]);
});
