// names: fetch Headers Request Response
// fetch, Headers, Request and Response (https://fetch.spec.whatwg.org/). Bodies are there as a whole, and are streams
// where streams.js is loaded; blob.js and formdata.js, if they are, come before this file.
(function (native, shared) {
  'use strict';

  const UNPACKED_BYTES_MAX = 64 * 1024 * 1024;
  const isEnumerable = Object.prototype.propertyIsEnumerable;
  const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
  const REASON = /^[\t\x20-\x7e\x80-\xff]*$/;
  const REDIRECTS = [301, 302, 303, 307, 308];
  const REDIRECTS_MAX = 20;
  const WITHOUT_BODY = [101, 103, 204, 205, 304];
  const FORBIDDEN_METHODS = ['CONNECT', 'TRACE', 'TRACK'];
  const NORMALIZED_METHODS = ['DELETE', 'GET', 'HEAD', 'OPTIONS', 'POST', 'PUT'];
  // What describes a body, and what is meant for one origin.
  const OF_BODY = ['content-encoding', 'content-language', 'content-location', 'content-type', 'content-length'];
  const OF_ORIGIN = ['authorization', 'cookie', 'proxy-authorization'];
  const TEXT_TYPE = 'text/plain;charset=UTF-8';
  const NO_PAIRS = [];
  const JSON_PAIRS = [['content-type', 'application/json']];
  const TEXT_PAIRS = [['content-type', TEXT_TYPE]];
  const FORM_TYPE = 'application/x-www-form-urlencoded;charset=UTF-8';
  const INSIDE = Symbol('made by fetch');
  const NOTHING = new Uint8Array(0);
  const { AbortController, URL, URLSearchParams } = globalThis;
  const { parse, stringify } = JSON;
  const isObject = (value) => typeof value === 'object' && value !== null;

  // === headers ===

  function checkedName(method, name) {
    const text = typeof name === 'string' ? name : String(name);
    const lower = native.headerName(text);
    if (lower === undefined) throw new TypeError(`Headers.${method}: ${stringify(text)} is an invalid header name.`);
    return lower;
  }

  function checkedValue(method, value) {
    const given = typeof value === 'string' ? value : String(value);
    const plain = native.headerValue(given);
    if (plain !== undefined) return plain;
    const text = shared.trimmed(given, shared.isHttpSpace);
    const at = text.search(/[^\0-\xff]/);
    if (at >= 0) {
      const told = `the character at index ${at} has a value of ${text.charCodeAt(at)} which is greater than 255.`;
      throw new TypeError(`Cannot convert argument to a ByteString because ${told}`);
    }
    if (/[\0\r\n]/.test(text)) throw new TypeError(`Headers.${method}: ${stringify(text)} is an invalid header value.`);
    return text;
  }

  // Headers are kept in a Map by their names in lower case: a value, or a list of them in the order in which they were
  // added.
  function addTo(values, name, value) {
    const key = checkedName('append', name);
    const text = checkedValue('append', value);
    addPlain(values, key, text);
  }

  function addPlain(values, key, text) {
    const there = values.get(key);
    if (there === undefined) values.set(key, text);
    else if (typeof there === 'string') values.set(key, [there, text]);
    else there.push(text);
  }

  const textOfValues = (value) => (typeof value === 'string' ? value : value.join(', '));
  const listOfValues = (value) => (typeof value === 'string' ? [value] : value.slice());

  // What is said by an object, a Headers or a list of pairs.
  function collected(init) {
    const values = new Map();
    if (init === null || (typeof init !== 'object' && typeof init !== 'function'))
      throw new TypeError('headers are an object, a Headers or a list of pairs');
    const iterate = init[Symbol.iterator];
    if (iterate === undefined) {
      const names = Reflect.ownKeys(init);
      for (let at = 0; at < names.length; at++) {
        const name = names[at];
        if (!isEnumerable.call(init, name)) continue;
        if (typeof name === 'symbol') throw new TypeError('a symbol is an invalid header name');
        const value = init[name];
        const key = native.headerName(name);
        const text = typeof value === 'string' ? native.headerValue(value) : undefined;
        if (key === undefined || text === undefined) addTo(values, name, value);
        else addPlain(values, key, text);
      }
      return values;
    }
    const known = iterate === iterateHeaders ? valuesIn(init) : undefined;
    if (known !== undefined) {
      for (const [name, value] of known)
        values.set(name, name === 'set-cookie' && typeof value !== 'string' ? value.slice() : textOfValues(value));
      return values;
    }
    for (const each of init) {
      const pair = [...each];
      if (pair.length !== 2)
        throw new TypeError(`Headers constructor: expected name/value pair to be length 2, found ${pair.length}.`);
      addTo(values, pair[0], pair[1]);
    }
    return values;
  }

  // Pairs, sorted by name, values of one name together; but each cookie is one.
  function sortedPairs(values) {
    const pairs = [];
    const names = [...values.keys()];
    if (names.length > 1) names.sort();
    for (let at = 0; at < names.length; at++) {
      const name = names[at];
      const value = values.get(name);
      if (typeof value === 'string') pairs.push([name, value]);
      else if (name !== 'set-cookie') pairs.push([name, value.join(', ')]);
      else for (let n = 0; n < value.length; n++) pairs.push([name, value[n]]);
    }
    return pairs;
  }

  let valuesIn;
  let headersWith;
  let changing;
  let pairsOf;
  class Headers {
    #values;
    #sorted;
    #isFixed = false;

    static {
      valuesIn = (headers) => (#values in headers ? headers.#values : undefined);

      headersWith = (values, isFixed) => {
        const headers = new Headers(INSIDE);
        headers.#values = values;
        headers.#isFixed = isFixed;
        return headers;
      };

      changing = (headers) => {
        if (headers.#isFixed) throw new TypeError('immutable');
        headers.#sorted = undefined;
        return headers.#values;
      };

      pairsOf = (headers) => (headers.#sorted ??= sortedPairs(headers.#values));
    }

    constructor(init = undefined) {
      if (init !== INSIDE) this.#values = init === undefined ? new Map() : collected(init);
    }

    append(name, value) {
      const key = checkedName('append', name);
      const text = checkedValue('append', value);
      addPlain(changing(this), key, text);
    }

    delete(name) {
      const key = checkedName('delete', name);
      changing(this).delete(key);
    }

    get(name) {
      const value = this.#values.get(checkedName('get', name));
      return value === undefined ? null : textOfValues(value);
    }

    getSetCookie() {
      const value = this.#values.get('set-cookie');
      return value === undefined ? [] : listOfValues(value);
    }

    has(name) {
      return this.#values.has(checkedName('has', name));
    }

    set(name, value) {
      const key = checkedName('set', name);
      const text = checkedValue('set', value);
      changing(this).set(key, text);
    }

    forEach(callback, self) {
      for (let at = 0; at < pairsOf(this).length; at++) {
        const pair = pairsOf(this)[at];
        callback.call(self, pair[1], pair[0], this);
      }
    }

    // What is added meanwhile is seen.
    *entries() {
      for (let at = 0; at < pairsOf(this).length; at++) yield [...pairsOf(this)[at]];
    }

    *keys() {
      for (let at = 0; at < pairsOf(this).length; at++) yield pairsOf(this)[at][0];
    }

    *values() {
      for (let at = 0; at < pairsOf(this).length; at++) yield pairsOf(this)[at][1];
    }

    get [Symbol.toStringTag]() {
      return 'Headers';
    }

    get [shared.shownParts]() {
      return pairsOf(this);
    }
  }
  const iterateHeaders = Headers.prototype.entries;
  Object.defineProperty(Headers.prototype, Symbol.iterator, { value: iterateHeaders, configurable: true, writable: true });

  // The headers of a request or a response are made when somebody looks at them, from a list of pairs or its JSON.
  function pairsIn(parts) {
    if (typeof parts.pairs === 'string') parts.pairs = parse(parts.pairs);
    return parts.pairs;
  }

  function valuesOf(parts) {
    if (parts.values === undefined) {
      const pairs = pairsIn(parts);
      parts.values = new Map();
      for (let at = 0; at < pairs.length; at++) addTo(parts.values, pairs[at][0], pairs[at][1]);
    }
    return parts.values;
  }

  const headersOf = (parts) => (parts.headers ??= headersWith(valuesOf(parts), parts.isFixed));

  // === bodies ===

  // What messages have as their bodies: `bytes`, or `read`, which gives a promise of them; `codings`, by which the bytes
  // are packed; `isShared`, where others have the same bytes; `stream`, once somebody has looked at it, which is made of
  // the bytes if it `isMade`; whether a stream `isStreamed`, which can be sent once; and whether all `isUsed`.
  const sources = new WeakMap();

  const isRead = ({ isUsed, stream }) =>
    isUsed === true || (stream !== undefined && shared.isDisturbed?.(stream) === true);
  const isSpent = (source) =>
    source.isUsed === true || (source.stream !== undefined && (isRead(source) || source.stream.locked === true));

  function unpacked(bytes, coding) {
    let out = native.inflate(coding, bytes, UNPACKED_BYTES_MAX);
    // Some servers mean the format without a head.
    if (out === undefined && coding === 'deflate') out = native.inflate('deflate-raw', bytes, UNPACKED_BYTES_MAX);
    if (isObject(out)) return out;
    const why = out === null ? 'is too long when it is unpacked' : `is not in the format ${coding}`;
    throw new TypeError('terminated', { cause: new Error(`the body ${why}`) });
  }

  // The bytes of a source, or a promise of them; with `own` they are the caller's.
  function give(source, own) {
    source.isUsed = true;
    const { bytes, codings } = source;
    if (bytes === undefined) return source.read().then((out) => (own && source.isShared ? out.slice() : out));
    if (codings !== undefined && codings.length > 0 && bytes.length > 0) return codings.reduceRight(unpacked, bytes);
    return own && source.isShared ? bytes.slice() : bytes;
  }

  async function collect(parts) {
    const whole = [];
    for await (const part of parts) {
      if (!(part instanceof Uint8Array)) throw new TypeError('Received non-Uint8Array chunk');
      whole.push(part);
    }
    const bytes = new Uint8Array(whole.reduce((sum, { length }) => sum + length, 0));
    let at = 0;
    for (const part of whole) {
      bytes.set(part, at);
      at += part.length;
    }
    return bytes;
  }

  async function* chunksOf(iterable) {
    for await (const part of iterable)
      yield ArrayBuffer.isView(part) || part instanceof ArrayBuffer
        ? shared.bytesOf(part)
        : native.encode(String(part));
  }

  // Of a promise that more than one can ask for.
  function once(run) {
    let made;
    return () => (made ??= run());
  }

  // Stands for a stream where none of what only streams can do is named: it can be handed on, looped over, cancelled.
  const WholeBody = class ReadableStream {
    #source;

    constructor(source) {
      this.#source = source;
    }

    get locked() {
      return this.#source.isUsed === true;
    }

    async cancel() {
      this.#source.isUsed = true;
    }

    async *values() {
      if (this.#source.isUsed) return;
      const bytes = await give(this.#source, true);
      if (bytes.length > 0) yield bytes;
    }

    [Symbol.asyncIterator]() {
      return this.values();
    }

    get [Symbol.toStringTag]() {
      return 'ReadableStream';
    }

    get [shared.shownParts]() {
      return [
        ['locked', this.locked],
        ['state', this.locked ? 'closed' : 'readable'],
        ['supportsBYOB', true],
      ];
    }
  };

  function streamOf(source) {
    if (source.stream === undefined) {
      source.stream = shared.streamOf?.(() => give(source, true)) ?? new WholeBody(source);
      source.isMade = true;
      sources.set(source.stream, source);
      if (source.isUsed) shared.spend?.(source.stream);
    }
    return source.stream;
  }

  // The source that a value makes as a body, and the type that it has by itself; what is no body is a text, as
  // everywhere on the Web.
  function sourceAndType(body) {
    if (typeof body === 'string') return [{ bytes: native.encode(body) }, TEXT_TYPE];
    const known = sources.get(body);
    if (known !== undefined || shared.isStream?.(body)) {
      const source = known ?? { stream: body, read: () => collect(body) };
      if (isSpent(source)) throw new TypeError('Response body object should not be disturbed or locked');
      sources.set(body, source);
      source.isStreamed = true;
      return [source, null];
    }
    if (body instanceof URLSearchParams) return [{ bytes: native.encode(body.toString()) }, FORM_TYPE];
    if (ArrayBuffer.isView(body) || body instanceof ArrayBuffer) return [{ bytes: shared.bytesOf(body).slice() }, null];
    if (shared.isBlob?.(body)) return [{ bytes: shared.blobBytes(body), isShared: true }, body.type || null];
    if (shared.isFormData?.(body)) {
      const { bytes, type } = shared.formDataBody(body);
      return [{ bytes }, type];
    }
    if (isObject(body) && typeof body[Symbol.asyncIterator] === 'function')
      return [{ read: once(() => collect(chunksOf(body))), isShared: true, isStreamed: true }, null];
    return [{ bytes: native.encode(String(body)) }, TEXT_TYPE];
  }

  let sourceOf;
  let put;
  class Body {
    // null: there is none.
    #source = null;

    static {
      put = (of, source) => {
        of.#source = source;
      };
      sourceOf = (of) => of.#source;
    }

    get body() {
      return this.#source && streamOf(this.#source);
    }

    get bodyUsed() {
      return this.#source !== null && isRead(this.#source);
    }

    // As a result it would be {}.
    toJSON() {
      throw new TypeError(`a ${this[Symbol.toStringTag]} is no JSON: its json() or text() is`);
    }

    async text() {
      const bytes = take(this);
      return native.text(bytes instanceof Uint8Array ? bytes : await bytes, false);
    }

    async json() {
      const bytes = take(this);
      return parse(native.text(bytes instanceof Uint8Array ? bytes : await bytes, false));
    }

    async bytes() {
      return take(this, true);
    }

    async arrayBuffer() {
      return (await take(this, true)).buffer;
    }
  }

  if (shared.makeBlob !== undefined) {
    Body.prototype.blob = async function blob() {
      return shared.makeBlob(await take(this, true), this.headers.get('content-type') ?? '');
    };
  }
  if (shared.parseFormData !== undefined) {
    Body.prototype.formData = async function formData() {
      return shared.parseFormData(await take(this), this.headers.get('content-type'));
    };
  }

  // The bytes of a message, or a promise of them, once.
  function take(message, own) {
    return takeFrom(sourceOf(message), own);
  }

  function takeFrom(source, own) {
    if (source === null) return own ? new Uint8Array(0) : NOTHING;
    if (source.isUsed === undefined && source.stream === undefined) return give(source, own);
    if (isSpent(source)) throw new TypeError('Body is unusable: Body has already been read');
    if (source.isMade) shared.spend?.(source.stream);
    return give(source, own);
  }

  // A source for a second message with the same body.
  function doubled(source) {
    if (source === null || source === undefined) return null;
    if (source.bytes === undefined && !source.isShared) {
      const [first, second] = source.stream.tee();
      Object.assign(source, { stream: first, read: () => collect(first) });
      sources.set(first, source);
      return { stream: second, read: () => collect(second), isStreamed: true };
    }
    source.isShared = true;
    return { ...source, stream: undefined, isMade: false };
  }

  // Puts a body into the parts of a message.
  function fill(parts, body) {
    const made = sourceAndType(body);
    const type = made[1];
    parts.source = made[0];
    if (type === null) return;
    if (parts.values === undefined) parts.pairs = type === TEXT_TYPE ? TEXT_PAIRS : [['content-type', type]];
    else if (!parts.values.has('content-type')) parts.values.set('content-type', type);
  }

  // === requests ===

  function checkedUrl(text) {
    const url = URL.parse(text);
    if (url === null) throw new TypeError(`Failed to parse URL from ${text}`, { cause: new TypeError('Invalid URL') });
    return url;
  }

  function requestUrl(text, input) {
    const at = native.urlPath(text);
    if (at > 0) return at === text.length ? `${text}/` : text;
    const url = checkedUrl(text);
    if (url.username !== '' || url.password !== '')
      throw new TypeError(`Request cannot be constructed from a URL that includes credentials: ${input}`);
    return url.href;
  }

  function checkedMethod(method) {
    if (NORMALIZED_METHODS.includes(method)) return method;
    const text = String(method);
    const upper = text.toUpperCase();
    if (!TOKEN.test(text)) throw new TypeError(`'${text}' is not a valid HTTP method.`);
    if (FORBIDDEN_METHODS.includes(upper)) throw new TypeError(`'${text}' HTTP method is unsupported.`);
    return NORMALIZED_METHODS.includes(upper) ? upper : text;
  }

  function oneOf(value, values) {
    if (values.includes(String(value))) return String(value);
    throw new TypeError(`Request constructor: ${value} is not an accepted type. Expected one of ${values.join(', ')}.`);
  }

  function checkedSignal(signal) {
    if (signal === null || (typeof signal?.aborted === 'boolean' && typeof signal.addEventListener === 'function'))
      return signal;
    throw new TypeError("Failed to construct 'Request': member signal is not of type AbortSignal.");
  }

  // What is kept and has no effect here.
  const OPTIONS = {
    cache: 'default',
    credentials: 'same-origin',
    integrity: '',
    keepalive: false,
    mode: 'cors',
    referrer: 'about:client',
    referrerPolicy: '',
  };
  const OPTION_NAMES = Object.keys(OPTIONS);
  const SHOWN_OF_REQUEST = (
    'method url headers destination referrer referrerPolicy mode credentials cache redirect integrity keepalive ' +
    'isReloadNavigation isHistoryNavigation signal'
  ).split(' ');

  // What a request is made of: `values` or `pairs` are its headers, as with responses.
  function requestParts(input, init) {
    const from = input instanceof Request ? input : undefined;
    const given = init ?? {};
    const { method, headers, redirect, signal, body = null, duplex = 'half' } = given;
    const url = requestUrl(from === undefined ? (typeof input === 'string' ? input : String(input)) : from.url, input);
    const parts = {
      url,
      method: method === undefined ? (from?.method ?? 'GET') : checkedMethod(method),
      redirect: redirect === undefined ? (from?.redirect ?? 'follow') : oneOf(redirect, ['follow', 'manual', 'error']),
      signal: signal === undefined ? (from === undefined ? null : partsOf(from).signal) : checkedSignal(signal),
      options: from === undefined ? OPTIONS : partsOf(from).options,
      values: undefined,
      pairs: NO_PAIRS,
      headers: undefined,
      source: null,
    };
    for (let at = 0; at < OPTION_NAMES.length; at++) {
      const name = OPTION_NAMES[at];
      if (given[name] !== undefined) parts.options = { ...parts.options, [name]: given[name] };
    }
    if (duplex !== 'half') oneOf(duplex, ['half']);
    const said = headers ?? from?.headers;
    if (said !== undefined) parts.values = collected(said);
    const source = from === undefined ? null : sourceOf(from);
    if ((body ?? source) !== null && (parts.method === 'GET' || parts.method === 'HEAD'))
      throw new TypeError('Request with GET/HEAD method cannot have body.');
    if (body !== null) fill(parts, body);
    else if (source !== null) parts.source = takeOver(source);
    return parts;
  }

  let partsOf;
  class Request extends Body {
    #parts;

    static {
      partsOf = (request) => request.#parts;
    }

    constructor(input, init = {}) {
      super();
      const parts = input === INSIDE ? init : requestParts(input, init);
      this.#parts = parts;
      if (parts.source !== null) put(this, parts.source);
    }

    get url() {
      return this.#parts.url;
    }

    get method() {
      return this.#parts.method;
    }

    get headers() {
      return headersOf(this.#parts);
    }

    get redirect() {
      return this.#parts.redirect;
    }

    get signal() {
      // A script that names it has them (events.js).
      if (AbortController !== undefined) this.#parts.signal ??= new AbortController().signal;
      return this.#parts.signal;
    }

    get destination() {
      return '';
    }

    get duplex() {
      return 'half';
    }

    get isReloadNavigation() {
      return false;
    }

    get isHistoryNavigation() {
      return false;
    }

    clone() {
      const source = sourceOf(this);
      if (source !== null && isSpent(source)) throw new TypeError('unusable');
      const values = collected(headersOf(this.#parts));
      return new Request(INSIDE, { ...this.#parts, values, headers: undefined, source: doubled(source) });
    }

    get [Symbol.toStringTag]() {
      return 'Request';
    }

    get [shared.shownParts]() {
      return SHOWN_OF_REQUEST;
    }
  }
  for (const name in OPTIONS) {
    Object.defineProperty(Request.prototype, name, {
      configurable: true,
      get() {
        return partsOf(this).options[name];
      },
    });
  }

  // The source of a request for the one that is made of it.
  function takeOver(source) {
    if (isSpent(source))
      throw new TypeError('Cannot construct a Request with a Request object that has already been used.');
    const taken = { ...source };
    if (source.isMade) {
      shared.spend?.(source.stream);
      Object.assign(taken, { stream: undefined, isMade: false });
    }
    source.isUsed = true;
    return taken;
  }

  // === responses ===

  function checkedStatus(status) {
    if (status === 200) return status;
    const number = Number(status);
    if (!(number >= 200 && number <= 599))
      throw new RangeError('init["status"] must be in the range of 200 to 599, inclusive.');
    return Math.trunc(number);
  }

  function checkedReason(statusText) {
    const text = String(statusText);
    if (!REASON.test(text)) throw new TypeError('Invalid statusText');
    return text;
  }

  function responseParts(status, type, url, isFixed) {
    return {
      status,
      type,
      url,
      isFixed,
      statusText: '',
      redirected: false,
      values: undefined,
      pairs: NO_PAIRS,
      headers: undefined,
      source: null,
    };
  }

  // Of what a script says of its response.
  function givenParts(init) {
    if (init === undefined) return responseParts(200, 'default', '', false);
    const { status = 200, statusText = '', headers } = init ?? {};
    const parts = responseParts(checkedStatus(status), 'default', '', false);
    if (statusText !== '') parts.statusText = checkedReason(statusText);
    if (headers !== undefined) parts.values = collected(headers);
    return parts;
  }

  function checkBody({ status }) {
    if (WITHOUT_BODY.includes(status))
      throw new TypeError(`Response constructor: Invalid response status code ${status}`);
  }

  let partsOfResponse;
  class Response extends Body {
    #parts;

    static {
      partsOfResponse = (value) => (isObject(value) && #parts in value ? value.#parts : undefined);
    }

    // What fetch makes can have any status, and knows where it is from.
    constructor(body = null, init = undefined, inside = undefined) {
      super();
      if (inside === INSIDE) {
        this.#parts = init;
        if (body !== null) put(this, body);
        return;
      }
      const parts = givenParts(init);
      this.#parts = parts;
      if (body === null || body === undefined) return;
      if (parts.status !== 200) checkBody(parts);
      fill(parts, body);
      put(this, parts.source);
    }

    static error() {
      return new Response(null, responseParts(0, 'error', '', true), INSIDE);
    }

    static json(data, init = undefined) {
      const text = stringify(data);
      if (text === undefined) throw new TypeError('Value is not JSON serializable');
      const parts = givenParts(init);
      if (parts.status !== 200) checkBody(parts);
      if (parts.values === undefined) parts.pairs = JSON_PAIRS;
      else if (!parts.values.has('content-type')) parts.values.set('content-type', 'application/json');
      return new Response({ bytes: native.encode(text) }, parts, INSIDE);
    }

    static redirect(url, status = 302) {
      const location = checkedUrl(String(url)).href;
      if (!REDIRECTS.includes(Number(status))) throw new RangeError(`Invalid status code ${status}`);
      const parts = responseParts(Number(status), 'default', '', true);
      parts.pairs = [['location', location]];
      return new Response(null, parts, INSIDE);
    }

    get type() {
      return this.#parts.type;
    }

    get url() {
      return this.#parts.url;
    }

    get redirected() {
      return this.#parts.redirected;
    }

    get status() {
      return this.#parts.status;
    }

    get ok() {
      const { status } = this.#parts;
      return status >= 200 && status <= 299;
    }

    get statusText() {
      return this.#parts.statusText;
    }

    get headers() {
      return headersOf(this.#parts);
    }

    clone() {
      const { status, statusText, headers, type, url, redirected } = this;
      const source = sourceOf(this);
      if (source !== null && isSpent(source)) throw new TypeError('Response.clone: Body has already been consumed.');
      const parts = responseParts(status, type, url, type !== 'default');
      parts.statusText = checkedReason(statusText);
      parts.redirected = redirected;
      parts.values = collected(headers);
      return new Response(doubled(source), parts, INSIDE);
    }

    get [Symbol.toStringTag]() {
      return 'Response';
    }

    get [shared.shownParts]() {
      return ['status', 'statusText', 'headers', 'body', 'bodyUsed', 'ok', 'redirected', 'type', 'url'];
    }
  }

  // === fetch ===

  // Its cause says what went wrong: codes are stable, such as `outbound_host_not_allowed`, messages are for people.
  function failed(code, message) {
    const cause = Object.assign(new Error(message), { code });
    return new TypeError('fetch failed', { cause });
  }

  function checkSignal(signal) {
    if (signal?.aborted) throw signal.reason ?? new DOMException('This operation was aborted', 'AbortError');
  }

  // Timers that were due while the sandbox stood still run now: a signal may wait for one.
  async function afterwards(signal) {
    await new Promise((resolve) => shared.queueTask(resolve));
    checkSignal(signal);
  }

  const ACCEPT = ['accept', '*/*'];
  const ACCEPT_PACKED = ['accept-encoding', 'gzip, deflate'];
  const ACCEPT_PLAIN = ['accept-encoding', 'identity'];
  const AGENT = ['user-agent', 'serverledge'];
  const NO_LENGTH = ['content-length', '0'];

  const withoutFragment = (url) => {
    const at = url.indexOf('#');
    return at < 0 ? url : url.slice(0, at);
  };

  // Sends what a request is made of; the reply as `native.send` gives it.
  function sendOnce(url, { method, values, pairs }, body) {
    const headers = values === undefined ? pairs.slice() : sortedPairs(values);
    if (!values?.has('accept')) headers.push(ACCEPT);
    if (!values?.has('accept-encoding')) headers.push(values?.has('range') ? ACCEPT_PLAIN : ACCEPT_PACKED);
    if (!values?.has('user-agent')) headers.push(AGENT);
    if (body.length === 0 && (method === 'POST' || method === 'PUT') && !values?.has('content-length'))
      headers.push(NO_LENGTH);
    const reply = native.send(method, withoutFragment(url), headers, body);
    if (reply[0]) throw failed(reply[1].error, reply[1].message);
    return reply;
  }

  // Headers are bytes; some are UTF-8.
  function asText(value) {
    return /[\x80-\xff]/.test(value)
      ? native.text(Uint8Array.from(value, (each) => each.charCodeAt(0)), false)
      : value;
  }

  // How a body is packed: from the first coding to the last. Nothing is unpacked if one of them is unknown.
  function codingsOf(values) {
    const said = values.get('content-encoding');
    if (said === undefined) return undefined;
    const named = textOfValues(said).toLowerCase().split(',');
    const codings = named.map((coding) => coding.trim().replace(/^x-gzip$/, 'gzip'));
    return codings.every((coding) => coding === 'gzip' || coding === 'deflate') ? codings : [];
  }

  // Where a response sends the request on to; undefined: nowhere.
  function targetOf(response, from) {
    const { status } = response;
    const said = status > 300 && REDIRECTS.includes(status) ? valuesOf(response).get('location') : undefined;
    if (said === undefined) return undefined;
    const location = textOfValues(said);
    const url = URL.parse(asText(location), from);
    if (url === null || !/^https?:$/.test(url.protocol))
      throw failed(
        'redirect_invalid',
        `${new URL(from).host} redirects to ${stringify(location)}, where no request can go`,
      );
    if (url.username !== '' || url.password !== '')
      throw failed(
        'redirect_invalid',
        `${new URL(from).host} redirects to ${url.host} with a name or a password in the URL`,
      );
    if (url.hash === '') url.hash = new URL(from).hash;
    return url;
  }

  // Makes what is sent the request that follows a redirect.
  function turn(parts, status, from, to) {
    const { method } = parts;
    const values = valuesOf(parts);
    const isTurned = status === 303 ? method !== 'GET' && method !== 'HEAD' : method === 'POST' && status <= 302;
    if (isTurned) {
      parts.method = 'GET';
      for (const name of OF_BODY) values.delete(name);
    }
    if (new URL(from).origin !== to.origin) for (const name of OF_ORIGIN) values.delete(name);
    return isTurned;
  }

  // The response if this reply is the last one; else `way` is where the redirect leads.
  function answered(parts, way, reply) {
    const { url } = way;
    const status = reply[1];
    const made = responseParts(status, 'basic', withoutFragment(url), true);
    made.pairs = reply[2];
    made.redirected = way.redirects > 0;
    const to = parts.redirect === 'manual' ? undefined : targetOf(made, url);
    if (to === undefined) {
      if (parts.method === 'HEAD' || (status !== 200 && WITHOUT_BODY.includes(status)))
        return new Response(null, made, INSIDE);
      const codings = reply[4] ? codingsOf(valuesOf(made)) : undefined;
      return new Response({ bytes: reply[3], codings }, made, INSIDE);
    }
    if (parts.redirect === 'error') throw failed('redirect_refused', `${new URL(url).host} redirects to ${to.href}`);
    if (way.redirects === REDIRECTS_MAX) throw failed('redirect_too_many', `more than ${REDIRECTS_MAX} redirects`);
    if (way.isStreamed && status !== 303)
      throw failed(
        'redirect_invalid',
        `${new URL(url).host} redirects a request whose body is a stream, which cannot be sent again`,
      );
    if (turn(parts, status, url, to)) way.body = NOTHING;
    way.url = to.href;
    way.redirects += 1;
    return undefined;
  }

  // The response to a request and to those that redirects make of it; with a signal, which may be for a timer, the
  // promise of it.
  function follow(parts, body, isStreamed) {
    const way = { url: parts.url, body, isStreamed, redirects: 0 };
    if (parts.signal !== null) return followSignalled(parts, way);
    for (;;) {
      const response = answered(parts, way, sendOnce(way.url, parts, way.body));
      if (response !== undefined) return response;
    }
  }

  async function followSignalled(parts, way) {
    for (;;) {
      checkSignal(parts.signal);
      const reply = sendOnce(way.url, parts, way.body);
      await afterwards(parts.signal);
      const response = answered(parts, way, reply);
      if (response !== undefined) return response;
    }
  }

  // The bytes of a `data:` URL (https://fetch.spec.whatwg.org/#data-urls) are in it.
  function dataResponse(url) {
    const found = /^data:([^,]*),([^#]*)/.exec(url);
    if (found === null) throw failed('outbound_request_invalid', 'a data: URL has a comma before its data');
    const [, head, data] = found;
    const type = head.replace(/;\s*base64\s*$/i, '');
    const text = unescape(data);
    const bytes = Uint8Array.from(type === head ? text : atob(text), (each) => each.charCodeAt(0));
    const named = type.startsWith(';') ? `text/plain${type}` : type || 'text/plain;charset=US-ASCII';
    const parts = responseParts(200, 'basic', withoutFragment(url), true);
    parts.statusText = 'OK';
    parts.values = collected({ 'content-type': named });
    return new Response({ bytes }, parts, INSIDE);
  }

  // The sandbox stands still until the response is there as a whole, so several requests run one after the other.
  async function fetch(input, init = undefined) {
    const parts = requestParts(input, init);
    checkSignal(parts.signal);
    if (parts.url.startsWith('data:')) return dataResponse(parts.url);
    if (!native.invoked()) {
      const { cause } = failed(
        'not_running',
        'no request can be sent while the file is loaded: call fetch in the handler',
      );
      throw new TypeError(cause.message, { cause });
    }
    // Without waiting where nothing is waited for: errors then know who called.
    const { source } = parts;
    const body = takeFrom(source);
    return follow(parts, body instanceof Uint8Array ? body : await body, source?.isStreamed === true);
  }

  // Sends a request to nobody at deploy: what the engine makes on first use is in the snapshot then, and calls find it.
  async function rehearse() {
    const { send } = native;
    const headers = stringify([['content-type', 'application/json']]);
    native.send = () => [false, 200, headers, native.encode('{"a":[]}'), false];
    const parts = requestParts('http://localhost/path', { method: 'POST', headers: { a: 'b' }, body: '{}' });
    const response = follow(parts, takeFrom(parts.source), false);
    native.send = send;
    if (response.ok && response.headers.has('content-type')) await response.json();
    await new Response('text', { headers: { a: 'b' } }).text();
  }
  rehearse();

  shared.define({ fetch, Headers, Request, Response });

  // === for handlers that answer requests ===

  // A request as it came, with any method; its headers are pairs, or their JSON. One of GET or HEAD is read without its
  // body, as everywhere on the Web.
  shared.requestOf = (method, url, pairs, bytes) => {
    const isNormal = NORMALIZED_METHODS.includes(method);
    const isForbidden = !isNormal && FORBIDDEN_METHODS.includes(method.toUpperCase());
    const sent = isNormal || isForbidden ? method : checkedMethod(method);
    const hasBody = bytes.length > 0 && sent !== 'GET' && sent !== 'HEAD' && !isForbidden;
    const parts = {
      url: requestUrl(url, url),
      method: sent,
      redirect: 'follow',
      signal: null,
      options: OPTIONS,
      values: undefined,
      pairs,
      headers: undefined,
      source: hasBody ? { bytes } : null,
    };
    return new Request(INSIDE, parts);
  };

  // What is sent of a response: its status, its headers, and its body or a promise of it. What was unpacked here is
  // sent so. Undefined: it is no response.
  shared.partsOf = (response) => {
    const parts = partsOfResponse(response);
    if (parts === undefined) return undefined;
    const isPlain = parts.values === undefined && parts.pairs.length < 2;
    let pairs = isPlain ? parts.pairs : sortedPairs(valuesOf(parts));
    if (sourceOf(response)?.codings?.length > 0)
      pairs = pairs.filter((pair) => pair[0] !== 'content-encoding' && pair[0] !== 'content-length');
    return [parts.status, pairs, take(response)];
  };
});
