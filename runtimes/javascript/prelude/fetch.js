// fetch, Headers, Request and Response (https://fetch.spec.whatwg.org/), with bodies as a whole: there are no streams. This
// runs only for files that name one of them (main.c).
(function (native, shared) {
  'use strict';

  const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
  // Bytes as characters, without those that end a line.
  const VALUE = /^[^\0\r\n\u0100-\uffff]*$/;
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
  const { TextDecoder, URL, URLSearchParams } = globalThis;
  const { parse, stringify } = JSON;

  // === headers ===

  function checkedName(name) {
    const text = String(name);
    if (!TOKEN.test(text)) throw new TypeError(`${stringify(text)} is an invalid header name`);
    return text.toLowerCase();
  }

  function checkedValue(name, value) {
    const text = String(value).replace(/^[\t\n\r ]+|[\t\n\r ]+$/g, '');
    if (!VALUE.test(text)) throw new TypeError(`the header "${name}" has an invalid value`);
    return text;
  }

  function* pairsOf(init) {
    if (init === null || (typeof init !== 'object' && typeof init !== 'function'))
      throw new TypeError('headers are an object, a Headers or a list of pairs');
    if (init[Symbol.iterator] === undefined) {
      for (const name of Reflect.ownKeys(init)) {
        if (!Object.getOwnPropertyDescriptor(init, name)?.enumerable) continue;
        if (typeof name === 'symbol') throw new TypeError('a symbol is an invalid header name');
        yield [name, init[name]];
      }
      return;
    }
    for (const each of init) {
      const pair = [...each];
      if (pair.length !== 2) throw new TypeError('each header of a list is a name and a value');
      yield pair;
    }
  }

  let freeze;
  class Headers {
    // In the order in which they were added, with names in lower case.
    #list = [];
    #sorted;
    #isFixed = false;

    static {
      freeze = (headers) => {
        headers.#isFixed = true;
        return headers;
      };
    }

    constructor(init = undefined) {
      if (init !== undefined) for (const [name, value] of pairsOf(init)) this.append(name, value);
    }

    // The list, to be changed.
    #changing() {
      if (this.#isFixed) throw new TypeError('these headers are immutable');
      this.#sorted = undefined;
      return this.#list;
    }

    append(name, value) {
      const key = checkedName(name);
      const pair = [key, checkedValue(key, value)];
      this.#changing().push(pair);
    }

    delete(name) {
      const key = checkedName(name);
      this.#list = this.#changing().filter((pair) => pair[0] !== key);
    }

    get(name) {
      const key = checkedName(name);
      const values = this.#list.filter((pair) => pair[0] === key);
      return values.length === 0 ? null : values.map((pair) => pair[1]).join(', ');
    }

    getSetCookie() {
      return this.#list.filter((pair) => pair[0] === 'set-cookie').map((pair) => pair[1]);
    }

    has(name) {
      const key = checkedName(name);
      return this.#list.some((pair) => pair[0] === key);
    }

    set(name, value) {
      const key = checkedName(name);
      const pair = [key, checkedValue(key, value)];
      const list = this.#changing();
      const at = list.findIndex((each) => each[0] === key);
      if (at < 0) list.push(pair);
      else this.#list = list.flatMap((each, n) => (n === at ? [pair] : each[0] === key ? [] : [each]));
    }

    forEach(callback, self) {
      for (const [name, value] of this) callback.call(self, value, name, this);
    }

    // Sorted by name, values of one name together; but each cookie is one.
    #pairs() {
      this.#sorted ??= [...new Set(this.#list.map((pair) => pair[0]))]
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
  }

  // === bodies ===

  // The bytes of a body, and the type that it has by itself; what is no body is a text, as everywhere on the Web.
  function bytesAndType(body) {
    if (body instanceof URLSearchParams) return [native.encode(body.toString()), FORM_TYPE];
    if (ArrayBuffer.isView(body) || body instanceof ArrayBuffer) return [shared.bytesOf(body).slice(), null];
    return [native.encode(String(body).toWellFormed()), TEXT_TYPE];
  }

  let take;
  let peek;
  let put;
  class Body {
    // null: there is none.
    #bytes = null;
    #isUsed = false;

    static {
      put = (of, bytes) => {
        of.#bytes = bytes;
      };
      peek = (of) => {
        if (of.#isUsed) throw new TypeError('the body has already been read');
        return of.#bytes;
      };
      take = (of) => {
        const bytes = peek(of);
        of.#isUsed = bytes !== null;
        return bytes;
      };
    }

    get body() {
      return null;
    }

    get bodyUsed() {
      return this.#isUsed;
    }

    async text() {
      return new TextDecoder().decode(take(this) ?? undefined);
    }

    async json() {
      return parse(new TextDecoder().decode(take(this) ?? undefined));
    }

    async bytes() {
      return (take(this) ?? new Uint8Array(0)).slice();
    }

    async arrayBuffer() {
      return (take(this) ?? new Uint8Array(0)).slice().buffer;
    }
  }

  function fill(message, body) {
    const [bytes, type] = bytesAndType(body);
    put(message, bytes);
    if (type !== null && !message.headers.has('content-type')) message.headers.set('content-type', type);
  }

  // === requests ===

  function checkedUrl(text) {
    const url = URL.parse(text);
    if (url === null) throw new TypeError(`Failed to parse URL from ${text}`);
    if (url.username !== '' || url.password !== '')
      throw new TypeError(`a request has no URL with a name and a password: ${text}`);
    return url.href;
  }

  function checkedMethod(method) {
    const text = String(method);
    const upper = text.toUpperCase();
    if (!TOKEN.test(text)) throw new TypeError(`${stringify(text)} is not a valid HTTP method`);
    if (FORBIDDEN_METHODS.includes(upper)) throw new TypeError(`the method ${text} is not sent`);
    return NORMALIZED_METHODS.includes(upper) ? upper : text;
  }

  function oneOf(what, value, values) {
    if (values.includes(String(value))) return String(value);
    throw new TypeError(`${what} is ${values.join(', ')}, not ${stringify(String(value))}`);
  }

  let signalOf;
  class Request extends Body {
    #url;
    #method = 'GET';
    #headers;
    #redirect = 'follow';
    #signal = null;

    static {
      signalOf = (request) => request.#signal;
    }

    constructor(input, init = {}) {
      super();
      const from = input instanceof Request ? input : undefined;
      const { method, headers, redirect, signal, body = null } = init ?? {};
      this.#url = from?.url ?? checkedUrl(String(input));
      this.#method = method === undefined ? (from?.method ?? 'GET') : checkedMethod(method);
      this.#redirect =
        redirect === undefined ? (from?.redirect ?? 'follow') : oneOf('redirect', redirect, ['follow', 'error', 'manual']);
      this.#signal = signal === undefined ? (from?.signal ?? null) : signal;
      this.#headers = new Headers(headers ?? from?.headers);
      const hasBody = body !== null || (from !== undefined && peek(from) !== null);
      if (hasBody && (this.#method === 'GET' || this.#method === 'HEAD'))
        throw new TypeError('Request with GET/HEAD method cannot have body.');
      if (body !== null) fill(this, body);
      else if (from !== undefined) put(this, take(from));
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
      return this.#signal;
    }

    clone() {
      const bytes = peek(this);
      const { method, headers, redirect, signal } = this;
      const copy = new Request(this.url, { method, headers, redirect, signal });
      put(copy, bytes);
      return copy;
    }

    get [Symbol.toStringTag]() {
      return 'Request';
    }
  }

  // === responses ===

  function checkedStatus(status) {
    const number = Number(status);
    if (!(number >= 200 && number <= 599)) throw new RangeError(`a status is a number from 200 to 599, not ${status}`);
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
      if (!REASON.test(this.#statusText)) throw new TypeError('invalid statusText');
      this.#headers = new Headers(headers);
      if (made !== undefined) {
        this.#type = made.type;
        this.#url = made.url ?? '';
        this.#redirected = made.redirected ?? false;
        put(this, body);
        if (made.isFixed) freeze(this.#headers);
      } else if (body !== null && body !== undefined) {
        if (WITHOUT_BODY.includes(this.#status))
          throw new TypeError(`a response with the status ${this.#status} has no body`);
        fill(this, body);
      }
    }

    static error() {
      return new Response(null, { status: 0 }, { mark: INSIDE, type: 'error', isFixed: true });
    }

    static json(data, init = {}) {
      const text = stringify(data);
      if (text === undefined) throw new TypeError('the value cannot be written as JSON');
      const { status, statusText, headers } = init ?? {};
      const all = new Headers(headers);
      if (!all.has('content-type')) all.set('content-type', 'application/json');
      return new Response(text, { status, statusText, headers: all });
    }

    static redirect(url, status = 302) {
      const location = checkedUrl(String(url));
      if (!REDIRECTS.includes(Number(status))) throw new RangeError(`${status} is no status of a redirect`);
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
      return new Response(peek(this), { status, statusText, headers }, made);
    }

    get [Symbol.toStringTag]() {
      return 'Response';
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

  function sendOnce(url, { method, body, headers }) {
    const list = [...headers];
    const add = (name, value) => headers.has(name) || list.push([name, value]);
    add('accept', '*/*');
    add('user-agent', 'serverledge');
    if (body === null && (method === 'POST' || method === 'PUT')) add('content-length', '0');
    const [isError, head, bytes] = native.send(
      stringify({ method, url: url.split('#', 1)[0], headers: list }),
      body ?? new Uint8Array(0),
    );
    if (isError) throw failed(head.error, head.message);
    return { ...head, headers: new Headers(head.headers), bytes };
  }

  // Where a response sends the request on to; undefined: nowhere.
  function targetOf({ status, headers }, from) {
    const location = headers.get('location');
    if (!REDIRECTS.includes(status) || location === null) return undefined;
    const url = URL.parse(location, from);
    if (url === null || !/^https?:$/.test(url.protocol))
      throw failed('redirect_invalid', `${new URL(from).host} redirects to ${stringify(location)}, where no request can go`);
    if (url.hash === '') url.hash = new URL(from).hash;
    return url;
  }

  // Makes what is sent the request that follows a redirect.
  function turn(sent, status, from, to) {
    const { method, headers } = sent;
    if (status === 303 ? method !== 'GET' && method !== 'HEAD' : method === 'POST' && status <= 302) {
      sent.method = 'GET';
      sent.body = null;
      for (const name of OF_BODY) headers.delete(name);
    }
    if (new URL(from).origin !== to.origin) for (const name of OF_ORIGIN) headers.delete(name);
  }

  function follow(request) {
    const signal = signalOf(request);
    const sent = { method: request.method, body: take(request), headers: new Headers(request.headers) };
    let { url } = request;
    for (let redirects = 0; ; redirects++) {
      checkSignal(signal);
      const { status, headers, bytes } = sendOnce(url, sent);
      const to = request.redirect === 'manual' ? undefined : targetOf({ status, headers }, url);
      if (to === undefined) {
        const body = WITHOUT_BODY.includes(status) || sent.method === 'HEAD' ? null : bytes;
        const made = { mark: INSIDE, type: 'basic', url: url.split('#', 1)[0], redirected: redirects > 0, isFixed: true };
        return new Response(body, { status, headers }, made);
      }
      if (request.redirect === 'error') throw failed('redirect_refused', `${new URL(url).host} redirects to ${to.href}`);
      if (redirects === REDIRECTS_MAX) throw failed('redirect_too_many', `more than ${REDIRECTS_MAX} redirects`);
      turn(sent, status, url, to);
      url = to.href;
    }
  }

  // The sandbox stands still until the response is there as a whole, so several requests run one after the other.
  async function fetch(input, init = undefined) {
    const request = new Request(input, init);
    checkSignal(signalOf(request));
    if (!native.invoked()) {
      const { cause } = failed('not_running', 'no request can be sent while the file is loaded: call fetch in the handler');
      throw new TypeError(cause.message, { cause });
    }
    return follow(request);
  }

  shared.define({ fetch, Headers, Request, Response });
});
