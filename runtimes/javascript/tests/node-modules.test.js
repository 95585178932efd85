// Buffer and the modules of Node.js that the engine has, compared with those of Node.js.
'use strict';

const assert = require('node:assert/strict');
const { test } = require('node:test');

const { Guest } = require('./guest.js');

// Runs functions, each by itself: what it gives, or what it throws.
async function outcomes(functions) {
  const plain = (value) => {
    if (typeof value === 'bigint') return `${value}n`;
    if (value === undefined) return 'undefined';
    if (typeof value === 'number' && !Number.isFinite(value)) return String(value);
    if (value instanceof Uint8Array) return [value.constructor.name, ...value];
    if (Array.isArray(value)) return value.map(plain);
    return Object.is(value, -0) ? '-0' : value;
  };
  const all = [];
  for (const each of functions) {
    try {
      all.push(plain(await each()));
    } catch (error) {
      all.push(['throws', error.constructor.name, error.name, error.code ?? null, error.message]);
    }
  }
  return all;
}

function same(name, lines) {
  test(name, async () => {
    const source = `(async () => (${outcomes})([\n${lines.map((line) => `  async () => ${line},\n`).join('')}]))`;
    const here = JSON.parse(JSON.stringify(await eval(source)()));
    const { result, error } = new Guest(`module.exports = ${source};`).call();
    assert.equal(error, undefined, JSON.stringify(error));
    lines.forEach((line, at) => assert.deepEqual(result[at], here[at], line));
  });
}

const TEXT = JSON.stringify('aé☃😀\ud800 ~');
const ENCODINGS = [
  'utf8',
  'UTF-8',
  'hex',
  'base64',
  'base64url',
  'latin1',
  'binary',
  'ascii',
  'ucs2',
  'utf16le',
  'utf-16le',
  'ucs-2',
];

same('Buffer: encodings', [
  ...ENCODINGS.flatMap((name) => [
    `Buffer.from(${TEXT}, '${name}')`,
    `Buffer.from([0, 1, 0x61, 0x7f, 0x80, 0xc3, 0xa9, 0xff, 0xfe, 0xf0]).toString('${name}')`,
    `Buffer.from([0, 1, 0x61, 0x7f, 0x80, 0xc3, 0xa9, 0xff, 0xfe, 0xf0]).toString('${name}', 2, 7)`,
    `Buffer.byteLength('some text', '${name}')`,
    `Buffer.isEncoding('${name}')`,
    `Buffer.alloc(7, 'abc', '${name}')`,
    `(() => { const b = Buffer.alloc(6); return [b.write(${TEXT}, 1, '${name}'), [...b]]; })()`,
  ]),
  "Buffer.from('YQ==YQ==', 'base64')",
  "Buffer.from('Y Q-_=x', 'base64')",
  "Buffer.from('-_+/', 'base64url')",
  "Buffer.from('YWJjZ', 'base64')",
  "Buffer.from('abcz1', 'hex')",
  "Buffer.from('abc', 'hex')",
  "Buffer.from('x', 'other')",
  "Buffer.from('x').toString('other')",
  "Buffer.isEncoding('other')",
]);

same('Buffer: making', [
  'Buffer.from([1, 257, -1, 3.7, "5"])',
  'Buffer.from(new Uint16Array([1, 300]))',
  'Buffer.from(new Uint8Array([1, 2, 3]).buffer, 1, 1)',
  'Buffer.from(new Uint8Array([1, 2, 3]).buffer, 4)',
  'Buffer.from(new Uint8Array([1, 2, 3]).buffer, 1, 5)',
  'Buffer.from({ type: "Buffer", data: [1, 2] })',
  'Buffer.from({ length: 2, 0: 7, 1: 8 })',
  'Buffer.from(new String("ab"))',
  'Buffer.from({ [Symbol.toPrimitive]: () => "xy" })',
  'Buffer.from(5)',
  'Buffer.from(null)',
  'Buffer.from()',
  'Buffer.from({})',
  'Buffer.from(Buffer.from("a"))',
  'Buffer.alloc(3)',
  'Buffer.alloc(-1)',
  'Buffer.alloc("5")',
  'Buffer.alloc(4, 1)',
  'Buffer.allocUnsafe(3).length',
  'Buffer.of(1, 2, 300)',
  'new Buffer("ab")',
  'Buffer(3)',
  'Buffer.concat([Buffer.from("a"), new Uint8Array([1, 2])])',
  'Buffer.concat([Buffer.from("abc"), Buffer.from("d")], 2)',
  'Buffer.concat([Buffer.from("abc")], 5)',
  'Buffer.concat("a")',
  'Buffer.concat(["a"])',
  'Buffer.compare(Buffer.from("a"), Buffer.from("b"))',
  'Buffer.compare("a", Buffer.from("b"))',
  '[Buffer.isBuffer(Buffer.alloc(1)), Buffer.isBuffer(new Uint8Array(1)), Buffer.isBuffer("a")]',
  'Buffer.byteLength(new ArrayBuffer(5))',
  'Buffer.byteLength(5)',
  'Buffer.copyBytesFrom(new Uint16Array([1, 2, 3]), 1)',
  '[Buffer.alloc(1) instanceof Uint8Array, Buffer.alloc(1).constructor === Buffer, Buffer.name]',
]);

