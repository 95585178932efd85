// Streams: each case runs here and in Node.js, and gives the same events in the same order.
'use strict';

const assert = require('node:assert/strict');
const { test } = require('node:test');
const zlib = require('node:zlib');

const { Guest } = require('./guest.js');

const handler = (body) => `module.exports = async (params) => {\n${body}\n};`;
const PREPARED = `
  const events = [];
  const log = (...values) => { events.push(values); };
  const named = (error) => (error instanceof Error ? error.name + ':' + error.message : error);
  const drain = async (stream, ...before) => { for await (const chunk of stream) log(...before, chunk instanceof Uint8Array ? [...chunk] : chunk); };
  const later = () => new Promise((resolve) => setTimeout(resolve, 1));
`;

// Of errors that are the prelude's own only the names are compared.
function same(name, body) {
  test(name, async () => {
    const source = `${PREPARED}${body}\nreturn events;`;
    const expected = await new Function(`return (async () => {\n${source}\n})();`)();
    const guest = new Guest(handler(source));
    assert.equal(guest.error, undefined, JSON.stringify(guest.error));
    const reply = guest.call({});
    assert.deepEqual(reply.result, JSON.parse(JSON.stringify(expected)), JSON.stringify(reply));
  });
}

// === readable streams ===

same(
  'a stream is read to its end',
  `const stream = new ReadableStream({ start(c) { log('start', c.desiredSize); c.enqueue(1); c.enqueue(2); log(c.desiredSize); c.close(); },
    pull() { log('pull'); } });
  const reader = stream.getReader();
  log(stream.locked);
  reader.closed.then(() => log('closed'));
  for (let one = await reader.read(); ; one = await reader.read()) { log(one); if (one.done) break; }
  reader.releaseLock();
  log(stream.locked, String(stream), String(reader));`,
);
same(
  'chunks are pulled as they are wanted',
  `let n = 0;
  const stream = new ReadableStream({ pull(c) { log('pull', n); c.enqueue(n++); if (n > 4) c.close(); } }, { highWaterMark: 2 });
  await 0; log('a'); await 0; log('b');
  await drain(stream);`,
);
same(
  'pull is not called again before it has ended',
  `let n = 0;
  const stream = new ReadableStream({ async pull(c) { log('pull', n); await later(); c.enqueue(n++); log('pulled'); if (n > 2) c.close(); } });
  const reader = stream.getReader();
  const all = [reader.read(), reader.read(), reader.read(), reader.read()];
  for (const one of all) log(await one);`,
);
same(
  'a loop that is left cancels, unless it should not',
  `let n = 0;
  const make = () => new ReadableStream({ pull(c) { c.enqueue(n++); }, cancel(reason) { log('cancel', reason); } });
  const first = make();
  for await (const chunk of first) { log(chunk); if (chunk === 2) break; }
  const second = make();
  for await (const chunk of second.values({ preventCancel: true })) { log(chunk, second.locked); break; }
  log(first.locked, second.locked, (await second.getReader().read()).done);
  const third = make().values();
  log(await third.return('x'), await third.next(), await Promise.all([third.next(), third.return(1)]));`,
);
same(
  'errors reach whoever waits',
  `const stream = new ReadableStream({ pull() { throw new Error('x'); } });
  const reader = stream.getReader();
  reader.closed.catch((error) => log('closed', named(error)));
  await reader.read().catch((error) => log('read', named(error)));
  await stream.cancel().catch((error) => log(error.name));
  await reader.cancel().catch((error) => log(named(error)));
  const broken = new ReadableStream({ start() { return Promise.reject(new Error('start')); } });
  await broken.getReader().read().catch((error) => log(named(error)));`,
);
same(
  'a reader that is released leaves its reads',
  `const stream = new ReadableStream({ pull() { log('pull'); } });
  const reader = stream.getReader();
  reader.read().catch((error) => log('read', error.name));
  reader.closed.catch((error) => log('closed', error.name));
  reader.releaseLock();
  log(stream.locked);
  await later();
  await reader.read().catch((error) => log(error.name));
  await reader.cancel().catch((error) => log(error.name));`,
);
same(
  'cancelling',
  `const stream = new ReadableStream({ start(c) { c.enqueue(1); }, cancel(reason) { log('cancel', reason); return 'ignored'; } });
  log(await stream.cancel('why') ?? 'undefined');
  log((await stream.getReader().read()).done);
  await new ReadableStream({ cancel() { throw new Error('no'); } }).cancel().catch((error) => log(named(error)));`,
);
same(
  'both branches of a tee',
  `let n = 0;
  const stream = new ReadableStream({ pull(c) { log('pull', n); c.enqueue(n++); if (n > 3) c.close(); } });
  const [a, b] = stream.tee();
  await Promise.all([drain(a, 'a'), drain(b, 'b')]);
  const [c, d] = new ReadableStream({ cancel(reasons) { log(reasons); } }).tee();
  const first = c.cancel(1).then(() => log('c'));
  await d.cancel(2);
  await first;`,
);
same(
  'streams are made of iterables',
  `async function* parts() { try { log('1'); yield 1; log('2'); yield 2; } finally { log('end'); } }
  await drain(ReadableStream.from(parts()));
  await drain(ReadableStream.from([Promise.resolve('a'), 'b']));
  await drain(ReadableStream.from(new ReadableStream({ start(c) { c.enqueue('c'); c.close(); } })));
  const reader = ReadableStream.from(parts()).getReader();
  log(await reader.read());
  await reader.cancel('why');
  log('cancelled');`,
);
same(
  'sizes and strategies',
  `log(new CountQueuingStrategy({ highWaterMark: 3 }).size(), new ByteLengthQueuingStrategy({ highWaterMark: 3 }).size({ byteLength: 9 }));
  new ReadableStream({ start(c) { log(c.desiredSize); c.enqueue('abc'); log(c.desiredSize); } }, { highWaterMark: 10, size: (text) => text.length });
  const stream = new ReadableStream({ start(c) { try { c.enqueue(1); } catch (error) { log(error.name); } } }, { size: () => -1 });
  await stream.getReader().read().catch((error) => log(error.name));`,
);
same(
  'arguments are checked',
  `for (const make of [() => new ReadableStream(null), () => new ReadableStream({ type: 'x' }), () => new ReadableStream({}, { highWaterMark: -1 }),
    () => new ReadableStream({ start: 1 }), () => new ReadableStream().getReader({ mode: 'x' }), () => new ReadableStream().getReader({ mode: 'byob' }),
    () => new WritableStream({ type: 1 }), () => new TransformStream({ readableType: 1 }), () => new CountQueuingStrategy(),
    () => ReadableStream.from(1), () => { const stream = new ReadableStream(); stream.getReader(); stream.getReader(); },
    () => new ReadableStream({ type: 'bytes', start(c) { c.enqueue(new Uint8Array(0)); } }), () => new ReadableStreamDefaultController(),
    () => new ReadableStreamDefaultReader({}), () => new WritableStreamDefaultWriter({}), () => ReadableStream.prototype.locked,
    () => new ReadableStream({ start(c) { c.close(); c.enqueue(1); } })]) {
    try { make(); log('made'); } catch (error) { log(error.name); }
  }`,
);

