// URLPattern by its standard (https://urlpattern.spec.whatwg.org/): Node.js 20 has none, so what is expected stands here.
'use strict';

const assert = require('node:assert/strict');
const { inspect } = require('node:util');
const { test } = require('node:test');

const { Guest } = require('./guest.js');

const COMPONENTS = ['protocol', 'username', 'password', 'hostname', 'port', 'pathname', 'search', 'hash'];
const guest = new Guest(`
  const components = ${JSON.stringify(COMPONENTS)};
  const told = (attempt) => { try { return attempt(); } catch (error) { return error.name; } };
  module.exports = (list) => list.map(({ pattern, inputs }) => told(() => {
    const made = new URLPattern(...pattern);
    const parts = components.map((name) => made[name]);
    const results = inputs.map((input) => {
      const found = made.exec(...input);
      if ((found !== null) !== made.test(...input)) return 'exec and test differ';
      if (found === null) return null;
      // What matches a wildcard by itself is left out.
      const groups = components.map((name) => [name, found[name].groups]).filter(([name]) => made[name] !== '*');
      return Object.fromEntries(groups.filter(([, of]) => Object.keys(of).length > 0));
    });
    return { parts, results, hasRegExpGroups: made.hasRegExpGroups };
  }));`);

// Of the components, those that are not `*`; of each input, the groups or null.
function check(name, pattern, expected, ...matches) {
  test(name, () => {
    const args = Array.isArray(pattern) ? pattern : [pattern];
    const inputs = matches.map(([input]) => (Array.isArray(input) ? input : [input]));
    const [found] = guest.call([{ pattern: args, inputs }]).result;
    if (typeof expected === 'string') {
      assert.equal(found, expected);
      return;
    }
    assert.notEqual(typeof found, 'string', found);
    const parts = found.parts.map((part, at) => [COMPONENTS[at], part]).filter(([, part]) => part !== '*');
    assert.deepEqual(Object.fromEntries(parts), expected);
    assert.deepEqual(
      found.results,
      matches.map(([, groups]) => groups),
      inspect(found.results, { depth: 5 }),
    );
  });
}

const http = { protocol: 'https', hostname: 'h.example', port: '' };

// === strings ===

check(
  'a string with names',
  'https://h.example/books/:id/:page',
  { ...http, pathname: '/books/:id/:page' },
  ['https://h.example/books/5/x?y#z', { pathname: { id: '5', page: 'x' } }],
  ['https://h.example/books/5/', null],
  ['https://h.example/books/5/x/y', null],
  ['http://h.example/books/5/x', null],
  ['https://h.example:8080/books/5/x', null],
  ['no URL', null],
);
check(
  'a string with a wildcard for each part',
  '*://*:*/*',
  { pathname: '/*' },
  ['ftp://a.example:99/x/y', { pathname: { 0: 'x/y' } }],
  ['https://a.example/', { pathname: { 0: '' } }],
);
check(
  'a string to its end',
  'http://user\\:pass@h.example:8080/a?b=:c#d',
  {
    protocol: 'http',
    username: 'user',
    password: 'pass',
    hostname: 'h.example',
    port: '8080',
    pathname: '/a',
    search: 'b=:c',
    hash: 'd',
  },
  ['http://user:pass@h.example:8080/a?b=1#d', { search: { c: '1' } }],
  ['http://h.example:8080/a?b=1#d', null],
  ['http://user:pass@h.example:8080/a?b=1#e', null],
);
check('the default port is none', 'https://h.example:443/', { ...http, pathname: '/' }, ['https://h.example/', {}]);
check(
  'a host without a path',
  'https://h.example',
  http,
  ['https://h.example/any?thing#here', {}],
  ['https://x.example/', null],
);
check('a search without a path', 'https://h.example?q', { ...http, pathname: '/', search: 'q' }, [
  'https://h.example/?q',
  {},
]);
check('a hash without more', 'https://h.example#q', { ...http, pathname: '/', search: '', hash: 'q' }, [
  'https://h.example/#q',
  {},
]);
check(
  'parts of the host',
  'http{s}?://{:tenant.}?h.example/*',
  { protocol: 'http{s}?', hostname: '{:tenant.}?h.example', port: '', pathname: '/*' },
  ['https://one.h.example/x', { hostname: { tenant: 'one' }, pathname: { 0: 'x' } }],
  ['http://h.example/', { hostname: {}, pathname: { 0: '' } }],
  ['http://a.b.h.example/', null],
);
check(
  'an address',
  'http://[\\:\\:1]:8080/',
  { protocol: 'http', hostname: '[::1]'.replaceAll(':', '\\:'), port: '8080', pathname: '/' },
  ['http://[::1]:8080/', {}],
);
check('no hierarchy', 'data\\:text/:kind', { protocol: 'data', hostname: '', port: '', pathname: 'text/:kind' }, [
  'data:text/plain',
  {
    pathname: { kind: 'plain' },
  },
]);
check('what follows a colon is a name', 'data:text', 'TypeError');
check(
  'a relative string with a base',
  ['/a/:b\\?c', 'https://h.example/x?y#z'],
  { ...http, pathname: '/a/:b', search: 'c' },
  ['https://h.example/a/1?c', { pathname: { b: '1' } }],
);
check('a path beside that of the base', ['b/:c', 'https://h.example/a/x?y'], { ...http, pathname: '/a/b/:c' }, [
  ['b/1', 'https://h.example/a/z'],
  { pathname: { c: '1' } },
]);
check(
  'a search with the path of the base',
  ['?a=:b', 'https://h.example/p*?y'],
  { ...http, pathname: '/p\\*', search: 'a=:b' },
  ['https://h.example/p*?a=1', { search: { b: '1' } }],
);
check('a relative string without a base', '/a', 'TypeError');
check('a base that is no URL', ['/a', 'no URL'], 'TypeError');