same('Buffer: methods', [
  'Buffer.from("abcdef").subarray(1, -1)',
  'Buffer.from("abcdef").slice(-3)',
  '(() => { const b = Buffer.from("abc"); b.slice(1)[0] = 0x7a; return b.toString(); })()',
  'Buffer.from("abc").map((x) => x + 1)',
  'Buffer.from("abc").filter((x) => x > 97).constructor.name',
  'Buffer.from("abc").toJSON()',
  'JSON.stringify({ a: Buffer.from("abc") })',
  '[Buffer.from("a").equals(new Uint8Array([97])), Buffer.from("a").equals(Buffer.from("b"))]',
  'Buffer.from("a").equals("a")',
  'Buffer.from("abcabc").indexOf("c", 3)',
  'Buffer.from("abcabc").indexOf("bc", -3)',
  'Buffer.from("abcabc").lastIndexOf("abc")',
  'Buffer.from("abcabc").lastIndexOf("abc", 2)',
  'Buffer.from("abcabc").lastIndexOf(99, -2)',
  'Buffer.from("abcabc").includes("ca")',
  'Buffer.from("abc").indexOf("")',
  'Buffer.from("abc").indexOf(Buffer.from("c"))',
  'Buffer.from("abc").indexOf(99.9)',
  'Buffer.from("abc").indexOf({})',
  'Buffer.from("a\\u0000b\\u0000", "latin1").indexOf("b", 0, "utf16le")',
  'Buffer.alloc(5).fill("ab")',
  'Buffer.alloc(5).fill("ab", 1, 4)',
  'Buffer.alloc(5).fill("6162", "hex")',
  'Buffer.alloc(5).fill(300)',
  'Buffer.alloc(5).fill("")',
  'Buffer.alloc(5).fill(1, 6)',
  'Buffer.alloc(5).fill(1, 0, 6)',
  'Buffer.alloc(5).fill(Buffer.from([1, 2]))',
  'Buffer.from([1, 2, 3, 4]).swap16()',
  'Buffer.from([1, 2, 3, 4]).swap32()',
  'Buffer.from([1, 2, 3, 4, 5, 6, 7, 8]).swap64()',
  'Buffer.from([1, 2, 3]).swap16()',
  '(() => { const b = Buffer.alloc(4); return [Buffer.from("abcdef").copy(b, 1, 2), ...b]; })()',
  'Buffer.from("abc").copy(Buffer.alloc(3), -1)',
  'Buffer.from("abc").copy("a")',
  'Buffer.from("abcd").compare(Buffer.from("xbcx"), 1, 3, 1, 3)',
  'Buffer.from("abc").toString("utf8", 1)',
  'Buffer.from("abc").toString(undefined, -1, 2)',
  'Buffer.from("abc").toString("utf8", 2, 1)',
  'String(Buffer.from("é"))',
  'Buffer.from("abc").readUInt8(3)',
  'Buffer.alloc(10).write(5)',
  'Buffer.alloc(3).write("aé☃")',
  'Buffer.alloc(3).write("abc", 4)',
  'Buffer.from("abc").latin1Slice(1)',
  'Object.keys(Buffer.from("ab"))',
  'require("node:util").inspect(Buffer.from("abc"))',
  'require("util").inspect({ a: [Buffer.alloc(60)] })',
  'require("util").inspect(Buffer.alloc(0))',
  '[...Buffer.from("ab").entries()].join()',
  'structuredClone(Buffer.from("ab")).constructor.name',
  'new TextDecoder().decode(Buffer.from("é"))',
]);