// === byte streams ===

same(
  'byte streams fill the views of their readers',
  `const stream = new ReadableStream({ type: 'bytes', pull(c) { const { view } = c.byobRequest; log('pull', view.byteLength); view[0] = 7; c.byobRequest.respond(1); } });
  const reader = stream.getReader({ mode: 'byob' });
  const view = new Uint8Array(3);
  const { value, done } = await reader.read(view);
  log([...value], done, view.byteLength, value.buffer.byteLength);
  await reader.read(new Uint8Array(0)).catch((error) => log(error.name));
  reader.releaseLock();
  const other = new ReadableStream({ type: 'bytes', autoAllocateChunkSize: 4, pull(c) { log(c.byobRequest.view.byteLength); c.byobRequest.respond(2); } });
  log([...(await other.getReader().read()).value]);`,
);
same(
  'byte streams cut chunks to the views',
  `const stream = new ReadableStream({ type: 'bytes', start(c) { c.enqueue(new Uint8Array([1, 2, 3, 4, 5, 6, 7])); c.close(); } });
  const reader = stream.getReader({ mode: 'byob' });
  log([...(await reader.read(new Uint16Array(2))).value]);
  log([...(await reader.read(new Uint8Array(2))).value]);
  const last = await reader.read(new Uint8Array(4));
  log([...last.value], last.done);
  const end = await reader.read(new Uint8Array(4));
  log([...end.value], end.done);`,
);
same(
  'both branches of a tee of bytes',
  `let n = 0;
  const stream = new ReadableStream({ type: 'bytes', pull(c) { log('pull', n); c.enqueue(new Uint8Array([n++, 9])); if (n > 3) c.close(); } });
  const [a, b] = stream.tee();
  const reader = b.getReader({ mode: 'byob' });
  const views = async () => { const all = []; for (;;) { const { value, done } = await reader.read(new Uint8Array(8)); all.push([...value], done); if (done) return all; } };
  const chunks = async () => { const all = []; for await (const chunk of a) all.push([...chunk]); return all; };
  log(await Promise.all([chunks(), views()]));`,
);

// === writable streams ===