// === objects ===

check('an empty object matches everything', {}, {}, ['https://h.example/', {}], [{}, {}]);
check('nothing matches everything', [], {}, ['https://h.example/', {}]);
check(
  'a path alone',
  { pathname: '/a/:b' },
  { pathname: '/a/:b' },
  [{ pathname: '/a/x' }, { pathname: { b: 'x' } }],
  ['ftp://h/a/x', { pathname: { b: 'x' } }],
  [{ pathname: '/a' }, null],
  [['/a/x', 'https://h.example/'], { pathname: { b: 'x' } }],
);
check('marks at the ends', { protocol: 'https:', search: '?a', hash: '#b' }, { protocol: 'https', search: 'a', hash: 'b' }, [
  'https://h.example/?a#b',
  {},
]);
check('a base inside', { pathname: 'c', baseURL: 'https://h.example/a/b?d' }, { ...http, pathname: '/a/c' }, [
  'https://h.example/a/c',
  {},
]);
check('a base beside', [{ pathname: '/c' }, 'https://h.example/'], 'TypeError');
check('what is no part of a URL', { protocol: 'h t' }, 'TypeError');
check('a port that is none', { port: '80x80', protocol: 'http' }, { protocol: 'http', port: '80' });
check('a port too large', { port: '65536' }, 'TypeError');
check('a host with a port', { hostname: 'h.example:80' }, 'TypeError');
check(
  'an input as an object',
  { protocol: 'https', pathname: '/a' },
  { protocol: 'https', pathname: '/a' },
  [{ protocol: 'https', pathname: '/x/../a' }, {}],
  [{ protocol: 'https:', pathname: 'a', baseURL: 'https://h.example/x' }, {}],
  [{ protocol: 'h t', pathname: '/a' }, null],
  [{ protocol: 'https', pathname: '/b' }, null],
);

// === groups ===

