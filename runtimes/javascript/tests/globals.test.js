// The globals of scripts, compared with those of Node.js.
'use strict';

const assert = require('node:assert/strict');
const { format } = require('node:util');
const { test } = require('node:test');

const { Guest } = require('./guest.js');

// Node.js 18 has it, but not as a global.
globalThis.crypto ??= require('node:crypto').webcrypto;

// Runs the function here and in the guest, and compares what they give.
function same(name, compute, params = null) {
  test(name, async () => {
    const here = JSON.parse(JSON.stringify((await compute(params)) ?? null));
    const reply = new Guest(`module.exports = ${compute};`).call(params);
    assert.deepEqual(reply.result, here, JSON.stringify(reply.error));
  });
}

same('TextEncoder', () => {
  const into = new Uint8Array(6);
  return [
    [...new TextEncoder().encode('aé☃😀\ud800')],
    [...new TextEncoder().encode()],
    new TextEncoder().encodeInto('aé☃😀', into),
    [...into],
    new TextEncoder().encoding,
  ];
});

same('TextDecoder', () => {
  const all = [
    [0x61, 0xc3, 0xa9],
    [0xef, 0xbb, 0xbf, 0x61],
    [0xff, 0x61, 0xc3],
    [0xe2, 0x82],
    [0xf0, 0x9f, 0x98, 0x80],
    [0xed, 0xa0, 0x80],
    [0xc0, 0x80],
    [0xf4, 0x90, 0x80, 0x80],
    [0xe2, 0x28, 0xa1],
  ];
  const strictly = (bytes) => {
    try {
      return new TextDecoder('utf-8', { fatal: true }).decode(new Uint8Array(bytes));
    } catch (error) {
      return error.name;
    }
  };
  const streamed = new TextDecoder();
  const pieces = [[0xef, 0xbb], [0xbf, 0xe2], [0x98, 0x83, 0xf0], [0x9f]].map((bytes) =>
    streamed.decode(new Uint8Array(bytes), { stream: true }),
  );
  const label = (() => {
    try {
      return new TextDecoder('none').encoding;
    } catch (error) {
      return error.name;
    }
  })();
  return [
    all.map((bytes) => new TextDecoder().decode(new Uint8Array(bytes))),
    all.map(strictly),
    new TextDecoder('UTF8', { ignoreBOM: true }).decode(new Uint8Array([0xef, 0xbb, 0xbf])),
    pieces,
    streamed.decode(),
    new TextDecoder().decode(new Uint16Array([0x6261]).buffer),
    new TextDecoder().decode(new DataView(new ArrayBuffer(2), 1)),
    label,
  ];
});

same('TextDecoder of UTF-16', () => {
  const all = [
    ['utf-16le', [0x61, 0, 0x3d, 0xd8, 0, 0xde]],
    ['utf-16', [0xff, 0xfe, 0x61, 0]],
    ['UTF-16', [0xff, 0xfe, 0x61, 0], { ignoreBOM: true }],
    ['unicodefffe', [0xfe, 0xff, 0, 0x61]],
    ['utf-16be', [0xd8, 0x3d, 0xde, 0, 0x61]],
    ['ucs-2', [0x61]],
    ['utf-16le', [0x61, 0, 0x3d, 0xd8]],
    ['utf-16le', [0x61, 0, 0x3d, 0xd8, 0x61]],
    ['utf-16le', [0, 0xdc, 0x61, 0]],
    ['utf-16le', [0x61, 0, 0x3d, 0xd8], { fatal: true }],
    ['utf-16le', [0x61], { fatal: true }],
    ['utf-8', [0xff], { fatal: true }],
    ['utf-8', [0x61], null],
    ['none', []],
    ['\u00a0utf-8', []],
  ];
  const texts = all.map(([label, bytes, options]) => {
    try {
      return new TextDecoder(label, options).decode(new Uint8Array(bytes));
    } catch (error) {
      return [error.name, error.code, error.message];
    }
  });
  const decoder = new TextDecoder('utf-16le');
  const pieces = [[0x61], [0, 0x3d], [0xd8], [0, 0xde], [0xff, 0xfe, 1]].map((bytes) =>
    decoder.decode(new Uint8Array(bytes), { stream: true }),
  );
  const long = new TextDecoder('utf-16be').decode(new Uint8Array(30_000).fill(0x4e));
  const names = [' \n\f\r\tUtf-8 ', 'unicode', 'l1', 'ISO-8859-1', 'us-ascii', 'x-cp1252', 'csUnicode'];
  return [texts, pieces, decoder.decode(), [long.length, long[14_999]], names.map((name) => new TextDecoder(name).encoding)];
});