same(
  'writes are done one after the other',
  `const stream = new WritableStream({ start() { log('start'); }, async write(chunk) { log('write', chunk); await later(); }, close() { log('close'); } },
    { highWaterMark: 2 });
  const writer = stream.getWriter();
  log(writer.desiredSize, stream.locked);
  for (let n = 0; n < 4; n++) { writer.write(n).then(() => log('written', n)); log(writer.desiredSize); }
  await writer.ready;
  log('ready', writer.desiredSize);
  writer.closed.then(() => log('closed'));
  await writer.close();
  await stream.close().catch((error) => log(error.name));`,
);
same(
  'a writer aborts',
  `const stream = new WritableStream({ async write(chunk) { log('write', chunk); await later(); }, abort(reason) { log('abort', reason); } });
  const writer = stream.getWriter();
  writer.closed.catch((error) => log('closed', error));
  writer.ready.catch((error) => log('ready', error));
  for (const n of [1, 2]) writer.write(n).then(() => log('written', n), (error) => log('not', n, error));
  await writer.abort('why').then(() => log('aborted'));
  await later();`,
);
same(
  'a sink that fails ends its stream',
  `const stream = new WritableStream({ write() { throw new Error('full'); } });
  const writer = stream.getWriter();
  writer.closed.catch((error) => log('closed', named(error)));
  await writer.write(1).catch((error) => log('write', named(error)));
  log(writer.desiredSize);
  await writer.write(2).catch((error) => log('again', named(error)));
  let controller;
  const other = new WritableStream({ start(c) { controller = c; } }).getWriter();
  controller.error(new Error('outside'));
  await other.closed.catch((error) => log(named(error)));`,
);

// === pipes ===

same(
  'a pipe keeps to what the sink takes',
  `let n = 0;
  const source = new ReadableStream({ pull(c) { log('pull', n); c.enqueue(n++); if (n > 4) c.close(); } });
  const sink = new WritableStream({ start() { log('start'); }, async write(chunk) { log('write', chunk); await 0; log('written', chunk); }, close() { log('close'); } });
  await source.pipeTo(sink);
  log(source.locked, sink.locked);`,
);
same(
  'errors go through a pipe, unless they should not',
  `const source = () => new ReadableStream({ start(c) { c.enqueue(1); }, cancel(reason) { log('cancel', named(reason)); } });
  const failing = () => new WritableStream({ write() { throw new Error('w'); }, abort(reason) { log('abort', reason); } });
  await source().pipeTo(failing()).catch((error) => log(named(error)));
  const kept = source();
  await kept.pipeTo(failing(), { preventCancel: true }).catch((error) => log(named(error)));
  log(kept.locked);
  const broken = () => new ReadableStream({ start(c) { c.error(new Error('r')); } });
  const sink = () => new WritableStream({ abort(reason) { log('abort', named(reason)); }, close() { log('close'); } });
  await broken().pipeTo(sink()).catch((error) => log(named(error)));
  await broken().pipeTo(sink(), { preventAbort: true }).catch((error) => log(named(error)));
  const open = sink();
  await ReadableStream.from([1]).pipeTo(open, { preventClose: true });
  await open.close();`,
);
same(
  'a signal ends a pipe',
  `const controller = new AbortController();
  const source = new ReadableStream({ cancel(reason) { log('cancel', reason); } });
  const sink = new WritableStream({ abort(reason) { log('abort', reason); } });
  const piped = source.pipeTo(sink, { signal: controller.signal });
  controller.abort('why');
  await piped.catch((error) => log('piped', error));
  const signal = AbortSignal.abort('before');
  await new ReadableStream().pipeTo(new WritableStream(), { signal }).catch((error) => log(error));
  await new ReadableStream().pipeTo(new WritableStream(), { signal: {} }).catch((error) => log(error.name));
  await new ReadableStream().pipeTo({}).catch((error) => log(error.name));`,
);
same(
  'a sink has a signal for its end',
  `let signal;
  const stream = new WritableStream({ start(c) { signal = c.signal; } });
  signal.addEventListener('abort', () => log('abort', signal.reason));
  log(signal.aborted);
  await stream.abort('why');
  log(signal.aborted);`,
);

// === transform streams ===