check(
  'optional and repeated groups',
  { pathname: '/a/:b?' },
  { pathname: '/a/:b?' },
  [{ pathname: '/a' }, { pathname: {} }],
  [{ pathname: '/a/x' }, { pathname: { b: 'x' } }],
  [{ pathname: '/a/' }, null],
);
check(
  'one or more',
  { pathname: '/a/:b+' },
  { pathname: '/a/:b+' },
  [{ pathname: '/a/x/y' }, { pathname: { b: 'x/y' } }],
  [{ pathname: '/a' }, null],
);
check(
  'any number, with braces',
  { pathname: '/a{/:b-x}*' },
  { pathname: '/a{/:b-x}*' },
  [{ pathname: '/a' }, { pathname: {} }],
  [{ pathname: '/a/1-x/2-x' }, { pathname: { b: '1-x/2' } }],
);
check(
  'regular expressions',
  { pathname: '/:year(\\d{4})-:month(0[1-9]|1[0-2])' },
  { pathname: '/:year(\\d{4})-:month(0[1-9]|1[0-2])' },
  [{ pathname: '/2024-12' }, { pathname: { year: '2024', month: '12' } }],
  [{ pathname: '/2024-13' }, null],
);
check('marks outside of classes, which the flag v lets be', { pathname: '/([a-c]-[d-f]/x::y)(?:z)' }, 'TypeError');
check('a hyphen, a slash and two colons', { pathname: '/([a-c]-[d-f]/x::y)' }, { pathname: '/([a-c]-[d-f]/x::y)' }, [
  { pathname: '/b-e/x::y' },
  { pathname: { 0: 'b-e/x::y' } },
]);
check(
  'classes of the flag v',
  { pathname: '/([\\w--[0-9]]+)' },
  { pathname: '/([\\w--[0-9]]+)' },
  [{ pathname: '/ab' }, { pathname: { 0: 'ab' } }],
  [{ pathname: '/a1' }, null],
);
check('wildcards are numbered', { pathname: '/*/x/(.*)/:n' }, { pathname: '/*/x/*/:n' }, [
  { pathname: '/1/2/x/3/4' },
  { pathname: { 0: '1/2', 1: '3', n: '4' } },
]);
check('escapes', { pathname: '/\\:a\\*{b}' }, { pathname: '/\\:a\\*b' }, [{ pathname: '/:a*b' }, {}]);
check(
  'text is encoded as in URLs',
  { pathname: '/é/:n', hostname: 'BÜCHER.example' },
  { hostname: 'xn--bcher-kva.example', pathname: '/%C3%A9/:n' },
  ['https://bücher.example/é/x', { pathname: { n: 'x' } }],
);
check('names of other letters', { pathname: '/:ñ1' }, { pathname: '/:ñ1' }, [{ pathname: '/x' }, { pathname: { ñ1: 'x' } }]);
check('the same name twice', { pathname: '/:a/:a' }, 'TypeError');
check('a brace that is not closed', { pathname: '/{a' }, 'TypeError');
check('a parenthesis that is not closed', { pathname: '/(a' }, 'TypeError');
check('groups in groups that capture', { pathname: '/((a))' }, 'TypeError');
check('groups in groups that capture nothing', { pathname: '/((?:a|b)+)' }, { pathname: '/((?:a|b)+)' }, [
  { pathname: '/ab' },
  { pathname: { 0: 'ab' } },
]);
check('a backslash at the end', { pathname: '/a\\' }, 'TypeError');
check('no regular expression', { pathname: '/([)' }, 'TypeError');
check(
  'without regard to case',
  [{ pathname: '/Ab/:c', search: 'Q' }, { ignoreCase: true }],
  { pathname: '/Ab/:c', search: 'Q' },
  [{ pathname: '/aB/X', search: 'q' }, { pathname: { c: 'X' } }],
);
check(
  'with a base and without regard to case',
  ['/A', 'https://h.example', { ignoreCase: true }],
  { ...http, pathname: '/A' },
  ['https://h.example/a', {}],
);

// === the object ===

test('the result has the inputs and all components', () => {
  const { result } = new Guest(`module.exports = () => {
    const pattern = new URLPattern({ pathname: '/:a', hostname: '*.example' });
    const found = pattern.exec('x?y', 'https://u:p@h.example:81/');
    return [found, pattern.exec({ pathname: '/x', other: 1, hostname: 'h.example' }).inputs,
      new URLPattern('https://h/:a(\\\\d)').hasRegExpGroups, pattern.hasRegExpGroups,
      String(pattern), Object.keys(URLPattern.prototype).length];
  };`).call();
  const [found, inputs, ...rest] = result;
  assert.deepEqual(found, {
    inputs: ['x?y', 'https://u:p@h.example:81/'],
    protocol: { input: 'https', groups: { 0: 'https' } },
    username: { input: 'u', groups: { 0: 'u' } },
    password: { input: 'p', groups: { 0: 'p' } },
    hostname: { input: 'h.example', groups: { 0: 'h' } },
    port: { input: '81', groups: { 0: '81' } },
    pathname: { input: '/x', groups: { a: 'x' } },
    search: { input: 'y', groups: { 0: 'y' } },
    hash: { input: '', groups: { 0: '' } },
  });
  assert.deepEqual(inputs, [{ hostname: 'h.example', pathname: '/x' }]);
  assert.deepEqual(rest, [true, false, '[object URLPattern]', 11]);
});