// Node.js 20 gives Latin 1 for it, against the standard.
test('TextDecoder of windows-1252', () => {
  const guest = new Guest(
    `module.exports = () => [new TextDecoder('latin1').decode(Uint8Array.from({ length: 256 }, (_, at) => at)), new TextDecoder('ascii').decode(new Uint8Array([0xfe, 0xff]))];`,
  );
  const [text, none] = guest.call().result;
  const special = '€\x81‚ƒ„…†‡ˆ‰Š‹Œ\x8dŽ\x8f\x90‘’“”•–—˜™š›œ\x9džŸ';
  const rest = (from, to) => String.fromCharCode(...Array.from({ length: to - from }, (_, at) => from + at));
  assert.equal(text, rest(0, 0x80) + special + rest(0xa0, 0x100));
  assert.equal(none, 'þÿ');
});

same('base64', () => [
  btoa('a\xffb'),
  atob(' YQ = ='.replace(' = =', '==')),
  atob('YWI'),
  ['é☃', '%'].map((text, at) => {
    try {
      return at === 0 ? btoa(text) : atob(text);
    } catch (error) {
      return error.name;
    }
  }),
]);

same('structuredClone', () => {
  const circle = {
    date: new Date(5),
    map: new Map([[1, { a: [1, , 3] }]]),
    set: new Set(['x']),
    bytes: new Uint8Array([1, 2]),
    pattern: /a/gi,
    error: new TypeError('bad'),
    big: Object(1n),
  };
  circle.self = circle;
  const copy = structuredClone(circle);
  const refused = [() => 1, Symbol('s'), { f() {} }].map((value) => {
    try {
      return structuredClone(value);
    } catch (error) {
      return [error.name, error instanceof DOMException];
    }
  });
  return [
    copy.self === copy,
    copy !== circle,
    copy.date.getTime(),
    [...copy.map],
    1 in copy.map.get(1).a,
    [...copy.set],
    [...copy.bytes],
    String(copy.pattern),
    copy.error.message,
    copy.error instanceof TypeError,
    typeof copy.big,
    refused,
    structuredClone(undefined) === undefined,
    copy.bytes.buffer !== circle.bytes.buffer,
  ];
});

same('structuredClone with transfers', () => {
  const told = (attempt) => {
    try {
      return [attempt()];
    } catch (error) {
      return [error.name, error.code];
    }
  };
  const buffer = new Uint8Array([1, 2, 3]).buffer;
  const view = new Uint8Array(buffer, 1);
  const copy = structuredClone({ view, buffer }, { transfer: [buffer] });
  const kept = new ArrayBuffer(4);
  const failed = told(() => structuredClone({ kept, f() {} }, { transfer: [kept] }))[0];
  const twice = new ArrayBuffer(1);
  return [
    [buffer.byteLength, view.length, [...copy.view], copy.view.buffer === copy.buffer, copy.buffer.byteLength],
    [failed, kept.byteLength],
    told(() => structuredClone()),
    told(() => structuredClone(1, 5)),
    told(() => structuredClone(1, null)),
    told(() => structuredClone(1, { transfer: 1 })),
    told(() => structuredClone(1, { transfer: [] })),
    told(() => structuredClone(twice, { transfer: [twice, twice] })),
    told(() => structuredClone(buffer)),
  ];
});

