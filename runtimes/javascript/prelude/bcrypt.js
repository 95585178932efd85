// names: 'bcrypt' 'bcryptjs'
// Hashes of passwords by the library in Rust, as the packages bcrypt and bcryptjs give them: those are C++, or JavaScript that is
// a hundred times slower here. Whoever bundles leaves the package out (`esbuild --external:bcrypt`).
(function (native, shared) {
  'use strict';

  const LETTERS = './ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789';
  const FORM = /^\$2[aby]\$(\d\d)\$([./A-Za-z0-9]{22})/;
  const SALT_BYTES = 16;
  const ROUNDS = 10;
  const PASSWORD_BYTES_MAX = 72;

  // Six bits a letter, the upper ones first; the last letter has what is left.
  function written(bytes) {
    let [text, bits, count] = ['', 0, 0];
    for (const byte of bytes) {
      bits = (bits << 8) | byte;
      for (count += 8; count >= 6; count -= 6) text += LETTERS[(bits >> (count - 6)) & 63];
      bits &= (1 << count) - 1;
    }
    return count > 0 ? text + LETTERS[(bits << (6 - count)) & 63] : text;
  }

  function read(text, length) {
    const bytes = new Uint8Array(length);
    let [at, bits, count] = [0, 0, 0];
    for (const letter of text) {
      bits = ((bits << 6) | LETTERS.indexOf(letter)) & 0x3fff;
      count += 6;
      if (count >= 8 && at < length) bytes[at++] = (bits >> (count -= 8)) & 255;
    }
    return bytes;
  }

  function genSaltSync(rounds = ROUNDS, minor = 'b') {
    if (typeof rounds !== 'number') throw new Error('rounds must be a number');
    if (minor !== 'a' && minor !== 'b') throw new Error('minor must be either "a" or "b"');
    const cost = Math.min(31, Math.max(4, Math.trunc(rounds) || ROUNDS));
    const salt = new Uint8Array(SALT_BYTES);
    shared.randomFill(salt);
    return `$2${minor}$${String(cost).padStart(2, '0')}$${written(salt)}`;
  }

  function hashSync(data, salt = ROUNDS) {
    if (data === undefined || data === null || salt === null) throw new Error('data and salt arguments required');
    const isData = typeof data === 'string' || data instanceof Uint8Array;
    if (!isData || (typeof salt !== 'string' && typeof salt !== 'number'))
      throw new Error('data must be a string or Buffer and salt must either be a salt string or a number of rounds');
    const whole = typeof salt === 'number' ? genSaltSync(salt) : salt;
    const [begin, cost, letters] = FORM.exec(whole) ?? [];
    const password = typeof data === 'string' ? native.encode(data) : data;
    const hash = begin && native.bcrypt(password, read(letters, SALT_BYTES), Number(cost));
    if (!hash) throw new Error('Invalid salt. Salt must be in the form of: $Vers$log2(NumRounds)$saltvalue');
    return begin + written(hash);
  }

  function compareSync(data, hash) {
    if (data === undefined || data === null || hash === undefined || hash === null)
      throw new Error('data and hash arguments required');
    if ((typeof data !== 'string' && !(data instanceof Uint8Array)) || typeof hash !== 'string')
      throw new Error('data must be a string or Buffer and hash must be a string');
    if (hash.length !== 60 || !FORM.test(hash)) return false;
    return native.timingSafeEqual(native.encode(hashSync(data, hash)), native.encode(hash));
  }

  function getRounds(hash) {
    if (hash === undefined || hash === null) throw new Error('hash argument required');
    if (typeof hash !== 'string') throw new Error('hash must be a string');
    const found = FORM.exec(hash);
    if (found === null) throw new Error('invalid hash');
    return Number(found[1]);
  }

  // Only bcryptjs has these two.
  function getSalt(hash) {
    if (typeof hash !== 'string') throw new Error('hash must be a string');
    if (hash.length !== 60) throw new Error('invalid hash');
    return hash.slice(0, 29);
  }

  function truncates(password) {
    if (typeof password !== 'string') throw new Error('password must be a string');
    return native.encode(password).length > PASSWORD_BYTES_MAX;
  }

  // With a callback at the end, or a promise.
  function later(run, name) {
    const own = (...given) => {
      const callback = typeof given.at(-1) === 'function' ? given.pop() : undefined;
      const result = new Promise((resolve) => resolve(run(...given)));
      if (callback === undefined) return result;
      result.then((value) => callback(null, value), callback);
      return undefined;
    };
    return Object.defineProperty(own, 'name', { value: name });
  }

  const all = {
    genSaltSync,
    genSalt: later(genSaltSync, 'genSalt'),
    hashSync,
    hash: later(hashSync, 'hash'),
    compareSync,
    compare: later(compareSync, 'compare'),
    getRounds,
  };
  shared.nodeModules.bcrypt = all;
  shared.nodeModules.bcryptjs = { ...all, getSalt, truncates };
});
