'use strict';

const assert = require('node:assert/strict');
const test = require('node:test');

const { Guest } = require('./guest.js');

// Published with the first implementations in Java.
const KNOWN = [
  ['', '$2a$06$DCq7YPn5Rq63x1Lad4cll.TV4S6ytwfsfvkgY8jIucDrjc8deX1s.'],
  ['a', '$2a$06$m0CrhHm10qJ3lXRY.5zDGO3rS2KdeeWLuGmsfGlMfOxih58VYVfxe'],
  ['abcdefghijklmnopqrstuvwxyz', '$2a$08$aTsUwsyowQuzRrDqFflhgekJ8d9/7Z3GV3UcgvzQW3J5zMyrTvlz.'],
];

function resultOf(source, params) {
  const guest = new Guest(source);
  assert.equal(guest.error, undefined, JSON.stringify(guest.error));
  const { result, error } = guest.call(params);
  assert.equal(error, undefined, JSON.stringify(error));
  return result;
}

test('known hashes are found again', () => {
  const source = `import bcrypt from 'bcrypt';
    export default ({ known }) => known.map(([password, hash]) => [
      bcrypt.hashSync(password, hash.slice(0, 29)), bcrypt.compareSync(password, hash), bcrypt.compareSync(password + 'x', hash),
      bcrypt.getRounds(hash),
    ]);`;
  const expected = KNOWN.map(([, hash]) => [hash, true, false, Number(hash.slice(4, 6))]);
  assert.deepEqual(resultOf(source, { known: KNOWN }), expected);
});

test('hashes are made with promises and callbacks', () => {
  const source = `const bcrypt = require('bcryptjs');
    const called = (run) => new Promise((resolve, reject) => run((error, value) => (error ? reject(error) : resolve(value))));
    module.exports = async () => {
      const salt = await bcrypt.genSalt(4);
      const hash = await bcrypt.hash('größer', salt);
      const other = await called((done) => bcrypt.hash(new TextEncoder().encode('größer'), 4, done));
      return [salt.length, hash.length, hash.startsWith(salt), hash === other, await bcrypt.compare('größer', hash),
        await called((done) => bcrypt.compare('größer', other, done)), await bcrypt.compare('x', other)];
    };`;
  assert.deepEqual(resultOf(source), [29, 60, true, false, true, true, false]);
});

test('only the first 72 bytes count', () => {
  const source = `const bcrypt = require('bcrypt');
    module.exports = () => {
      const hash = bcrypt.hashSync('a'.repeat(72) + 'b', 4);
      return [bcrypt.compareSync('a'.repeat(72), hash), bcrypt.compareSync('a'.repeat(71), hash)];
    };`;
  assert.deepEqual(resultOf(source), [true, false]);
});

test('bcryptjs has two functions more', () => {
  const source = `const bcrypt = require('bcryptjs');
    const failure = (run) => { try { return run(); } catch (e) { return e.message; } };
    module.exports = ({ hash }) => [bcrypt.getSalt(hash), failure(() => bcrypt.getSalt('short')), failure(() => bcrypt.getSalt(1)),
      bcrypt.truncates('ä'.repeat(36)), bcrypt.truncates('ä'.repeat(36) + 'x'), typeof require('bcrypt').getSalt];`;
  const [, hash] = KNOWN[1];
  assert.deepEqual(resultOf(source, { hash }), [hash.slice(0, 29), 'invalid hash', 'hash must be a string', false, true, 'undefined']);
});

test('what is wrong is refused, or compares as different', () => {
  const source = `const bcrypt = require('bcrypt');
    const failure = (run) => { try { return run(); } catch (e) { return e.message; } };
    module.exports = () => [
      failure(() => bcrypt.hashSync()), failure(() => bcrypt.hashSync(1, 4)), failure(() => bcrypt.hashSync('a', '$2b$04$short')),
      failure(() => bcrypt.hashSync('a', '$2b$99$' + '.'.repeat(22))), bcrypt.compareSync('a', 'nothing'),
      failure(() => bcrypt.getRounds('nothing')),
    ];`;
  const salt = 'Invalid salt. Salt must be in the form of: $Vers$log2(NumRounds)$saltvalue';
  assert.deepEqual(resultOf(source), [
    'data and salt arguments required',
    'data must be a string or Buffer and salt must either be a salt string or a number of rounds',
    salt,
    salt,
    false,
    'invalid hash',
  ]);
});