test('structuredClone transfers nothing but buffers', () => {
  const guest = new Guest(`module.exports = () => [[1], [{}], [null]].map((transfer) => {
    try { return structuredClone(1, { transfer }); } catch (error) { return [error.name, error.message]; }
  });`);
  const refused = ['DataCloneError', 'Found invalid object in transferList'];
  assert.deepEqual(guest.call().result, [refused, refused, refused]);
});

// === marks and measures ===

same('marks and measures', () => {
  const told = (attempt) => {
    try {
      return attempt();
    } catch (error) {
      return [error.name, error.code, error.message];
    }
  };
  const shown = ({ name, entryType, startTime, duration, detail }) => [name, entryType, startTime, duration, detail];
  const object = { x: 1 };
  const mark = performance.mark('a', { detail: object, startTime: 5 });
  object.x = 2;
  performance.mark('b', { startTime: 3 });
  performance.mark('a', { startTime: 9 });
  const measures = [
    performance.measure('one', 'b', 'a'),
    performance.measure('two', { start: 1, end: 'a', detail: 4 }),
    performance.measure('three', { start: 'b', duration: 3 }),
    performance.measure('four', { end: 8, duration: 2 }),
    performance.measure('five', undefined, 'b'),
  ].map(shown);
  const refused = [
    () => performance.mark(),
    () => performance.mark('a', { startTime: -1 }),
    () => performance.mark('a', 1),
    () => performance.measure(),
    () => performance.measure('m', 'none'),
    () => performance.measure('m', { start: 1, end: 2, duration: 3 }),
    () => performance.measure('m', { start: 1 }, 'a'),
    () => performance.getEntriesByName(),
    () => new Performance(),
    () => new PerformanceEntry(),
    () => new PerformanceMeasure(),
  ].map(told);
  const all = performance.getEntries().map(shown);
  const some = [performance.getEntriesByName('a'), performance.getEntriesByName('a', 'measure')].map((list) => list.length);
  some.push(performance.getEntriesByType('measure').length);
  performance.clearMarks('a');
  some.push(performance.getEntriesByType('mark').length);
  performance.clearMeasures();
  performance.clearMarks();
  some.push(performance.getEntries().length, new PerformanceMark('m', { startTime: 1 }).toJSON());
  const kinds = [performance instanceof Performance, mark instanceof PerformanceEntry, String(performance), String(mark)];
  return [shown(mark), measures, refused, all, some, kinds, typeof performance.now(), typeof performance.timeOrigin];
});

same('performance is a target of events where there are any', () => performance instanceof EventTarget);

test('the name of the runtime', () => {
  const guest = new Guest('module.exports = () => [navigator.userAgent, String(navigator)];');
  assert.deepEqual(guest.call().result, ['Serverledge', '[object Navigator]']);
});

same('labels of the console are texts', () => {
  const seen = [];
  const label = { toString: () => seen.push('asked') };
  for (const method of ['time', 'timeLog', 'timeEnd', 'count', 'countReset']) console[method](label);
  return [seen, String(console)];
});

test('the console has dirxml, and nothing to clear', () => {
  const guest = new Guest("module.exports = () => { console.log('a'); console.clear(); console.dirxml({ a: 1 }, 'b'); };");
  guest.call();
  assert.equal(guest.log, "a\n{ a: 1 } b\n");
});

same('digests', async () => {
  const hex = (buffer) => [...new Uint8Array(buffer)].map((byte) => byte.toString(16).padStart(2, '0')).join('');
  const lengths = [0, 1, 3, 55, 56, 63, 64, 65, 111, 112, 119, 120, 127, 128, 129, 1000];
  const out = [];
  for (const name of ['SHA-1', 'SHA-256', 'SHA-384', { name: 'sha-512' }]) {
    for (const length of lengths) out.push(hex(await crypto.subtle.digest(name, new Uint8Array(length).fill(97))));
  }
  out.push(await crypto.subtle.digest('MD5', new Uint8Array(1)).catch((error) => error.name));
  return out;
});