const NUMBERS =
  'UInt8 Int8 UInt16LE UInt16BE Int16LE Int16BE UInt32LE UInt32BE Int32LE Int32BE FloatLE FloatBE DoubleLE DoubleBE'.split(
    ' ',
  );
same('Buffer: numbers', [
  ...NUMBERS.flatMap((name) => [
    `Buffer.from([0xff, 0x80, 0x01, 0xfe, 5, 6, 7, 8, 0xf9]).read${name}()`,
    `Buffer.from([0xff, 0x80, 0x01, 0xfe, 5, 6, 7, 8, 0xf9]).read${name}(1)`,
    `Buffer.alloc(2).read${name}(2)`,
    `Buffer.alloc(9).read${name}(1.5)`,
    `Buffer.alloc(9).read${name}("1")`,
    ...[0, 1, -1, 127.9, 128, 255, 256, -32769, 4294967295, 4294967296, '"12"', 'NaN'].map(
      (value) => `(() => { const b = Buffer.alloc(9); return [b.write${name}(${value}, 1), b]; })()`,
    ),
  ]),
  ...['BigUInt64LE', 'BigUint64BE', 'BigInt64LE', 'BigInt64BE'].flatMap((name) => [
    `Buffer.from([0xff, 0x80, 0x01, 0xfe, 5, 6, 7, 8]).read${name}()`,
    ...['1n', '-1n', '2n ** 63n', '2n ** 64n'].map(
      (value) => `(() => { const b = Buffer.alloc(8); return [b.write${name}(${value}), b]; })()`,
    ),
  ]),
  ...['UIntLE', 'UIntBE', 'IntLE', 'IntBE'].flatMap((name) =>
    [1, 2, 3, 4, 5, 6].flatMap((size) => [
      `Buffer.from([0xff, 0x80, 0x01, 0xfe, 5, 6, 7, 8]).read${name}(1, ${size})`,
      ...[0, -2, 100, 2 ** 40, 2 ** 48].map(
        (value) => `(() => { const b = Buffer.alloc(8); return [b.write${name}(${value}, 1, ${size}), b]; })()`,
      ),
    ]),
  ),
  'Buffer.alloc(8).readUIntLE(0, 7)',
  'Buffer.alloc(8).readUIntLE(0)',
]);

same('node:buffer', [
  'require("node:buffer").Buffer === Buffer',
  'require("buffer").kMaxLength > 2 ** 31',
  'require("buffer").isUtf8(Buffer.from([0xc3]))',
  'require("buffer").isAscii(Buffer.from("a"))',
  'require("buffer").transcode(Buffer.from("é€"), "utf8", "latin1")',
]);

const PATHS = [
  '',
  '.',
  '..',
  '/',
  '//',
  'a',
  'a/',
  '/a',
  '/a/',
  '//a',
  'a/b.c',
  '/a/b.c/',
  'a//b/../c',
  '../a',
  './a/.b',
  'a.',
  '.a.b',
  'a/..',
  '/a/b/c.tar.gz',
  'a/b/',
];
same('node:path', [
  ...PATHS.flatMap((path) =>
    ['normalize', 'isAbsolute', 'dirname', 'basename', 'extname', 'parse'].map(
      (name) => `require('path').${name}(${JSON.stringify(path)})`,
    ),
  ),
  ...PATHS.map((path) => `require('node:path').resolve('/base', ${JSON.stringify(path)}, 'x')`),
  ...PATHS.map((path) => `require('node:path').join('a', ${JSON.stringify(path)}, '../x')`),
  ...PATHS.map((path) => `require('node:path').relative('/a/b', '/a' + ${JSON.stringify(path)})`),
  ...PATHS.map((path) => `require('path').format(require('path').parse(${JSON.stringify(path)}))`),
  "require('path').basename('a.html', '.html')",
  "require('path').basename('.html', '.html')",
  "require('path').basename('a/b.html/', '.html')",
  "require('path').format({ name: 'a', ext: 'b', dir: '/c' })",
  "require('path').join(1)",
  "require('path').posix.sep",
]);