same(
  'transforming',
  `const transform = new TransformStream({ start(c) { log('start', c.desiredSize); }, transform(chunk, c) { log('transform', chunk); c.enqueue(chunk * 2); },
    flush(c) { log('flush'); c.enqueue('end'); } });
  const writer = transform.writable.getWriter();
  writer.ready.then(() => log('ready'));
  for (const n of [1, 2]) writer.write(n).then(() => log('written', n));
  writer.close().then(() => log('closed'));
  await drain(transform.readable);`,
);
same(
  'through several transforms',
  `const double = new TransformStream({ transform(chunk, c) { log('double', chunk); c.enqueue(chunk); c.enqueue(chunk); } });
  await drain(ReadableStream.from([1, 2, 3]).pipeThrough(double).pipeThrough(new TransformStream()));`,
);
same(
  'transforms that fail, end and are cancelled',
  `const failing = new TransformStream({ transform() { throw new Error('t'); } });
  const writer = failing.writable.getWriter();
  writer.write(1).catch((error) => log('write', named(error)));
  writer.closed.catch((error) => log('closed', named(error)));
  await failing.readable.getReader().read().catch((error) => log('read', named(error)));
  const ending = new TransformStream({ transform(chunk, c) { c.enqueue(chunk); c.terminate(); } });
  const other = ending.writable.getWriter();
  other.write(1).then(() => log('written'), (error) => log(error.name));
  other.closed.catch((error) => log('closed', error.name));
  const reader = ending.readable.getReader();
  log(await reader.read(), await reader.read());
  const left = new TransformStream();
  await left.readable.cancel('why');
  await left.writable.getWriter().closed.catch((error) => log('left', error));`,
);

// === text and compression ===

same(
  'text in parts',
  `const bytes = new TextEncoder().encode('\\ufeffa\\u00e9\\u2603\\ud83d\\ude00z');
  for (const size of [1, 2, 3, 5]) {
    const parts = Array.from({ length: Math.ceil(bytes.length / size) }, (_, n) => bytes.slice(n * size, n * size + size));
    let text = '';
    for await (const part of ReadableStream.from(parts).pipeThrough(new TextDecoderStream())) text += part;
    log(text);
  }
  const decoder = new TextDecoderStream('utf-8', { fatal: true, ignoreBOM: true });
  log(decoder.encoding, decoder.fatal, decoder.ignoreBOM, new TextEncoderStream().encoding);
  await drain(ReadableStream.from([new Uint8Array([0xe2])]).pipeThrough(decoder)).catch((error) => log(error.name));
  await drain(ReadableStream.from(['a\\ud83d', '', '\\ude00b', '\\ud83d', 'x', '\\udc00', 1, null, '\\ud800']).pipeThrough(new TextEncoderStream()));
  await drain(ReadableStream.from([1]).pipeThrough(new TextDecoderStream())).catch((error) => log(error.name));`,
);
same(
  'what is compressed comes back',
  `const bytes = new TextEncoder().encode('serverledge '.repeat(5000));
  for (const format of ['gzip', 'deflate', 'deflate-raw']) {
    const packed = ReadableStream.from([bytes.slice(0, 10), bytes.slice(10)]).pipeThrough(new CompressionStream(format));
    const sizes = [];
    const opened = packed.pipeThrough(new TransformStream({ transform(chunk, c) { sizes.push(chunk.length); c.enqueue(chunk); } }))
      .pipeThrough(new DecompressionStream(format));
    let text = '';
    for await (const part of opened.pipeThrough(new TextDecoderStream())) text += part;
    log(format, text.length, text === 'serverledge '.repeat(5000), sizes.reduce((a, b) => a + b) < 2000);
  }
  for (const format of ['br', undefined]) { try { new CompressionStream(format); } catch (error) { log(named(error), error.code); } }`,
);
test('what others compress is read, and what is none is an error', () => {
  const plain = Buffer.from('é'.repeat(1000));
  for (const [format, pack] of [['gzip', 'gzipSync'], ['deflate', 'deflateSync'], ['deflate-raw', 'deflateRawSync']]) {
    const packed = zlib[pack](plain);
    const read = (bytes) =>
      new Guest(
        handler(`const parts = [];
        try {
          for await (const part of ReadableStream.from(params.parts.map((part) => new Uint8Array(part))).pipeThrough(new DecompressionStream('${format}')))
            parts.push(...part);
        } catch (error) { return error.name; }
        return new TextDecoder().decode(new Uint8Array(parts));`),
      ).call({ parts: bytes });
    const single = [...packed].map((byte) => [byte]);
    assert.equal(read(single).result, plain.toString(), format);
    assert.equal(read(single.slice(0, -1)).result, 'TypeError', `${format}, cut off`);
    assert.equal(read([[1, 2, 3, 4, 5, 6, 7, 8, 9, 10]]).result, 'TypeError', `${format}, something else`);
    assert.equal(read([...single, [0]]).result, 'TypeError', `${format}, more behind the end`);
  }
});

// === what it costs ===

test('a file that names none of them has none of them', () => {
  const names = "['Readable', 'Writable', 'Transform', 'Compression', 'TextDecoder'].map((name) => typeof globalThis[name + 'Stream'])";
  assert.deepEqual(new Guest(handler(`return ${names};`)).call({}).result, Array(5).fill('undefined'));
  const named = new Guest(handler(`/* CompressionStream */ return ${names};`)).call({}).result;
  assert.deepEqual(named, ['function', 'function', 'function', 'function', 'undefined']);
});
