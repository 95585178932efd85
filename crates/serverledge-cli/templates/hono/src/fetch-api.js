// The part of Headers, Request and Response that an app on Hono uses, for bodies of text. The runtime has none of them, so
// the build puts these in wherever their names are used.

class SimpleHeaders {
  #values = new Map();

  constructor(init = []) {
    const pairs = typeof init[Symbol.iterator] === 'function' ? init : Object.entries(init);
    for (const [name, value] of pairs) this.append(name, value);
  }

  get(name) {
    return this.#values.get(name.toLowerCase()) ?? null;
  }

  has(name) {
    return this.#values.has(name.toLowerCase());
  }

  set(name, value) {
    this.#values.set(name.toLowerCase(), String(value));
  }

  append(name, value) {
    this.set(name, this.has(name) ? `${this.get(name)}, ${value}` : value);
  }

  delete(name) {
    this.#values.delete(name.toLowerCase());
  }

  forEach(visit) {
    for (const [name, value] of this.#values) visit(value, name, this);
  }

  entries() {
    return this.#values.entries();
  }

  keys() {
    return this.#values.keys();
  }

  values() {
    return this.#values.values();
  }

  [Symbol.iterator]() {
    return this.entries();
  }
}

class SimpleBody {
  constructor(body) {
    this.body = body ?? null;
  }

  async text() {
    if (this.body === null) return '';
    return typeof this.body === 'string' ? this.body : new TextDecoder().decode(this.body);
  }

  async json() {
    return JSON.parse(await this.text());
  }

  async arrayBuffer() {
    return new TextEncoder().encode(await this.text()).buffer;
  }
}

class SimpleRequest extends SimpleBody {
  constructor(input, init = {}) {
    super(init.body ?? input.body);
    this.url = String(input.url ?? input);
    this.method = (init.method ?? input.method ?? 'GET').toUpperCase();
    this.headers = new SimpleHeaders(init.headers ?? input.headers);
  }
}

class SimpleResponse extends SimpleBody {
  constructor(body, init = {}) {
    super(body);
    this.status = init.status ?? 200;
    this.statusText = init.statusText ?? '';
    this.headers = new SimpleHeaders(init.headers);
    if (typeof body === 'string' && !this.headers.has('content-type')) {
      this.headers.set('content-type', 'text/plain;charset=UTF-8');
    }
  }

  get ok() {
    return this.status >= 200 && this.status < 300;
  }
}

export { SimpleHeaders as Headers, SimpleRequest as Request, SimpleResponse as Response };