same('node:querystring', [
  ...['a=1&b=2', 'a=1&a=2&a', '=x&&y', 'a=%C3%A9+b', 'a=%zz', 'a=b=c', '__proto__=1', 'a=%FF'].map(
    (text) => `({ ...require('querystring').parse(${JSON.stringify(text)}) })`,
  ),
  "require('querystring').parse('a:1;b:2', ';', ':')",
  "Object.keys(require('querystring').parse('a&b&c', null, null, { maxKeys: 2 }))",
  "require('querystring').stringify({ a: [1, 'é'], b: true, c: null, d: {}, e: 2n, f: NaN, 'g h': '&=' })",
  "require('querystring').stringify({ a: 1, b: 2 }, ';', ':')",
  "require('querystring').stringify('a')",
  "require('querystring').escape('a b/é')",
  "require('querystring').escape('\\ud800')",
  "require('querystring').unescape('%zz%20')",
]);

same('node:url', [
  ...[
    'http://user:pass@Host.com:8080/p/a/t/h?query=string&a=b#hash',
    'http://host',
    'https://[::1]:80/x',
    '/a/b?c=d',
    '//host/path',
    'mailto:a@b.c',
    'a b?c d',
    '?x',
    '#y',
    '',
    'javascript:alert(1)',
    'HTTP://A/B',
    'file:///a/b',
  ].flatMap((text) => [
    `({ ...require('url').parse(${JSON.stringify(text)}) })`,
    `JSON.parse(JSON.stringify(require('url').parse(${JSON.stringify(text)}, true)))`,
    `require('url').format(require('url').parse(${JSON.stringify(text)}))`,
  ]),
  "require('url').parse(5)",
  "require('url').format({ protocol: 'https', host: 'a.b', pathname: 'x#?', query: { a: [1, 2], b: 'é' } })",
  "require('url').format(new URL('http://u:p@a.b/?x#y'), { auth: false, fragment: false })",
  ...[
    ['/one/two/three', 'four'],
    ['http://example.com/', '/one'],
    ['http://example.com/one', '/two'],
    ['a/b', '../c'],
  ].map(([from, to]) => `require('url').resolve('${from}', '${to}')`),
  "require('url').fileURLToPath('file:///a%20b')",
  "require('url').fileURLToPath('http://a')",
  "require('url').fileURLToPath('file:///a%2Fb')",
  "require('url').pathToFileURL('/a b#?%').href",
  "({ ...require('url').urlToHttpOptions(new URL('https://a:b@c.d:8/e?f#g')) })",
  "require('url').URL === URL",
]);

same('node:string_decoder', [
  ...['utf8', 'utf16le', 'base64', 'hex', 'latin1'].flatMap((name) =>
    ['e28283e282', 'f09f9880f09f', '6100620061', 'ffc3a9c3', 'e0a0', 'edb080', 'c3'].map(
      (hex) =>
        `(() => { const d = new (require('string_decoder').StringDecoder)('${name}'); const b = Buffer.from('${hex}', 'hex'); ` +
        'return [...Array.from(b, (_, at) => d.write(b.subarray(at, at + 1))), d.end()]; })()',
    ),
  ),
  "new (require('string_decoder').StringDecoder)('other')",
  "new (require('string_decoder').StringDecoder)('UCS2').encoding",
  "new (require('string_decoder').StringDecoder)().write(5)",
]);

