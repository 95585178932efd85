// names: node:querystring 'querystring'
// node:querystring (https://nodejs.org/docs/latest-v20.x/api/querystring.html).
(function (native, shared) {
  'use strict';

  const KEYS_MAX = 1000;

  function escape(text) {
    const whole = typeof text === 'string' ? text : typeof text === 'object' ? String(text) : `${text}`;
    if (!whole.isWellFormed()) throw Object.assign(new URIError('URI malformed'), { code: 'ERR_INVALID_URI' });
    return encodeURIComponent(whole);
  }

  function unescape(text) {
    try {
      return decodeURIComponent(text);
    } catch {
      return unescapeBuffer(text, (bytes) => native.decode(bytes, false, true)[0]);
    }
  }

  function unescapeBuffer(text, made = (bytes) => shared.bufferOf?.(bytes) ?? bytes) {
    const bytes = [];
    for (let at = 0; at < text.length; at++) {
      const code = /^%[\da-f]{2}/i.test(text.slice(at, at + 3));
      bytes.push(code ? Number.parseInt(text.slice(at + 1, at + 3), 16) : text.charCodeAt(at));
      if (code) at += 2;
    }
    return made(Uint8Array.from(bytes));
  }

  function textOf(value, encode) {
    if (typeof value === 'string') return encode(value);
    if (typeof value === 'number' && Number.isFinite(value)) return encode(`${value}`);
    return typeof value === 'bigint' || typeof value === 'boolean' ? encode(`${value}`) : '';
  }

  function stringify(values, separator, equals, options) {
    if (values === null || typeof values !== 'object') return '';
    const encode = typeof options?.encodeURIComponent === 'function' ? options.encodeURIComponent : module.escape;
    const pairs = Object.entries(values).flatMap(([key, value]) =>
      (Array.isArray(value) ? value : [value]).map(
        (each) => `${textOf(key, encode)}${equals || '='}${textOf(each, encode)}`,
      ),
    );
    return pairs.join(separator || '&');
  }

  function parse(text, separator, equals, options) {
    const values = Object.create(null);
    if (typeof text !== 'string' || text.length === 0) return values;
    const decode = typeof options?.decodeURIComponent === 'function' ? options.decodeURIComponent : module.unescape;
    const decoded = (part) => {
      const whole = part.replaceAll('+', ' ');
      try {
        return /%/.test(whole) || decode !== unescape ? decode(whole) : whole;
      } catch {
        return unescape(whole);
      }
    };
    const keysMax = typeof options?.maxKeys === 'number' ? options.maxKeys : KEYS_MAX;
    const pairs = text.split(`${separator || '&'}`).filter((pair) => pair !== '');
    for (const pair of keysMax > 0 ? pairs.slice(0, keysMax) : pairs) {
      const at = pair.indexOf(`${equals || '='}`);
      const key = decoded(at < 0 ? pair : pair.slice(0, at));
      const value = at < 0 ? '' : decoded(pair.slice(at + `${equals || '='}`.length));
      if (!(key in values)) values[key] = value;
      else if (Array.isArray(values[key])) values[key].push(value);
      else values[key] = [values[key], value];
    }
    return values;
  }

  const module = { unescapeBuffer, unescape, escape, stringify, encode: stringify, parse, decode: parse };
  shared.nodeModules.querystring = module;
});