same('HMAC', async () => {
  const hex = (buffer) => [...new Uint8Array(buffer)].map((byte) => byte.toString(16).padStart(2, '0')).join('');
  const { subtle } = crypto;
  const out = [];
  // RFC 4231, and keys around the length that they are padded to.
  for (const hash of ['SHA-1', 'SHA-256', 'SHA-384', 'SHA-512']) {
    for (const length of [1, 20, 63, 64, 65, 127, 128, 129, 131]) {
      const algorithm = { name: 'HMAC', hash };
      const key = await subtle.importKey('raw', new Uint8Array(length).fill(0xaa), algorithm, true, ['verify', 'sign']);
      const data = new TextEncoder().encode('what do ya want for nothing?');
      const signature = await subtle.sign('HMAC', key, data);
      const wrong = new Uint8Array(signature.slice(0));
      wrong[wrong.length - 1] ^= 1;
      out.push(
        hex(signature),
        await subtle.verify(algorithm, key, signature, data),
        await subtle.verify('hmac', key, wrong, data),
        await subtle.verify('HMAC', key, signature.slice(1), data),
        await subtle.exportKey('jwk', key),
        [key.type, key.extractable, key.algorithm, key.usages, String(key), key instanceof CryptoKey],
      );
    }
  }
  const jwk = { kty: 'oct', k: '-_8', alg: 'HS256' };
  const own = await subtle.importKey('jwk', jwk, { name: 'HMAC', hash: { name: 'SHA-256' } }, true, ['sign']);
  out.push(hex(await subtle.exportKey('raw', own)), own.usages);
  const made = await subtle.generateKey({ name: 'HMAC', hash: 'SHA-384' }, true, ['sign']);
  out.push(made.algorithm, (await subtle.exportKey('raw', made)).byteLength);
  return out;
});

same('keys that are refused', async () => {
  const { subtle } = crypto;
  const hmac = { name: 'HMAC', hash: 'SHA-256' };
  const bytes = new Uint8Array([1, 2]);
  const hidden = await subtle.importKey('raw', bytes, hmac, false, ['sign']);
  const out = [];
  for (const refused of [
    () => subtle.importKey('raw', bytes, hmac, true, []),
    () => subtle.importKey('raw', bytes, hmac, true, ['encrypt']),
    () => subtle.importKey('raw', new Uint8Array(0), hmac, true, ['sign']),
    () => subtle.importKey('jwk', { kty: 'oct', k: 'AA', alg: 'HS512' }, hmac, true, ['sign']),
    () => subtle.importKey('jwk', { kty: 'RSA', k: 'AA' }, hmac, true, ['sign']),
    () => subtle.importKey('raw', bytes, { name: 'HMAC', hash: 'MD5' }, true, ['sign']),
    // Node.js 20 gives the error another name than the standard does.
    () => subtle.exportKey('raw', hidden).catch((error) => Promise.reject({ name: error.name.slice(0, 13) })),
    () => subtle.verify('HMAC', hidden, bytes, bytes),
    () => subtle.sign('HMAC', {}, bytes),
    () => new CryptoKey(),
  ]) {
    out.push(await (async () => refused())().then(String, (error) => error.name));
  }
  return out;
});

same('randomness has its form', () => {
  const bytes = crypto.getRandomValues(new Uint32Array(100));
  const refused = [new Float64Array(1), new Uint8Array(65537)].map((array) => {
    try {
      return crypto.getRandomValues(array);
    } catch (error) {
      return error.name;
    }
  });
  return [
    new Set(bytes).size > 90,
    /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/.test(crypto.randomUUID()),
    refused,
    Math.random() < 1,
  ];
});

same('microtasks and promises keep their order', async () => {
  const order = [];
  setTimeout(() => order.push('timeout'), 0);
  queueMicrotask(() => order.push('micro'));
  Promise.resolve().then(() => order.push('then'));
  await (async () => {
    order.push('sync');
    await null;
    order.push('after await');
  })();
  await new Promise((done) => setTimeout(done, 5));
  return order;
});

