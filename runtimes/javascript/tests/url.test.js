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