same('node:events', [
  '(() => { const E = require("events"); const e = new E(); const l = []; e.on("a", (...v) => l.push(v)); e.once("a", () => l.push("once")); e.prependListener("a", () => l.push("first")); return [e.emit("a", 1, 2), e.emit("a"), e.emit("b"), l, e.listenerCount("a"), e.eventNames()]; })()',
  '(() => { const { EventEmitter } = require("node:events"); class A extends EventEmitter {} const a = new A(); const l = []; a.on("newListener", (t) => l.push(["new", t])); a.on("removeListener", (t) => l.push(["gone", t])); const f = () => {}; a.on("x", f); a.off("x", f); a.once("y", f); a.removeAllListeners(); return [l, a.eventNames()]; })()',
  '(() => { function Old() { require("events").call(this); } require("util").inherits(Old, require("events")); const o = new Old(); let got; o.on("a", function () { got = this === o; }); o.emit("a"); return [got, o instanceof require("events"), Old.super_ === require("events")]; })()',
  'new (require("events"))().emit("error", new RangeError("told"))',
  'new (require("events"))().emit("error", "text")',
  'new (require("events"))().emit("error", { a: 1 })',
  'new (require("events"))().on("a", 5)',
  '(async () => { const e = new (require("events"))(); setTimeout(() => e.emit("a", 1, 2), 0); return require("events").once(e, "a"); })()',
  '(async () => { const e = new (require("events"))(); setTimeout(() => e.emit("error", new Error("no")), 0); return require("events").once(e, "a"); })()',
  '(async () => { const e = new (require("events"))(); setTimeout(() => { e.emit("a", 1); e.emit("a", 2); }, 0); const l = []; for await (const v of require("events").on(e, "a")) { l.push(v); if (l.length === 2) break; } return [l, e.listenerCount("a")]; })()',
  '[require("events").defaultMaxListeners, new (require("events"))().getMaxListeners(), require("events").EventEmitter === require("events")]',
  '(() => { const e = new (require("events"))(); const f = () => {}; e.once("a", f); return [e.listeners("a")[0] === f, e.rawListeners("a")[0].listener === f]; })()',
]);

same('node:util', [
  'require("util").format("%s %d %i %f %j %% %o", "a", 1.5, 1.5, "2.5", { a: 1 }, "x")',
  'require("util").inspect({ a: { b: { c: { d: 1 } } } }, { depth: 0 })',
  'require("util").inspect({ a: { b: { c: { d: 1 } } } }, { depth: null })',
  'require("util").inspect({ a: { b: { c: { d: 1 } } } }, false, 1)',
  'require("util").inspect({ [require("util").inspect.custom]: (depth) => `custom ${depth}` })',
  'require("util").inspect({ a: { [require("util").inspect.custom]: () => ({ b: 1 }) } })',
  'require("util").inspect(new (class A { [require("util").inspect.custom]() { return this; } })())',
  'require("util").promisify((a, f) => f(null, a + 1))(1)',
  'require("util").promisify((a, f) => f(new Error("no")))(1)',
  'require("util").promisify(setTimeout)(1, "x")',
  'require("util").promisify(5)',
  'new Promise((r) => require("util").callbackify(async (a) => a + 1)(1, (...v) => r(v)))',
  'new Promise((r) => require("util").callbackify(() => Promise.reject(null))((e) => r([e.message, e.code])))',
  'require("util").stripVTControlCharacters("\\u001b[31mred\\u001b[0m")',
  '(() => { const u = require("util"); return [u.isArray([]), u.isRegExp(/a/), u.isDate(new Date()), u.isError(new Error()), u.isFunction(() => {}), u.isPrimitive(1), u.isBuffer(Buffer.alloc(1))]; })()',
  ...[
    'new Map()',
    'new Set()',
    'new Date(0)',
    '/a/',
    'new Uint8Array(1)',
    'new Float64Array(1)',
    'new ArrayBuffer(1)',
    'new DataView(new ArrayBuffer(1))',
    'Promise.resolve()',
    'new Error()',
    'Object(1)',
    'Object("a")',
    'Object(1n)',
    'async () => {}',
    'function* () {}',
    '(function* () {})()',
    'new WeakMap()',
    'new Map().keys()',
    '(function () { return arguments; })()',
    '{}',
    'null',
    '1',
  ].map(
    (value) =>
      `(() => { const v = (${value}); const t = require("util").types; return Object.keys(t).filter((k) => k.startsWith("is") && !/Key|External|Proxy/.test(k) && t[k](v)).sort(); })()`,
  ),
  'require("util/types").isDate(new Date())',
  'require("util").inherits(1, 2)',
  '(() => { const u = require("util"); return typeof new u.TextEncoder().encode("a"); })()',
]);