same('the language', () =>
  [
    [3, 1, 2].sort(),
    'x'.padStart(3, 'ab'),
    [1, [2, [3]]].flat(Infinity),
    (12345.678).toFixed(1),
    2n ** 64n > 1,
    /(?<y>\d{4})/.exec('in 2024').groups.y,
    'aXbX'.replaceAll('X', '-'),
    [...'a😀'].length,
    Array.from({ length: 3 }, (_, at) => at ** 2),
    `${[1, 2]}`,
    JSON.stringify({ a: [1, { b: null }] }, null, 2),
    new Date(Date.UTC(2024, 1, 29)).toISOString(),
    'é'.normalize('NFD').length,
    'İ'.toLowerCase().length,
    parseFloat('1e-7').toString(),
    (0.1 + 0.2).toString(),
    [undefined, 1].at(-1),
    typeof globalThis,
  ].map((value) => (typeof value === 'bigint' ? String(value) : value)),
);

test('nothing reaches outside', () => {
  const names = [
    'fetch',
    'XMLHttpRequest',
    'WebSocket',
    'Worker',
    'SharedArrayBuffer',
    'Atomics',
    'WebAssembly',
    'std',
    'os',
    'print',
    'scriptArgs',
    'gc',
  ];
  const guest = new Guest(
    `module.exports = (names) => [names.filter((name) => name in globalThis), Object.keys(process), Object.keys(globalThis)];`,
  );
  assert.deepEqual(guest.call(names).result, [[], ['env'], []]);
});

// === the console ===

const shown = [
  ['text'],
  ['%s is %d and %i, %f%%, %j %O', 'a', '42', '42.9', '1.5', { a: 1 }, [1]],
  ['a', 1, true, null, undefined, 1n, Symbol('s'), -0],
  ['%s', { a: { b: { c: 1 } } }, 'rest'],
  [{}],
  [[]],
  [{ a: 1, 'b-c': 'text', d: [1, 2, { e: null }] }],
  [[1, 'a', [2, [3, [4, [5]]]]]],
  [{ a: { b: { c: { d: 1 } } } }],
  [
    new Map([
      ['a', 1],
      [{ b: 1 }, [2]],
    ]),
  ],
  [new Set([1, 'x'])],
  [[undefined, null, , 3]],
  [new Date(0)],
  [/a+/g],
  [() => 1, function named() {}, class A {}, class B extends Array {}],
  [
    new (class Point {
      constructor() {
        this.x = 1;
      }
    })(),
  ],
  [Object.create(null)],
  ["it's", ["it's", 'say "no"\n']],
  [new Uint8Array([1, 2])],
  [new Error('bad').message],
  [
    {
      get a() {
        return 1;
      },
      set b(v) {},
    },
  ],
  [Symbol('x'), { [Symbol('y')]: 1 }],
  [new Number(1), new String('ab')],
  [{ long: 'x'.repeat(60), other: 'y'.repeat(30) }],
  [{ f() {}, g: async () => 1 }],
  ['%c styled', 'color: red'],
  ['%%', '%x', 5],
  [new Array(3)],
  [[['a', 'b'], ['c']]],
  [{ undefined: undefined }],
];

test('the console shows what Node.js shows', () => {
  const source = (value) => value; // The values are made anew in the guest, from the text of this file.
  assert.equal(source(1), 1);
  const text = require('node:fs').readFileSync(__filename, 'utf8');
  const list = /const shown = (\[[^]*?\n\]);/.exec(text)[1];
  const guest = new Guest(
    `const shown = ${list};\nmodule.exports = () => shown.forEach((values) => { console.log(...values); console.log('----'); });`,
  );
  guest.call();
  assert.deepEqual(guest.log.split('\n----\n'), [...shown.map((values) => format(...values)), '']);
});

