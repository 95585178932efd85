// names: fetch Headers Request Response
// fetch, Headers, Request and Response (https://fetch.spec.whatwg.org/). Bodies are there as a whole, and are streams
// where streams.js is loaded; blob.js and formdata.js, if they are, come before this file.
(function (native, shared) {
  'use strict';

  const UNPACKED_BYTES_MAX = 64 * 1024 * 1024;
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
  const FORM_TYPE = 'application/x-www-form-urlencoded;charset=UTF-8';
  const INSIDE = Symbol('made by fetch');
  const NOTHING = new Uint8Array(0);
  const { AbortController, TextDecoder, URL, URLSearchParams } = globalThis;
  const { parse, stringify } = JSON;
  const isObject = (value) => typeof value === 'object' && value !== null;

  // === headers ===

  function checkedName(method, name) {
    const text = String(name);
    if (!TOKEN.test(text)) throw new TypeError(`Headers.${method}: ${stringify(text)} is an invalid header name.`);
    return text.toLowerCase();
  }

  // Most are so: nothing to trim and nothing to refuse.
  const PLAIN_VALUE = /^[!-~](?:[ -~]*[!-~])?$/;

  function checkedValue(method, value) {
    const given = String(value);
    if (PLAIN_VALUE.test(given)) return given;
    const text = shared.trimmed(given, shared.isHttpSpace);
    const at = text.search(/[^\0-\xff]/);
    if (at >= 0) {
      const told = `the character at index ${at} has a value of ${text.charCodeAt(at)} which is greater than 255.`;
      throw new TypeError(`Cannot convert argument to a ByteString because ${told}`);
    }
    if (/[\0\r\n]/.test(text)) throw new TypeError(`Headers.${method}: ${stringify(text)} is an invalid header value.`);
    return text;
  }

  function eachPair(init, add) {
    if (init === null || (typeof init !== 'object' && typeof init !== 'function'))
      throw new TypeError('headers are an object, a Headers or a list of pairs');
    if (init[Symbol.iterator] === undefined) {
      for (const name of Reflect.ownKeys(init)) {
        if (!Object.getOwnPropertyDescriptor(init, name)?.enumerable) continue;
        if (typeof name === 'symbol') throw new TypeError('a symbol is an invalid header name');
        add(name, init[name]);
      }
      return;
    }
    for (const each of init) {
      const pair = [...each];
      if (pair.length !== 2)
        throw new TypeError(`Headers constructor: expected name/value pair to be length 2, found ${pair.length}.`);
      add(pair[0], pair[1]);
    }
  }

  let freeze;
  let adopt;
  let pairsInside;
  let iterate;
  class Headers {
    // Names in lower case, each with its values in the order in which they were added.
    #values = new Map();
    #sorted;
    #isFixed = false;

    static {
      freeze = (headers) => {
        headers.#isFixed = true;
        return headers;
      };
      // New headers of the host's pairs, which are right.
      adopt = (pairs) => {
        const headers = new Headers();
        for (let at = 0; at < pairs.length; at++) {
          const name = pairs[at][0].toLowerCase();
          const values = headers.#values.get(name);
          if (values === undefined) headers.#values.set(name, [pairs[at][1]]);
          else values.push(pairs[at][1]);
        }
        return headers;
      };
      // Their pairs, which are not to be changed; of what somebody put in the place of headers, the pairs that it gives.
      pairsInside = (headers) => (#sorted in headers ? headers.#pairs() : [...headers]);
    }

    constructor(init = undefined) {
      if (init === undefined) return;
      if (typeof init === 'object' && init !== null && #sorted in init && init[Symbol.iterator] === iterate)
        for (const [name, values] of init.#values) this.#values.set(name, [...values]);
      else eachPair(init, (name, value) => this.append(name, value));
    }

    // The values, to be changed.
    #changing() {
      if (this.#isFixed) throw new TypeError('immutable');
      this.#sorted = undefined;
      return this.#values;
    }

    append(name, value) {
      const key = checkedName('append', name);
      const text = checkedValue('append', value);
      const values = this.#changing();
      if (values.has(key)) values.get(key).push(text);
      else values.set(key, [text]);
    }

    delete(name) {
      const key = checkedName('delete', name);
      this.#changing().delete(key);
    }

    get(name) {
      return this.#values.get(checkedName('get', name))?.join(', ') ?? null;
    }

    getSetCookie() {
      return [...(this.#values.get('set-cookie') ?? [])];
    }

    has(name) {
      return this.#values.has(checkedName('has', name));
    }

    set(name, value) {
      const key = checkedName('set', name);
      const text = checkedValue('set', value);
      this.#changing().set(key, [text]);
    }

    forEach(callback, self) {
      for (const [name, value] of this) callback.call(self, value, name, this);
    }

    // Sorted by name, values of one name together; but each cookie is one.
    #pairs() {
      this.#sorted ??= [...this.#values.keys()]
        .sort()
        .flatMap((name) =>
          name === 'set-cookie' ? this.getSetCookie().map((value) => [name, value]) : [[name, this.get(name)]],
        );
      return this.#sorted;
    }

    // What is added meanwhile is seen.
    *entries() {
      for (let at = 0; at < this.#pairs().length; at++) yield [...this.#pairs()[at]];
    }

    *keys() {
      for (const [name] of this.entries()) yield name;
    }

    *values() {
      for (const [, value] of this.entries()) yield value;
    }

    [Symbol.iterator]() {
      return this.entries();
    }

    get [Symbol.toStringTag]() {
      return 'Headers';
    }

    get [shared.shownParts]() {
      return this.#pairs();
    }
  }
  iterate = Headers.prototype[Symbol.iterator];

  // === bodies ===

  // What messages have as their bodies: `bytes`, or `read`, which gives a promise of them; `codings`, by which the bytes
  // are packed; `isShared`, where others have the same bytes; `stream`, once somebody has looked at it, which is made of
  // the bytes if it `isMade`; whether a stream `isStreamed`, which can be sent once; and whether all `isUsed`.
  const sources = new WeakMap();

  const isRead = ({ isUsed, stream }) =>
    isUsed === true || (stream !== undefined && shared.isDisturbed?.(stream) === true);
  const isSpent = (source) => isRead(source) || source.stream?.locked === true;

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
    const { bytes, codings = [], isShared } = source;
    const copied = (out) => (own && isShared ? out.slice() : out);
    if (bytes === undefined) return source.read().then(copied);
    return codings.length === 0 || bytes.length === 0 ? copied(bytes) : codings.reduceRight(unpacked, bytes);
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

  async function* partsOf(iterable) {
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
      return [{ read: once(() => collect(partsOf(body))), isShared: true, isStreamed: true }, null];
    return [{ bytes: native.encode(String(body).toWellFormed()) }, TEXT_TYPE];
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
      return new TextDecoder().decode(await take(this));
    }

    async json() {
      return parse(new TextDecoder().decode(await take(this)));
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
    const source = sourceOf(message);
    if (source === null) return own ? new Uint8Array(0) : NOTHING;
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

  function fill(message, body) {
    const [source, type] = sourceAndType(body);
    put(message, source);
    if (type !== null && !message.headers.has('content-type')) message.headers.set('content-type', type);
  }

  // === requests ===

  function checkedUrl(text) {
    const url = URL.parse(text);
    if (url === null) throw new TypeError(`Failed to parse URL from ${text}`, { cause: new TypeError('Invalid URL') });
    return url;
  }

  function checkedMethod(method) {
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
  const SHOWN_OF_REQUEST = (
    'method url headers destination referrer referrerPolicy mode credentials cache redirect integrity keepalive ' +
    'isReloadNavigation isHistoryNavigation signal'
  ).split(' ');

  let optionsOf;
  let signalOf;
  class Request extends Body {
    #url;
    #method = 'GET';
    #headers;
    #redirect = 'follow';
    #signal = null;
    #options;

    static {
      optionsOf = (request) => request.#options;
      signalOf = (request) => request.#signal;
    }

    constructor(input, init = {}) {
      super();
      const from = input instanceof Request ? input : undefined;
      const given = init ?? {};
      const { method, headers, redirect, signal, body = null, duplex = 'half' } = given;
      this.#url = from === undefined ? checkedUrl(String(input)) : checkedUrl(from.url);
      if (this.#url.username !== '' || this.#url.password !== '')
        throw new TypeError(`Request cannot be constructed from a URL that includes credentials: ${input}`);
      this.#url = this.#url.href;
      this.#method = method === undefined ? (from?.method ?? 'GET') : checkedMethod(method);
      this.#redirect =
        redirect === undefined ? (from?.redirect ?? 'follow') : oneOf(redirect, ['follow', 'manual', 'error']);
      this.#signal = signal === undefined ? (from === undefined ? null : signalOf(from)) : checkedSignal(signal);
      this.#options = from === undefined ? OPTIONS : optionsOf(from);
      for (const name in OPTIONS)
        if (given[name] !== undefined) this.#options = { ...this.#options, [name]: given[name] };
      oneOf(duplex, ['half']);
      this.#headers = new Headers(headers ?? from?.headers);
      const source = from === undefined ? null : sourceOf(from);
      if ((body ?? source) !== null && (this.#method === 'GET' || this.#method === 'HEAD'))
        throw new TypeError('Request with GET/HEAD method cannot have body.');
      if (body !== null) fill(this, body);
      else if (source !== null) put(this, takeOver(source));
    }

    get url() {
      return this.#url;
    }

    get method() {
      return this.#method;
    }

    get headers() {
      return this.#headers;
    }

    get redirect() {
      return this.#redirect;
    }

    get signal() {
      // A script that names it has them (events.js).
      if (AbortController !== undefined) this.#signal ??= new AbortController().signal;
      return this.#signal;
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
      const copy = new Request(this.#url, { ...this.#options, method: this.#method, headers: this.#headers });
      copy.#redirect = this.#redirect;
      copy.#signal = this.#signal;
      put(copy, doubled(source));
      return copy;
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
        return optionsOf(this)[name];
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
    const number = Number(status);
    if (!(number >= 200 && number <= 599))
      throw new RangeError('init["status"] must be in the range of 200 to 599, inclusive.');
    return Math.trunc(number);
  }

  class Response extends Body {
    #type = 'default';
    #url = '';
    #redirected = false;
    #status;
    #statusText;
    #headers;

    // What fetch makes can have any status, and knows where it is from.
    constructor(body = null, init = {}, inside = undefined) {
      super();
      const made = inside?.mark === INSIDE ? inside : undefined;
      const { status = 200, statusText = '', headers } = init ?? {};
      this.#status = made === undefined ? checkedStatus(status) : status;
      this.#statusText = String(statusText);
      if (!REASON.test(this.#statusText)) throw new TypeError('Invalid statusText');
      this.#headers = new Headers(headers);
      if (made !== undefined) {
        this.#type = made.type;
        this.#url = made.url ?? '';
        this.#redirected = made.redirected ?? false;
        put(this, body);
        if (made.isFixed) freeze(this.#headers);
      } else if (body !== null && body !== undefined) {
        if (WITHOUT_BODY.includes(this.#status))
          throw new TypeError(`Response constructor: Invalid response status code ${this.#status}`);
        fill(this, body);
      }
    }

    static error() {
      return new Response(null, { status: 0 }, { mark: INSIDE, type: 'error', isFixed: true });
    }

    static json(data, init = {}) {
      const text = stringify(data);
      if (text === undefined) throw new TypeError('Value is not JSON serializable');
      const { status, statusText, headers } = init ?? {};
      const all = new Headers(headers);
      if (!all.has('content-type')) all.set('content-type', 'application/json');
      return new Response(text, { status, statusText, headers: all });
    }

    static redirect(url, status = 302) {
      const location = checkedUrl(String(url)).href;
      if (!REDIRECTS.includes(Number(status))) throw new RangeError(`Invalid status code ${status}`);
      const init = { status: Number(status), headers: { location } };
      return new Response(null, init, { mark: INSIDE, type: 'default', isFixed: true });
    }

    get type() {
      return this.#type;
    }

    get url() {
      return this.#url;
    }

    get redirected() {
      return this.#redirected;
    }

    get status() {
      return this.#status;
    }

    get ok() {
      return this.#status >= 200 && this.#status <= 299;
    }

    get statusText() {
      return this.#statusText;
    }

    get headers() {
      return this.#headers;
    }

    clone() {
      const { status, statusText, headers, type, url, redirected } = this;
      const made = { mark: INSIDE, type, url, redirected, isFixed: type !== 'default' };
      const source = sourceOf(this);
      if (source !== null && isSpent(source)) throw new TypeError('Response.clone: Body has already been consumed.');
      return new Response(doubled(source), { status, statusText, headers }, made);
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

  function sendOnce(url, { method, body, headers }) {
    const list = pairsInside(headers).slice();
    const add = (name, value) => headers.has(name) || list.push([name, value]);
    add('accept', '*/*');
    add('accept-encoding', headers.has('range') ? 'identity' : 'gzip, deflate');
    add('user-agent', 'serverledge');
    if (body.length === 0 && (method === 'POST' || method === 'PUT')) add('content-length', '0');
    const [isError, head, bytes] = native.send(stringify({ method, url: url.split('#', 1)[0], headers: list }), body);
    if (isError) throw failed(head.error, head.message);
    return { ...head, headers: adopt(head.headers), bytes };
  }

  // Headers are bytes; some are UTF-8.
  function asText(value) {
    return /[\x80-\xff]/.test(value)
      ? new TextDecoder().decode(Uint8Array.from(value, (each) => each.charCodeAt(0)))
      : value;
  }

  // How a body is packed: from the first coding to the last. Nothing is unpacked if one of them is unknown.
  function codingsOf(headers) {
    const named = (headers.get('content-encoding') ?? '').toLowerCase().split(',');
    const codings = named.map((coding) => coding.trim().replace(/^x-gzip$/, 'gzip'));
    return codings.every((coding) => coding === 'gzip' || coding === 'deflate') ? codings : [];
  }

  // Where a response sends the request on to; undefined: nowhere.
  function targetOf({ status, headers }, from) {
    const location = headers.get('location');
    if (!REDIRECTS.includes(status) || location === null) return undefined;
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
  function turn(sent, status, from, to) {
    const { method, headers } = sent;
    if (status === 303 ? method !== 'GET' && method !== 'HEAD' : method === 'POST' && status <= 302) {
      sent.method = 'GET';
      sent.body = NOTHING;
      for (const name of OF_BODY) headers.delete(name);
    }
    if (new URL(from).origin !== to.origin) for (const name of OF_ORIGIN) headers.delete(name);
  }

  async function follow(request, body, isStreamed) {
    const signal = signalOf(request);
    const sent = { method: request.method, body, headers: new Headers(request.headers) };
    let { url } = request;
    for (let redirects = 0; ; redirects++) {
      checkSignal(signal);
      const { status, headers, bytes } = sendOnce(url, sent);
      if (signal !== null) await afterwards(signal);
      const to = request.redirect === 'manual' ? undefined : targetOf({ status, headers }, url);
      if (to === undefined) {
        const hasBody = !WITHOUT_BODY.includes(status) && sent.method !== 'HEAD';
        const source = hasBody ? { bytes, codings: codingsOf(headers) } : null;
        const made = {
          mark: INSIDE,
          type: 'basic',
          url: url.split('#', 1)[0],
          redirected: redirects > 0,
          isFixed: true,
        };
        return new Response(source, { status, headers }, made);
      }
      if (request.redirect === 'error')
        throw failed('redirect_refused', `${new URL(url).host} redirects to ${to.href}`);
      if (redirects === REDIRECTS_MAX) throw failed('redirect_too_many', `more than ${REDIRECTS_MAX} redirects`);
      if (isStreamed && status !== 303)
        throw failed(
          'redirect_invalid',
          `${new URL(url).host} redirects a request whose body is a stream, which cannot be sent again`,
        );
      turn(sent, status, url, to);
      url = to.href;
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
    const init = { statusText: 'OK', status: 200, headers: { 'content-type': named } };
    return new Response({ bytes }, init, { mark: INSIDE, type: 'basic', url: url.split('#', 1)[0], isFixed: true });
  }

  // The sandbox stands still until the response is there as a whole, so several requests run one after the other.
  async function fetch(input, init = undefined) {
    const request = new Request(input, init);
    checkSignal(signalOf(request));
    if (request.url.startsWith('data:')) return dataResponse(request.url);
    if (!native.invoked()) {
      const { cause } = failed(
        'not_running',
        'no request can be sent while the file is loaded: call fetch in the handler',
      );
      throw new TypeError(cause.message, { cause });
    }
    // Without waiting where nothing is waited for: errors then know who called.
    const isStreamed = sourceOf(request)?.isStreamed === true;
    const body = take(request);
    return follow(request, body instanceof Uint8Array ? body : await body, isStreamed);
  }

  shared.define({ fetch, Headers, Request, Response });

  // === for handlers that answer requests ===

  // A request as it came, with any method. One of GET or HEAD is read without its body, as everywhere on the Web.
  shared.requestOf = (method, url, headerPairs, bytes) => {
    const hasBody = bytes.length > 0 && method !== 'GET' && method !== 'HEAD';
    const isForbidden = FORBIDDEN_METHODS.includes(method.toUpperCase());
    const init = { method: isForbidden ? 'GET' : method, headers: adopt(headerPairs) };
    const request = new Request(url, hasBody && !isForbidden ? { ...init, body: bytes } : init);
    return isForbidden ? Object.defineProperty(request, 'method', { value: method, enumerable: true }) : request;
  };

  // What is sent of a response: a promise, which waits for all of the body. What was unpacked here is sent so.
  shared.partsOf = async (response) => {
    let headerPairs = pairsInside(response.headers);
    if (sourceOf(response)?.codings?.length > 0)
      headerPairs = headerPairs.filter(([name]) => name !== 'content-encoding' && name !== 'content-length');
    return { status: response.status, headerPairs, bytes: await take(response) };
  };
});