const PAIRS = [
  ['1', '"1"'],
  ['NaN', 'NaN'],
  ['0', '-0'],
  ['{ a: 1 }', '{ a: 1 }'],
  ['{ a: 1 }', '{ a: "1" }'],
  ['[1, 2]', '[1, 2]'],
  ['[1, , 2]', '[1, undefined, 2]'],
  ['new Map([[{ a: 1 }, 2]])', 'new Map([[{ a: 1 }, 2]])'],
  ['new Map([[1, 2]])', 'new Map([["1", 2]])'],
  ['new Set([{ a: 1 }, 1])', 'new Set([1, { a: 1 }])'],
  ['new Set([1])', 'new Set(["1"])'],
  ['new Date(0)', 'new Date(0)'],
  ['new Date(0)', 'new Date(1)'],
  ['/a/g', '/a/g'],
  ['/a/g', '/a/i'],
  ['new Error("a")', 'new Error("a")'],
  ['new Error("a")', 'new TypeError("a")'],
  ['Object(1)', 'Object(1)'],
  ['Object(1)', 'Object(2)'],
  ['Buffer.from("a")', 'Buffer.from("a")'],
  ['Buffer.from("a")', 'new Uint8Array([97])'],
  ['new Float32Array([0])', 'new Float32Array([-0])'],
  ['Object.create(null)', '{}'],
  ['[]', '{}'],
  ['null', 'undefined'],
  ['{ a: undefined }', '{}'],
  ['{ [Symbol.for("a")]: 1 }', '{}'],
  ['(() => { const a = {}; a.a = a; return a; })()', '(() => { const a = {}; a.a = a; return a; })()'],
  ['null', '{}'],
  ['"a"', '"a"'],
  ['() => 1', '() => 1'],
];
same(
  'equality',
  PAIRS.flatMap(([one, other]) => [
    `require("util").isDeepStrictEqual(${one}, ${other})`,
    ...[
      'equal',
      'notEqual',
      'strictEqual',
      'notStrictEqual',
      'deepEqual',
      'notDeepEqual',
      'deepStrictEqual',
      'notDeepStrictEqual',
    ].map(
      (name) =>
        `(() => { try { require("assert").${name}(${one}, ${other}); return "passes"; } catch (e) { return [e.name, e.code, e.operator, e.generatedMessage]; } })()`,
    ),
  ]),
);

same('node:assert', [
  'require("assert")(1)',
  'require("assert")(0, "told")',
  'require("assert").ok(0, new RangeError("own"))',
  'require("assert").ok()',
  'require("assert").equal(1, 2)',
  'require("assert").strictEqual(1, 2)',
  'require("assert").strictEqual(1, 2, "told")',
  'require("assert").notStrictEqual(1, 1)',
  'require("assert").fail()',
  'require("assert").fail("told")',
  'require("assert").throws(() => {})',
  'require("assert").throws(() => {}, TypeError, "told")',
  'require("assert").throws(() => { throw new TypeError("a"); }, TypeError)',
  'require("assert").throws(() => { throw new TypeError("a"); }, RangeError)',
  'require("assert").throws(() => { throw new TypeError("a"); }, /b/)',
  'require("assert").throws(() => { throw new TypeError("a"); }, { name: "TypeError", message: /a/ })',
  'require("assert").throws(() => { throw new TypeError("a"); }, (e) => e.message === "a")',
  'require("assert").throws(5)',
  'require("assert").rejects(Promise.resolve(1))',
  'require("assert").rejects(async () => { throw new Error("a"); }, /a/)',
  'require("assert").doesNotThrow(() => { throw new Error("a"); })',
  'require("assert").doesNotReject(Promise.resolve(1))',
  'require("assert").ifError(null)',
  'require("assert").ifError(new Error("a"))',
  'require("assert").match("abc", /b/)',
  'require("assert").match("abc", /x/)',
  'require("assert").doesNotMatch("abc", /b/)',
  'require("assert").strict.equal(1, "1")',
  'require("assert/strict").equal === require("assert").strictEqual',
  'new (require("assert").AssertionError)({ message: "m", actual: 1, expected: 2, operator: "x" }).toString()',
]);