test('the console survives anything', () => {
  const guest = new Guest(`module.exports = () => {
    const circle = { name: 'c', list: [] };
    circle.self = circle; circle.list.push(circle);
    console.log(circle);
    console.log(new Proxy({}, { get() { throw new Error('no'); }, ownKeys() { throw new Error('no'); }, getPrototypeOf() { throw new Error('no'); } }));
    console.log(Array.from({ length: 1000 }, (_, at) => ({ at })));
    console.group('in'); console.warn('a\\nb'); console.groupEnd(); console.error('out');
    console.count(); console.count(); console.assert(true, 'x'); console.assert(false, 'told %d', 1); console.table([{ a: 1 }]);
    console.error(new TypeError('shown'));
    let deep = []; for (let i = 0; i < 1e5; i++) deep = [deep];
    console.log(deep);
  };`);
  assert.equal(guest.call().error, undefined);
  assert.match(
    guest.log,
    /^<ref \*1> \{ name: 'c', list: \[ \[Circular \*1\] \], self: \[Circular \*1\] \}\n\[object that cannot be shown\]\n/,
  );
  assert.match(
    guest.log,
    /\.\.\. 900 more items\n\]\nin\n {2}a\n {2}b\nout\ndefault: 1\ndefault: 2\nAssertion failed: told 1\n\[ \{ a: 1 \} \]\nTypeError: shown\n {4}at <anonymous> \(index\.js:9:\d+\)\n\[ \[ \[ \[Array\] \] \] \]\n$/,
  );
});

// === URLs ===

const urls = [
  'http://example.com',
  'HTTP://EXAMPLE.com:80/a/../b/./c?q=1#f',
  'https://user:pa%20ss@example.com:8443/p?x=y z#a b',
  'http://example.com:443/',
  'https://example.com:443/',
  'http://例え.jp/パス?キー=値#片',
  'http://Bücher.example/ü',
  'http://1.2.3.4/',
  'http://0x7f.1/',
  'http://0300.168.1/',
  'http://256.1.1.1/',
  'http://1.2.3.4.5/',
  'http://[::1]:8080/',
  'http://[2001:db8:0:0:1:0:0:1]/',
  'http://[::ffff:1.2.3.4]/',
  'http://[1::2::3]/',
  'http://[zz]/',
  'mailto:a@b.c',
  'data:text/plain,hello world#x',
  'javascript:alert(1)',
  'file:///a/b/../c',
  'file://localhost/x',
  'file:///C:/a/../..',
  'file:c:\\x\\y',
  'ftp://x/%7Euser',
  'ws://h:80/',
  'wss://h:443/p',
  'custom://host:99/p/../q?x#y',
  'custom:/a/b',
  'custom:a/b',
  'urn:isbn:123',
  'http:\\\\example.com\\a\\b',
  'http:example.com',
  'http:///example.com',
  '  http://example.com/  ',
  'ht\ntp://exa\tmple.com',
  'http://ex ample.com',
  'http://',
  'http://:80',
  '',
  'nothing',
  '/a',
  '//h/p',
  'http://a.b/%zz%41?%zz\'"<>`#<>`"',
  'http://a.b/{}|[]?{}|^[]',
  'http://a.b/a%2e%2E/b/%2e/c',
  'http://a.b/?a=b&c=d+e&f',
  'http://a.b?x',
  'http://a.b#y',
  'http://a@b@c/',
  'http://a:b:c@d/',
  'http://@h/',
  'http://h:65536/',
  'http://h:0/',
  'http://h:08/',
  'http://a%41.com/',
  'http://a%00b/',
  'blob:https://example.com/id',
  'https://EXAMPLE.com./',
  'http://a..b/',
  'http://xn--bcher-kva.example/',
  'http://faß.de/',
  'http://a.b/\u{1f600}',
];
const relatives = [
  '',
  'x',
  './x',
  '../x',
  '../../../x',
  '/x',
  '//h2/x',
  '?q',
  '#f',
  'x?y#z',
  'http:x',
  'http://other/',
  'mailto:x',
  '..',
  '.',
  'a/b/../c/',
  '\\x',
  'a:b',
  '?',
  '#',
  'x/..//y',
  '/..//../x',
];
const bases = [
  'http://h:81/a/b/c?d#e',
  'https://u:p@h/',
  'file:///C:/a/b',
  'file:///a/b?c',
  'mailto:a@b',
  'custom://h/a/b',
  'custom:/a/b',
  'http://h',
];

