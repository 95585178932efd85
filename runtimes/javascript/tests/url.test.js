// URLs that are written as they are shown take a short way: both ways, and Node.js, say the same of thousands of them.
'use strict';

const assert = require('node:assert/strict');
const { test } = require('node:test');

const { Guest } = require('./guest.js');

// No "^" in paths: Node.js 20 leaves it as it is, and the standard encodes it since.
// A fixed sequence (Numerical Recipes' constants), so that a failure comes again.
let state = 1;
const below = (end) => {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
  return Math.floor((state / 2 ** 32) * end);
};
const one = (list) => list[below(list.length)];
const some = (list, most) => Array.from({ length: below(most + 1) }, () => one(list)).join('');

const HOSTS = 'a a.b example.org xn--bcher-kva.example 127.0.0.1 1.2.3.256 1.2.3 0.0.0.0 01.2.3.4 a.1 a.0x1 a-b_c.d localhost A.B [::1] a. .a ü.de'.split(' ');
const PORTS = ['', '', ':80', ':443', ':8080', ':0', ':080', ':65535', ':65536', ':'];
const PATH = 'a b / . .. %2e %41 % ; : @ | [ ] { } ` " < > \\ ~ - _ = & + , * ( ) $ ! \' é'.split(' ');
const QUERY = "a b = & ' \" < > # % ` { } | \\ ^ [ ] ? / é".split(' ');

function written() {
  const path = below(4) === 0 ? '' : `/${some(PATH, 6)}`;
  const query = below(2) === 0 ? '' : `?${some(QUERY, 4)}`;
  const fragment = below(3) === 0 ? `#${some(QUERY, 3)}` : '';
  return `${one(['http', 'https', 'http', 'ftp'])}://${one(HOSTS)}${one(PORTS)}${path}${query}${fragment}`;
}

const shown = (text, Type) => {
  const url = Type.parse(text);
  return url && [url.href, url.origin, url.host, url.port, url.pathname, url.search, url.hash];
};

// A base of another scheme changes nothing, but that the whole parser reads the text.
test('both ways say the same, whatever is set afterwards', () => {
  const SET = [
    (url) => (url.port = '81'),
    (url) => (url.search = '?x=1&y'),
    (url) => (url.hash = ''),
    (url) => (url.pathname = '/a/../b c'),
    (url) => (url.hostname = 'other.example'),
    (url) => (url.host = 'h:8080'),
    (url) => (url.protocol = 'https'),
    (url) => (url.username = 'me'),
    (url) => url.searchParams.append('k', 'é &'),
    (url) => url.searchParams.sort(),
    (url) => (url.href = 'http://last.example/p?q#f'),
  ];
  const all = (texts, types, set) =>
    texts.map((text, at) =>
      types.map((make) => {
        const url = make(text);
        if (url === null) return null;
        const before = [url.href, url.pathname, [...url.searchParams]];
        set[at % set.length](url);
        const parts = [url.href, url.origin, url.username, url.host, url.port, url.pathname, url.search, url.hash];
        return [before, parts, [...url.searchParams], JSON.stringify(url)];
      }),
    );
  const MAKE = "[(text) => URL.parse(text), (text) => URL.parse(text, 'ftp://base.example/x')]";
  const texts = Array.from({ length: 2000 }, written).filter((text) => !text.startsWith('ftp:'));
  const guest = new Guest(`const all = ${all}; module.exports = (texts) => all(texts, ${MAKE}, [${SET.join()}]);`);
  const { result, error } = guest.call(texts);
  assert.equal(error, undefined, JSON.stringify(error));
  let plain = 0;
  texts.forEach((text, at) => {
    assert.deepEqual(result[at][0], result[at][1], text);
    if (result[at][0]?.[0][0] === text) plain++;
  });
  assert.ok(plain > texts.length / 20, `only ${plain} of ${texts.length} are as they are shown`);
});

test('paths on a base are what they are in Node.js', () => {
  const bases = ['http://a.b', 'https://a.b:8443/c/d?e#f', 'http://127.0.0.1/x/', 'HTTP://A.b/', 'http://a.b:80', 'nothing'];
  const paths = ['/', '/p', '//h/p', '/../p', '/p/./q', '/p?x y', '/p#', 'p', '', '?q', '#f', '/\\h', '/é', 'https://o.example/', 'http:p', ' /p'];
  const all = (bases, paths) =>
    bases.map((base) =>
      paths.map((path) => {
        try {
          return new URL(path, base).href;
        } catch (error) {
          return [error.name, error.message, error.code, error.input];
        }
      }),
    );
  const { result, error } = new Guest(`const all = ${all}; module.exports = ([bases, paths]) => all(bases, paths);`).call([bases, paths]);
  assert.equal(error, undefined, JSON.stringify(error));
  assert.deepEqual(result, all(bases, paths));
});

test('URLs are what they are in Node.js', () => {
  const texts = Array.from({ length: 6000 }, written);
  const guest = new Guest(`const shown = ${shown}; module.exports = (texts) => texts.map((text) => shown(text, URL))`);
  const { result, error } = guest.call(texts);
  assert.equal(error, undefined, JSON.stringify(error));
  // Not canParse: in Node.js 20, once it is optimised, it refuses Latin-1 names that are parsed all the same.
  const parse = (text) => {
    try {
      return new URL(text);
    } catch {
      return null;
    }
  };
  texts.forEach((text, at) => assert.deepEqual(result[at], shown(text, { parse }), text));
  assert.ok(result.filter(Boolean).length > texts.length / 3, 'few of them are URLs');
});