same('node:crypto', [
  ...['md5', 'sha1', 'sha224', 'sha256', 'SHA384', 'sha512', 'RSA-SHA256'].flatMap((name) => [
    `require('crypto').createHash('${name}').update('a').update(Buffer.from([1])).digest('hex')`,
    `require('crypto').createHmac('${name}', 'key').update('text').digest('base64')`,
  ]),
  "require('node:crypto').createHash('sha256').digest()",
  "require('crypto').createHash('sha256').update('6162', 'hex').digest('base64url')",
  "(() => { const h = require('crypto').createHash('md5').update('a'); const c = h.copy(); h.update('b'); return [h.digest('hex'), c.digest('hex')]; })()",
  "(() => { const h = require('crypto').createHash('md5'); h.digest(); return h.digest(); })()",
  "(() => { const h = require('crypto').createHash('md5'); h.digest(); return h.update('a'); })()",
  "(() => { const h = require('crypto').createHmac('md5', 'k'); h.digest(); return h.digest('hex'); })()",
  "require('crypto').createHash('md5').update(5)",
  "require('crypto').createHmac('other', 'k')",
  "require('crypto').createHmac('md5', 5)",
  "require('crypto').createHash(5)",
  "require('crypto').randomBytes(5).length",
  "require('crypto').randomBytes(-1)",
  "new Promise((r) => require('crypto').randomBytes(5, (e, b) => r([e, b.length])))",
  "require('crypto').randomUUID().length",
  "(() => { const n = require('crypto').randomInt(3, 5); return n === 3 || n === 4; })()",
  "require('crypto').randomInt(5, 5)",
  "require('crypto').randomInt('a')",
  "require('crypto').randomFillSync(Buffer.alloc(3), 1).length",
  "[require('crypto').timingSafeEqual(Buffer.from('a'), Buffer.from('a')), require('crypto').timingSafeEqual(Buffer.from('a'), Buffer.from('b'))]",
  "require('crypto').timingSafeEqual(Buffer.from('a'), Buffer.from('ab'))",
  "require('crypto').timingSafeEqual('a', Buffer.from('ab'))",
  "require('crypto').pbkdf2Sync('password', 'salt', 10, 20, 'sha512')",
  "require('crypto').pbkdf2Sync('password', 'salt', 0, 20, 'sha512')",
  "require('crypto').pbkdf2Sync('password', 'salt', 1, 20, 'other')",
  "new Promise((r) => require('crypto').pbkdf2('p', 's', 1, 8, 'sha1', (e, k) => r([e, k.toString('hex')])))",
  "require('crypto').scryptSync('password', 'salt', 20, { N: 16 })",
  "require('crypto').scryptSync('password', 'salt', 20, { N: 15 })",
  "require('crypto').scryptSync('password', 'salt', 20, { N: 2 ** 20 })",
  "Buffer.from(require('crypto').hkdfSync('sha256', 'key', 'salt', 'info', 20))",
  "require('crypto').webcrypto.subtle.digest('SHA-1', Buffer.from('a')).then((d) => Buffer.from(d))",
]);

function resultOf(source, options) {
  const guest = new Guest(source, options);
  assert.equal(guest.error, undefined, JSON.stringify(guest.error));
  const reply = guest.call();
  assert.equal(reply.error, undefined, JSON.stringify(reply.error));
  return reply.result;
}

test('modules are imported by name and as a whole, also from bundles', () => {
  const source = (text) => `${text}\nexport default () => result;`;
  const mjs = { file: 'f.mjs' };
  assert.equal(
    resultOf(source('import path, { join } from "node:path"; const result = join("a", "b") + path.sep;'), mjs),
    'a/b/',
  );
  assert.equal(
    resultOf(
      source('import * as all from "buffer"; const result = all.Buffer.from("a").length + all.default.kMaxLength * 0;'),
      mjs,
    ),
    1,
  );
  assert.equal(
    resultOf(
      source('import Emitter, { once } from "events"; const result = [typeof Emitter, typeof once];'),
      mjs,
    ).join(),
    'function,function',
  );
  assert.equal(
    resultOf(
      'const { Buffer: B } = await import("node:buffer"); export default () => B.from("a").toString("hex");',
      mjs,
    ),
    '61',
  );
  // esbuild writes this of a CommonJS package in an ES module.
  const bundled =
    'var r = typeof require !== "undefined" ? require : undefined; const result = r("util").format("%s", 1);';
  assert.equal(resultOf(source(bundled), mjs), '1');
});

test('what is not there is refused with its name', () => {
  for (const name of ['fs', 'node:http', 'node:path/win32']) {
    const { error } = new Guest(`const x = require("${name}"); module.exports = () => 1;`);
    assert.match(error.message, new RegExp(`"${name}" is an API of Node.js`));
  }
});

test('what a script does not name costs it nothing', () => {
  assert.deepEqual(
    resultOf('module.exports = () => Object.getOwnPropertyNames(globalThis).filter((n) => /uffer$/.test(n));'),
    ['ArrayBuffer'],
  );
});