function parts(text, base) {
  const names = [
    'href',
    'origin',
    'protocol',
    'username',
    'password',
    'host',
    'hostname',
    'port',
    'pathname',
    'search',
    'hash',
  ];
  try {
    const url = new URL(text, base);
    return names.map((name) => url[name]);
  } catch (error) {
    return [error.name, error.code, error.message];
  }
}

test('URLs are those of Node.js', () => {
  const guest = new Guest(
    `${parts}\nmodule.exports = (list) => list.map(([text, base]) => parts(text, base ?? undefined));`,
  );
  // Inputs that Node.js 20 takes for a URL, against the standard.
  const wrong = ([text, base]) => text === 'x?y#z' && base === 'mailto:a@b';
  const list = [
    ...urls.map((text) => [text]),
    ...bases.flatMap((base) => relatives.map((text) => [text, base])),
  ].filter((pair) => !wrong(pair));
  const found = guest.call(list).result;
  const named = (values) => list.map(([text, base], at) => [text, base, ...values[at]]);
  assert.deepEqual(named(found), named(list.map(([text, base]) => parts(text, base))));
});

same('what URLs are set to has no tabs and no line breaks', () => {
  const values = { protocol: 'ht\ntp', host: 'o\tther:81', hostname: 'n\rame', port: '\t9\n0', pathname: '/a\tb', search: '?c\nd', hash: '#e\rf' };
  return Object.entries(values).map(([name, value]) => {
    const url = new URL('https://h.example/p');
    url[name] = value;
    return url.href;
  });
});

same('URLs change as in Node.js', () => {
  const steps = [
    ['href', 'https://new/x?y'],
    ['protocol', 'http'],
    ['protocol', 'mailto:'],
    ['host', 'a.b:90'],
    ['host', 'c.d'],
    ['hostname', 'Ü.de'],
    ['port', '443'],
    ['port', '8x'],
    ['port', ''],
    ['pathname', 'a b/../c?#'],
    ['search', '?a=ü b'],
    ['search', ''],
    ['hash', 'x y'],
    ['hash', ''],
    ['username', 'a:b@'],
    ['password', 'p/w'],
    ['hostname', ''],
    ['pathname', ''],
  ];
  const url = new URL('https://example.com:1/p?q#f');
  const after = steps.map(([name, value]) => {
    url[name] = value;
    return url.href;
  });
  url.searchParams.append('k', 'v w');
  after.push(url.href, URL.canParse('x:'), URL.canParse('x'), String(url), JSON.stringify(url));
  url.search = '?z=1';
  after.push(url.searchParams.get('z'));
  return after;
});

same('URLSearchParams', () => {
  const params = new URLSearchParams('?b=2&a=1&b=3&c=%20+%zz&ü=%C3%BC&&=x&y');
  const before = [
    params.get('b'),
    params.getAll('b'),
    params.has('y'),
    params.has('b', '3'),
    params.get('none'),
    [...params],
    params.toString(),
    params.size,
  ];
  params.set('b', 'n&w');
  params.append('d', "~!*()'");
  params.delete('y');
  params.sort();
  return [
    before,
    params.toString(),
    [...params.keys()],
    [...params.values()],
    new URLSearchParams({ a: 1, b: 'c d' }).toString(),
    new URLSearchParams([['x', 'y']]).toString(),
    new URLSearchParams(params).size,
    new URLSearchParams().toString(),
    Object.prototype.toString.call(params),
  ];
});
