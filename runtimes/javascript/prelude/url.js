// URL and URLSearchParams (https://url.spec.whatwg.org/), with lower case and NFC in place of the full IDNA mapping of
// names.
(function (native, shared) {
  'use strict';

  const INSIDE = Symbol('made by the prelude');
  const DEFAULT_PORTS = { ftp: '', http: '80', https: '443', ws: '80', wss: '443', file: '' };
  DEFAULT_PORTS.ftp = '21';
  const isSpecial = (scheme) => Object.hasOwn(DEFAULT_PORTS, scheme);

  // === percent encoding ===

  const inSet = (characters, base) => (code) =>
    code > 0x7e || code < 0x20 || characters.includes(String.fromCharCode(code)) || (base?.(code) ?? false);
  const control = inSet('');
  const fragmentSet = inSet(' "<>`');
  const querySet = inSet(' "#<>');
  const specialQuerySet = inSet("'", querySet);
  const pathSet = inSet('?^`{}', querySet);
  const userSet = inSet('/:;=@[\\]|', pathSet);

  function encode(text, set) {
    let out = '';
    for (const byte of native.encode(text)) {
      out += set(byte) ? `%${byte.toString(16).toUpperCase().padStart(2, '0')}` : String.fromCharCode(byte);
    }
    return out;
  }

  function encodeIfNeeded(text, set) {
    for (let at = 0; at < text.length; at++) if (set(text.charCodeAt(at))) return encode(text, set);
    return text;
  }

  function decodeBytes(text) {
    const bytes = native.encode(text);
    let length = 0;
    for (let at = 0; at < bytes.length; at++) {
      const hex = bytes[at] === 0x25 ? String.fromCharCode(bytes[at + 1], bytes[at + 2]) : '';
      if (/^[0-9a-fA-F]{2}$/.test(hex)) {
        bytes[length++] = Number.parseInt(hex, 16);
        at += 2;
      } else {
        bytes[length++] = bytes[at];
      }
    }
    return bytes.subarray(0, length);
  }

  const decode = (text) =>
    text.indexOf('%') < 0 ? text.toWellFormed() : native.decode(decodeBytes(text), false, true)[0];

  // === hosts ===

  // Punycode (RFC 3492).
  function punycode(label) {
    const points = Array.from(label, (character) => character.codePointAt(0));
    let out = points
      .filter((point) => point < 0x80)
      .map((point) => String.fromCharCode(point))
      .join('');
    let handled = out.length;
    const basic = handled;
    if (basic > 0) out += '-';
    let [n, delta, bias] = [0x80, 0, 72];
    const digit = (value) => String.fromCharCode(value < 26 ? 97 + value : 22 + value);
    while (handled < points.length) {
      const next = Math.min(...points.filter((point) => point >= n));
      delta += (next - n) * (handled + 1);
      n = next;
      for (const point of points) {
        if (point < n) delta += 1;
        if (point !== n) continue;
        let rest = delta;
        for (let k = 36; ; k += 36) {
          const threshold = k <= bias ? 1 : k >= bias + 26 ? 26 : k - bias;
          if (rest < threshold) break;
          out += digit(threshold + ((rest - threshold) % (36 - threshold)));
          rest = Math.floor((rest - threshold) / (36 - threshold));
        }
        out += digit(rest);
        delta = handled === basic ? Math.floor(delta / 700) : delta >> 1;
        delta += Math.floor(delta / (handled + 1));
        let k = 0;
        for (; delta > 455; k += 36) delta = Math.floor(delta / 35);
        bias = k + Math.floor((36 * delta) / (delta + 38));
        delta = 0;
        handled += 1;
      }
      delta += 1;
      n += 1;
    }
    return out;
  }

  function domainToAscii(domain) {
    const labels = domain
      .normalize('NFKC')
      .toLowerCase()
      .normalize('NFC')
      .replace(/[\u3002\uff0e\uff61]/g, '.')
      .replace(/\u00ad/g, '')
      .split('.');
    return labels.map((label) => (/^[\x00-\x7f]*$/.test(label) ? label : `xn--${punycode(label)}`)).join('.');
  }

  // A number of an IPv4 address in any of its notations; NaN if it is none.
  function ipv4Number(text) {
    if (/^0[xX][0-9a-fA-F]*$/.test(text)) return text.length === 2 ? 0 : Number.parseInt(text.slice(2), 16);
    if (/^0[0-7]+$/.test(text)) return Number.parseInt(text, 8);
    return /^(?:0|[1-9][0-9]*)$/.test(text) ? Number(text) : NaN;
  }

  // The address in its usual form, the text itself if it is none, undefined if it is a wrong one.
  function parseIpv4(text) {
    const parts = text.split('.');
    if (parts.at(-1) === '' && parts.length > 1) parts.pop();
    const last = parts.at(-1);
    if (!/^[0-9]+$/.test(last) && !/^0[xX][0-9a-fA-F]*$/.test(last)) return text;
    const numbers = parts.map(ipv4Number);
    if (parts.length > 4 || numbers.some(Number.isNaN)) return undefined;
    if (numbers.slice(0, -1).some((number) => number > 255) || numbers.at(-1) >= 256 ** (5 - numbers.length))
      return undefined;
    const value = numbers.slice(0, -1).reduce((sum, number, at) => sum + number * 256 ** (3 - at), numbers.at(-1));
    return [24, 16, 8, 0].map((shift) => Math.floor(value / 2 ** shift) % 256).join('.');
  }

  function parseIpv6(text) {
    const halves = text.split('::');
    if (halves.length > 2) return undefined;
    const [front, back] = halves.map((half) => ipv6Pieces(half));
    if (front === undefined || (halves.length === 2 && back === undefined)) return undefined;
    const missing = 8 - front.length - (back?.length ?? 0);
    if (halves.length === 1 ? missing !== 0 : missing < 1) return undefined;
    return showIpv6([...front, ...new Array(missing).fill(0), ...(back ?? [])]);
  }

  function ipv6Pieces(text) {
    if (text === '') return [];
    const pieces = text.split(':');
    const last = pieces.at(-1);
    const numbers = [];
    if (last.includes('.')) {
      const bytes = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(last)?.slice(1);
      if (bytes === undefined || bytes.some((byte) => Number(byte) > 255 || /^0\d/.test(byte))) return undefined;
      pieces.pop();
      numbers.push(bytes[0] * 256 + Number(bytes[1]), bytes[2] * 256 + Number(bytes[3]));
    }
    if (!pieces.every((piece) => /^[0-9a-fA-F]{1,4}$/.test(piece))) return undefined;
    return [...pieces.map((piece) => Number.parseInt(piece, 16)), ...numbers];
  }

  // The longest run of zeros is left out.
  function showIpv6(pieces) {
    let [best, bestLength] = [-1, 1];
    for (let at = 0; at < 8; at++) {
      let length = 0;
      while (at + length < 8 && pieces[at + length] === 0) length++;
      if (length > bestLength) [best, bestLength] = [at, length];
    }
    const hex = pieces.map((piece) => piece.toString(16));
    if (best < 0) return hex.join(':');
    return `${hex.slice(0, best).join(':')}::${hex.slice(best + bestLength).join(':')}`;
  }

  // undefined if it is no host.
  function parseHost(text, special) {
    if (text.startsWith('[')) {
      const address = text.endsWith(']') ? parseIpv6(text.slice(1, -1)) : undefined;
      return address === undefined ? undefined : `[${address}]`;
    }
    if (!special) return /[\x00\t\n\r #/:<>?@[\\\]^|]/.test(text) ? undefined : encodeIfNeeded(text, control);
    const ascii = domainToAscii(decode(text));
    if (ascii === '' || /[\x00-\x20"#%/:<>?@[\\\]^`{|}\x7f]/.test(ascii.replaceAll(/["`{}]/g, ''))) return undefined;
    return parseIpv4(ascii);
  }

  // === parsing ===

  const isDriveLetter = (text) => /^[a-zA-Z][:|]$/.test(text);
  const startsWithDrive = (text) => /^[a-zA-Z][:|](?:$|[/\\?#])/.test(text);

  function shorten(path, scheme) {
    if (scheme === 'file' && path.length === 1 && /^[a-zA-Z]:$/.test(path[0])) return;
    path.pop();
  }

  // The segments of a path, put behind those that are there.
  function parsePath(text, scheme, before) {
    const path = before;
    const segments = text.split(isSpecial(scheme) ? /[/\\]/ : '/');
    segments.forEach((segment, at) => {
      const isLast = at === segments.length - 1;
      const plain = segment.replace(/%2e/gi, '.');
      if (plain === '..') {
        shorten(path, scheme);
        if (isLast) path.push('');
      } else if (plain === '.') {
        if (isLast) path.push('');
      } else {
        const drive = scheme === 'file' && path.length === 0 && isDriveLetter(segment);
        path.push(drive ? `${segment[0]}:` : encodeIfNeeded(segment, pathSet));
      }
    });
    return path;
  }

  // Everything behind the scheme, in pieces.
  function split(rest) {
    const [, before, query, fragment] = /^([^?#]*)(?:\?([^#]*))?(?:#([^]*))?$/.exec(rest);
    return { before, query: query ?? null, fragment: fragment ?? null };
  }

  function authority(record, text) {
    const at = text.lastIndexOf('@');
    if (at >= 0) {
      const [, user, password] = /^([^:]*)(?::([^]*))?$/.exec(text.slice(0, at));
      record.username = encodeIfNeeded(user, userSet);
      record.password = encodeIfNeeded(password ?? '', userSet);
    }
    const [, name, port] = /^((?:\[[^\]]*\]|[^:[])*)(?::([^]*))?$/.exec(text.slice(at + 1)) ?? [];
    if (name === undefined || (name === '' && (isSpecial(record.scheme) || at >= 0 || port !== undefined)))
      return false;
    record.host = name === '' ? '' : parseHost(name, isSpecial(record.scheme));
    return record.host !== undefined && setPort(record, port ?? '');
  }

  function setPort(record, text) {
    if (!/^[0-9]*$/.test(text) || Number(text) > 65535) return false;
    record.port = text === '' || String(Number(text)) === DEFAULT_PORTS[record.scheme] ? '' : String(Number(text));
    return true;
  }

  function finish(record, { query, fragment }) {
    if (query !== null) record.query = encodeIfNeeded(query, isSpecial(record.scheme) ? specialQuerySet : querySet);
    if (fragment !== null) record.fragment = encodeIfNeeded(fragment, fragmentSet);
    return record;
  }

  const blank = (scheme) => ({
    scheme,
    username: '',
    password: '',
    host: null,
    port: '',
    path: [],
    opaque: null,
    query: null,
    fragment: null,
  });

  // Begins with a host: what follows the slashes.
  function parseAuthority(record, rest) {
    const pieces = split(rest);
    const [, host, path] = isSpecial(record.scheme)
      ? /^([^/\\]*)([^]*)$/.exec(pieces.before)
      : /^([^/]*)([^]*)$/.exec(pieces.before);
    if (!authority(record, host)) return undefined;
    if (path !== '' || isSpecial(record.scheme)) record.path = parsePath(path.slice(1), record.scheme, []);
    return finish(record, pieces);
  }

  function parseFile(record, rest, base) {
    const text = rest.replaceAll('\\', '/');
    const pieces = split(rest);
    const path = pieces.before.replaceAll('\\', '/');
    record.host = '';
    if (path.startsWith('//')) {
      const [, host, tail] = /^\/\/([^/]*)([^]*)$/.exec(path);
      if (isDriveLetter(host)) {
        record.path = parsePath(path.slice(2), 'file', []);
      } else {
        const parsed = host === '' ? '' : parseHost(host, true);
        if (parsed === undefined) return undefined;
        record.host = parsed === 'localhost' ? '' : parsed;
        record.path = parsePath(tail.slice(1), 'file', []);
      }
    } else if (path.startsWith('/')) {
      if (base?.scheme === 'file') record.host = base.host;
      const drive =
        base?.scheme === 'file' && !startsWithDrive(path.slice(1)) && /^[a-zA-Z]:$/.test(base.path[0] ?? '')
          ? [base.path[0]]
          : [];
      record.path = parsePath(path.slice(1), 'file', drive);
    } else if (base?.scheme === 'file') {
      record.host = base.host;
      return relative(record, pieces, startsWithDrive(text) ? [] : [...base.path], base);
    } else {
      record.path = parsePath(path, 'file', []);
    }
    return finish(record, pieces);
  }

  // A path that begins where the base's ends.
  function relative(record, pieces, path, base) {
    if (pieces.before === '') {
      record.path = path;
      if (pieces.query === null) record.query = base.query;
    } else {
      shorten(path, record.scheme);
      record.path = parsePath(pieces.before, record.scheme, path);
    }
    return finish(record, pieces);
  }

  function parseRelative(rest, base) {
    const record = { ...blank(base.scheme), opaque: base.opaque };
    const pieces = split(rest);
    if (base.opaque !== null) {
      if (pieces.before !== '' || pieces.query !== null || pieces.fragment === null) return undefined;
      record.query = base.query;
      return finish(record, pieces);
    }
    if (base.scheme === 'file') return parseFile(record, rest, base);
    const slash = isSpecial(base.scheme) ? /^[/\\]/ : /^\//;
    if (slash.test(rest)) {
      if (slash.test(rest.slice(1)))
        return parseAuthority(record, isSpecial(base.scheme) ? rest.replace(/^[/\\]+/, '') : rest.slice(2));
      copyAuthority(record, base);
      record.path = parsePath(pieces.before.slice(1), base.scheme, []);
      return finish(record, pieces);
    }
    copyAuthority(record, base);
    return relative(record, pieces, [...base.path], base);
  }

  function copyAuthority(record, { username, password, host, port }) {
    Object.assign(record, { username, password, host, port });
  }

  // Line breaks and tabs count nowhere.
  function stripped(value) {
    return String(value).replace(/[\t\n\r]/g, '');
  }

  // The parts of a URL; undefined if the text is none.
  function parse(input, base) {
    const text = stripped(shared.trimmed(input, (code) => code <= 0x20));
    const found = /^([a-zA-Z][a-zA-Z0-9+.-]*):([^]*)$/.exec(text);
    if (found === null) return base === undefined ? undefined : parseRelative(text, base);
    const [scheme, rest] = [found[1].toLowerCase(), found[2]];
    const record = blank(scheme);
    if (scheme === 'file') return parseFile(record, rest, base);
    if (isSpecial(scheme)) {
      if (base?.scheme === scheme && !/^[/\\]{2}/.test(rest)) return parseRelative(rest, base);
      return parseAuthority(record, rest.replace(/^[/\\]*/, ''));
    }
    if (rest.startsWith('//')) return parseAuthority(record, rest.slice(2));
    const pieces = split(rest);
    if (rest.startsWith('/')) record.path = parsePath(pieces.before.slice(1), scheme, []);
    else record.opaque = encodeIfNeeded(pieces.before, control);
    return finish(record, pieces);
  }

  function pathOf(record) {
    if (record.opaque !== null) return record.opaque;
    return record.path.length === 0 ? '' : `/${record.path.join('/')}`;
  }

  function serialize(record, withFragment = true) {
    let text = `${record.scheme}:`;
    if (record.host !== null) {
      text += '//';
      if (record.username !== '' || record.password !== '')
        text += `${record.username}${record.password === '' ? '' : `:${record.password}`}@`;
      text += record.host + (record.port === '' ? '' : `:${record.port}`);
    } else if (record.opaque === null && record.path.length > 1 && record.path[0] === '') {
      text += '/.';
    }
    text += pathOf(record);
    if (record.query !== null) text += `?${record.query}`;
    return withFragment && record.fragment !== null ? `${text}#${record.fragment}` : text;
  }

  // === URLSearchParams ===

  const formEncode = (text) =>
    /^[a-zA-Z0-9*\-._]*$/.test(text)
      ? text
      : encode(text, (code) => !/[a-zA-Z0-9*\-._ ]/.test(String.fromCharCode(code))).replaceAll(' ', '+');

  function parseForm(text) {
    return text
      .split('&')
      .filter((part) => part !== '')
      .map((part) => {
        const [, name, value] = /^([^=]*)(?:=([^]*))?$/.exec(part.replaceAll('+', ' '));
        return [decode(name), decode(value ?? '')];
      });
  }

  function pairsOf(init) {
    if (typeof init === 'object' && init !== null && typeof init[Symbol.iterator] === 'function') {
      return Array.from(init, (pair) => {
        const both = Array.from(pair);
        if (both.length !== 2) throw new TypeError('each query pair must be an iterable [name, value] tuple');
        return both.map((each) => String(each).toWellFormed());
      });
    }
    if (typeof init === 'object' && init !== null)
      return Object.entries(init).map((pair) => pair.map((each) => String(each).toWellFormed()));
    return parseForm(String(init).replace(/^\?/, ''));
  }

  let attach;

  class URLSearchParams {
    #pairs;
    #changed = () => {};

    static {
      attach = (params, text, changed) => {
        params.#pairs = parseForm(text);
        params.#changed = changed;
      };
    }

    constructor(init = '') {
      this.#pairs = pairsOf(init ?? '');
    }

    get size() {
      return this.#pairs.length;
    }

    append(name, value) {
      this.#pairs.push([String(name).toWellFormed(), String(value).toWellFormed()]);
      this.#changed();
    }

    delete(name, value = undefined) {
      this.#pairs = this.#pairs.filter(
        (pair) => pair[0] !== String(name) || (value !== undefined && pair[1] !== String(value)),
      );
      this.#changed();
    }

    get(name) {
      return this.#pairs.find((pair) => pair[0] === String(name))?.[1] ?? null;
    }

    getAll(name) {
      return this.#pairs.filter((pair) => pair[0] === String(name)).map((pair) => pair[1]);
    }

    has(name, value = undefined) {
      return this.#pairs.some(
        (pair) => pair[0] === String(name) && (value === undefined || pair[1] === String(value)),
      );
    }

    set(name, value) {
      const first = this.#pairs.find((pair) => pair[0] === String(name));
      if (first === undefined) {
        this.append(name, value);
        return;
      }
      this.#pairs = this.#pairs.filter((pair) => pair === first || pair[0] !== String(name));
      first[1] = String(value).toWellFormed();
      this.#changed();
    }

    sort() {
      this.#pairs.sort((a, b) => (a[0] < b[0] ? -1 : a[0] > b[0] ? 1 : 0));
      this.#changed();
    }

    forEach(callback, self = undefined) {
      for (const [name, value] of this) callback.call(self, value, name, this);
    }

    *entries() {
      for (let at = 0; at < this.#pairs.length; at++) yield [...this.#pairs[at]];
    }

    *keys() {
      for (const [name] of this) yield name;
    }

    *values() {
      for (const [, value] of this) yield value;
    }

    [Symbol.iterator]() {
      return this.entries();
    }

    toString() {
      return this.#pairs.map((pair) => pair.map(formEncode).join('=')).join('&');
    }

    get [Symbol.toStringTag]() {
      return 'URLSearchParams';
    }
  }

  // === URL ===

  // The text of a URL if this is how it is written, or if no more than its path is missing; else undefined. Most URLs
  // that scripts have are written so, and need no parsing.
  function writtenOf(text) {
    const at = native.urlPath(text);
    return at === 0 ? undefined : at === text.length ? `${text}/` : text;
  }

  // That of a URL, or of a path, on a base that is written so.
  function joined(text, base) {
    const at = native.urlPath(base);
    if (at === 0) return undefined;
    if (text.charCodeAt(0) !== 0x2f) return writtenOf(text);
    return text.charCodeAt(1) === 0x2f ? undefined : writtenOf(base.slice(0, at) + text);
  }

  // The parts of what is written so.
  function recordOf(text) {
    const at = native.urlPath(text);
    const begin = text.charCodeAt(4) === 0x3a ? 7 : 8;
    const record = blank(text.slice(0, begin - 3));
    let end = text.indexOf('#', at);
    if (end < 0) end = text.length;
    else record.fragment = text.slice(end + 1);
    const query = text.indexOf('?', at);
    if (query >= 0 && query < end) {
      record.query = text.slice(query + 1, end);
      end = query;
    }
    record.path = text.slice(at + 1, end).split('/');
    const colon = text.indexOf(':', begin);
    const isPort = colon >= 0 && colon < at;
    record.host = text.slice(begin, isPort ? colon : at);
    if (isPort) record.port = text.slice(colon + 1, at);
    return record;
  }

  // A URL as it is written, or its record; undefined if it is none.
  function read(given, base) {
    const text = typeof given === 'string' ? given : String(given);
    if (base === undefined) return writtenOf(text) ?? parse(text.toWellFormed());
    const under = String(base);
    const written = joined(text, under);
    if (written !== undefined) return written;
    const from = parse(under.toWellFormed());
    return from === undefined ? undefined : parse(text.toWellFormed(), from);
  }

  function originOf(record) {
    const { scheme, opaque } = record;
    if (scheme === 'blob') return URL.parse(opaque)?.origin ?? 'null';
    return isSpecial(scheme) && scheme !== 'file' ? `${scheme}://${hostOf(record)}` : 'null';
  }

  const hostOf = ({ host, port }) => (host ?? '') + (port === '' ? '' : `:${port}`);
  const searchOf = ({ query }) => (query ? `?${query}` : '');
  const hashOf = ({ fragment }) => (fragment ? `#${fragment}` : '');
  const hasAuthority = ({ host, scheme }) => host !== null && host !== '' && scheme !== 'file';

  // The numbers of native.urlPart.
  const [ORIGIN, PROTOCOL, HOST, HOSTNAME, PORT, PATHNAME, SEARCH, HASH] = [0, 1, 2, 3, 4, 5, 6, 7];

  let known;
  let written;
  let changing;
  let refresh;

  class URL {
    // At least one of both is there.
    #href;
    #record;
    #params;

    static {
      // The record of a URL, to be read.
      known = (url) => (url.#record ??= recordOf(url.#href));

      // A part of what is written as it is; undefined if there is a record.
      written = (url, part) => (url.#record === undefined ? native.urlPart(url.#href, part) : undefined);

      changing = (url) => {
        const record = known(url);
        url.#href = undefined;
        return record;
      };

      refresh = (url) => {
        if (url.#params === undefined) return;
        const params = url.#params;
        attach(params, url.search.slice(1), () => {
          const text = params.toString();
          changing(url).query = text === '' ? null : text;
        });
      };
    }

    constructor(text, base = undefined) {
      const found = text === INSIDE ? base : read(text, base);
      if (typeof found === 'string') this.#href = found;
      else if (found !== undefined) this.#record = found;
      else {
        const error = new TypeError('Invalid URL');
        throw Object.assign(error, { code: 'ERR_INVALID_URL', input: String(text) });
      }
    }

    static canParse(text, base = undefined) {
      return read(text, base) !== undefined;
    }

    static parse(text, base = undefined) {
      const found = read(text, base);
      return found === undefined ? null : new URL(INSIDE, found);
    }

    get href() {
      return (this.#href ??= serialize(this.#record));
    }

    set href(value) {
      const url = new URL(value);
      this.#href = url.#href;
      this.#record = url.#record;
      refresh(this);
    }

    get origin() {
      return written(this, ORIGIN) ?? originOf(known(this));
    }

    get protocol() {
      return written(this, PROTOCOL) ?? `${known(this).scheme}:`;
    }

    set protocol(value) {
      const scheme = /^([a-zA-Z][a-zA-Z0-9+.-]*)(?::|$)/.exec(stripped(value))?.[1].toLowerCase();
      const record = changing(this);
      if (scheme === undefined || isSpecial(scheme) !== isSpecial(record.scheme) || scheme === 'file') return;
      record.scheme = scheme;
      if (DEFAULT_PORTS[scheme] === record.port) record.port = '';
    }

    get username() {
      return known(this).username;
    }

    set username(value) {
      if (hasAuthority(known(this))) changing(this).username = encodeIfNeeded(String(value), userSet);
    }

    get password() {
      return known(this).password;
    }

    set password(value) {
      if (hasAuthority(known(this))) changing(this).password = encodeIfNeeded(String(value), userSet);
    }

    get host() {
      return written(this, HOST) ?? hostOf(known(this));
    }

    set host(value) {
      const [, name, port] = /^((?:\[[^\]]*\]|[^:/\\?#])*)(?::([0-9]+))?/.exec(stripped(value));
      this.hostname = name;
      if (port !== undefined) setPort(changing(this), port);
    }

    get hostname() {
      return written(this, HOSTNAME) ?? known(this).host ?? '';
    }

    set hostname(value) {
      const record = changing(this);
      if (record.opaque !== null) return;
      const [name] = /^(?:\[[^\]]*\]|[^:/\\?#])*/.exec(stripped(value));
      if (name === '' && isSpecial(record.scheme)) return;
      const host = name === '' ? '' : parseHost(name, isSpecial(record.scheme));
      if (host !== undefined) record.host = host;
    }

    get port() {
      return written(this, PORT) ?? known(this).port;
    }

    set port(value) {
      if (hasAuthority(known(this))) setPort(changing(this), /^[0-9]*/.exec(stripped(value))[0]);
    }

    get pathname() {
      return written(this, PATHNAME) ?? pathOf(known(this));
    }

    set pathname(value) {
      const record = changing(this);
      if (record.opaque !== null) return;
      const path = encodeIfNeeded(stripped(value), (code) => code === 0x3f || code === 0x23);
      record.path = parsePath(path.replace(isSpecial(record.scheme) ? /^[/\\]/ : /^\//, ''), record.scheme, []);
    }

    get search() {
      return written(this, SEARCH) ?? searchOf(known(this));
    }

    set search(value) {
      const text = stripped(value).replace(/^\?/, '');
      const record = changing(this);
      record.query = text === '' ? null : encodeIfNeeded(text, isSpecial(record.scheme) ? specialQuerySet : querySet);
      record.query &&= record.query.replaceAll('#', '%23');
      refresh(this);
    }

    get searchParams() {
      if (this.#params === undefined) {
        this.#params = new URLSearchParams();
        refresh(this);
      }
      return this.#params;
    }

    get hash() {
      return written(this, HASH) ?? hashOf(known(this));
    }

    set hash(value) {
      const text = stripped(value).replace(/^#/, '');
      changing(this).fragment = text === '' ? null : encodeIfNeeded(text, fragmentSet);
    }

    toString() {
      return this.href;
    }

    toJSON() {
      return this.href;
    }

    get [Symbol.toStringTag]() {
      return 'URL';
    }
  }

  shared.define({ URL, URLSearchParams });
});
