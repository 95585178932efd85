// names: FormData formData
// needs: interfaces blob
// FormData (https://xhr.spec.whatwg.org/#interface-formdata), and forms as the bodies of requests and responses:
// multipart/form-data (https://html.spec.whatwg.org/multipage/form-control-infrastructure.html, RFC 7578) and
// application/x-www-form-urlencoded.
(function (native, shared) {
  'use strict';

  const BOUNDARY_RANDOM_BYTES = 12;
  const [CR, LF, DASH] = [13, 10, 45];
  const { Blob, TextDecoder, URLSearchParams } = globalThis;
  const { blobBytes, coded, isBlob, isFile, makeBlob, makeFile } = shared;

  function checkCount(method, count, least) {
    if (count >= least) return;
    const found = count === 0 ? '0' : `only ${count}`;
    throw new TypeError(`FormData.${method}: ${least} argument${least > 1 ? 's' : ''} required, but ${found} found.`);
  }

  // A pair as it is kept: a text, or a file with a name.
  function pairOf(method, name, value, fileName) {
    const key = `${name}`.toWellFormed();
    if (isBlob(value)) {
      if (isFile(value) && fileName === undefined) return [key, value];
      return [key, makeFile(value, fileName === undefined ? 'blob' : `${fileName}`)];
    }
    if (fileName !== undefined)
      throw new TypeError(`Failed to execute '${method}' on 'FormData': parameter 2 is not of type 'Blob'`);
    return [key, `${value}`.toWellFormed()];
  }

  let pairsOf;
  let isFormData;
  class FormData {
    #pairs = [];

    static {
      isFormData = (value) => typeof value === 'object' && value !== null && #pairs in value;

      pairsOf = (form) => {
        if (!isFormData(form)) throw coded(new TypeError('Illegal invocation'), 'ERR_INVALID_THIS');
        return form.#pairs;
      };
    }

    constructor(form = undefined) {
      if (form !== undefined) throw new TypeError('FormData constructor: Argument 1 could not be converted to: undefined.');
    }

    append(name, value, fileName = undefined) {
      const pairs = pairsOf(this);
      checkCount('append', arguments.length, 2);
      pairs.push(pairOf('append', name, value, fileName));
    }

    delete(name) {
      const pairs = pairsOf(this);
      checkCount('delete', arguments.length, 1);
      const key = `${name}`.toWellFormed();
      this.#pairs = pairs.filter((pair) => pair[0] !== key);
    }

    get(name) {
      const pairs = pairsOf(this);
      checkCount('get', arguments.length, 1);
      const key = `${name}`.toWellFormed();
      return pairs.find((pair) => pair[0] === key)?.[1] ?? null;
    }

    getAll(name) {
      const pairs = pairsOf(this);
      checkCount('getAll', arguments.length, 1);
      const key = `${name}`.toWellFormed();
      return pairs.filter((pair) => pair[0] === key).map((pair) => pair[1]);
    }

    has(name) {
      const pairs = pairsOf(this);
      checkCount('has', arguments.length, 1);
      const key = `${name}`.toWellFormed();
      return pairs.some((pair) => pair[0] === key);
    }

    set(name, value, fileName = undefined) {
      const pairs = pairsOf(this);
      checkCount('set', arguments.length, 2);
      const pair = pairOf('set', name, value, fileName);
      const at = pairs.findIndex((each) => each[0] === pair[0]);
      if (at < 0) pairs.push(pair);
      else this.#pairs = pairs.flatMap((each, n) => (n === at ? [pair] : each[0] === pair[0] ? [] : [each]));
    }

    keys() {
      return iterate(this, (pair) => pair[0]);
    }

    values() {
      return iterate(this, (pair) => pair[1]);
    }

    entries() {
      return iterate(this, (pair) => [...pair]);
    }

    forEach(callback, self = undefined) {
      checkCount('forEach', arguments.length, 1);
      if (typeof callback !== 'function')
        throw new TypeError("Failed to execute 'forEach' on 'FormData': parameter 1 is not of type 'Function'.");
      for (let at = 0; at < pairsOf(this).length; at++) {
        const [name, value] = pairsOf(this)[at];
        Reflect.apply(callback, self, [value, name, this]);
      }
    }

    get [shared.shownParts]() {
      const names = new Set(pairsOf(this).map((pair) => pair[0]));
      return [...names].map((name) => {
        const values = this.getAll(name);
        return [name, values.length === 1 ? values[0] : values];
      });
    }
  }

  // What is added meanwhile is seen.
  const iteratorPrototype = Object.create(Object.getPrototypeOf(Object.getPrototypeOf([][Symbol.iterator]())), {
    next: {
      writable: true,
      enumerable: true,
      configurable: true,
      value: function next() {
        const { form, at, shape } = places.get(this);
        const pairs = pairsOf(form);
        if (at >= pairs.length) return { value: undefined, done: true };
        places.set(this, { form, at: at + 1, shape });
        return { value: shape(pairs[at]), done: false };
      },
    },
    [Symbol.toStringTag]: { value: 'FormData Iterator', configurable: true },
  });
  const places = new WeakMap();
  function iterate(form, shape) {
    pairsOf(form);
    const iterator = Object.create(iteratorPrototype);
    places.set(iterator, { form, at: 0, shape });
    return iterator;
  }

  // === writing ===

  // Line breaks of names and texts are CRLF; in names they and quotes are escaped.
  function withBreaks(text) {
    return text.replace(/\r\n?|\n/g, '\r\n');
  }

  function escaped(name) {
    return name.replace(/\r/g, '%0D').replace(/\n/g, '%0A').replace(/"/g, '%22');
  }

  function newBoundary() {
    const random = new Uint8Array(BOUNDARY_RANDOM_BYTES);
    shared.randomFill(random);
    return `----formdata-serverledge-${Array.from(random, (byte) => byte.toString(16).padStart(2, '0')).join('')}`;
  }

  function formDataBody(form) {
    const boundary = newBoundary();
    const pieces = [];
    for (const [name, value] of pairsOf(form)) {
      const head = `--${boundary}\r\nContent-Disposition: form-data; name="${escaped(withBreaks(name))}"`;
      if (typeof value === 'string') {
        pieces.push(`${head}\r\n\r\n${withBreaks(value)}\r\n`);
      } else {
        const type = value.type === '' ? 'application/octet-stream' : value.type;
        pieces.push(`${head}; filename="${escaped(value.name)}"\r\nContent-Type: ${type}\r\n\r\n`, value, '\r\n');
      }
    }
    pieces.push(`--${boundary}--\r\n`);
    return { bytes: blobBytes(new Blob(pieces)), type: `multipart/form-data; boundary=${boundary}` };
  }

  // === reading ===

  function notAForm() {
    return new TypeError('Failed to parse body as FormData.');
  }

  // A media type as its essence and its parameters (https://mimesniff.spec.whatwg.org/).
  function mediaType(text) {
    const [essence] = text.split(';', 1);
    const parameters = new Map();
    const endFrom = (from) => {
      const at = text.indexOf(';', from);
      return at < 0 ? text.length : at;
    };
    for (let at = essence.length; at < text.length;) {
      let begin = at + 1;
      while (begin < text.length && shared.isHttpSpace(text.charCodeAt(begin))) begin++;
      at = begin;
      while (at < text.length && text[at] !== ';' && text[at] !== '=') at++;
      if (text[at] !== '=') continue;
      const name = text.slice(begin, at).toLowerCase();
      let value = '';
      if (text[at + 1] === '"') {
        for (at += 2; at < text.length && text[at] !== '"'; at++) {
          if (text[at] === '\\' && at + 1 < text.length) at++;
          value += text[at];
        }
        at = endFrom(at);
      } else {
        const end = endFrom(at);
        value = shared.trimmed(text.slice(at + 1, end), shared.isHttpSpace);
        at = end;
      }
      if (name !== '' && !parameters.has(name)) parameters.set(name, value);
    }
    return { essence: essence.trim().toLowerCase(), parameters };
  }

  function startsWith(bytes, at, wanted) {
    if (at + wanted.length > bytes.length) return false;
    for (let n = 0; n < wanted.length; n++) if (bytes[at + n] !== wanted[n]) return false;
    return true;
  }

  function isBreak(bytes, at) {
    return bytes[at] === CR && bytes[at + 1] === LF;
  }

  // Where a line break with the delimiter behind it stands; -1: nowhere.
  function findDelimiter(bytes, from, delimiter) {
    for (let at = bytes.indexOf(CR, from); at >= 0; at = bytes.indexOf(CR, at + 1)) {
      if (bytes[at + 1] === LF && startsWith(bytes, at + 2, delimiter)) return at;
    }
    return -1;
  }

  // The headers of a part, and where its body begins.
  function readHead(bytes, from) {
    const headers = new Map();
    let at = from;
    while (!isBreak(bytes, at)) {
      const end = bytes.indexOf(CR, at);
      if (end < 0 || bytes[end + 1] !== LF) throw notAForm();
      const line = new TextDecoder().decode(bytes.subarray(at, end));
      const colon = line.indexOf(':');
      if (colon <= 0) throw notAForm();
      headers.set(line.slice(0, colon).trim().toLowerCase(), line.slice(colon + 1).trim());
      at = end + 2;
    }
    return { headers, body: at + 2 };
  }

  function unescaped(name) {
    return name?.replace(/%0A/gi, '\n').replace(/%0D/gi, '\r').replace(/%22/g, '"');
  }

  // The name and the file's name of `form-data; name="…"; filename="…"`.
  function disposition(text) {
    const found = /^form-data\s*;\s*name="([^"]*)"(?:\s*;\s*filename="([^"]*)")?(?:\s*;.*)?$/i.exec(text ?? '');
    if (found === null) throw notAForm();
    return { name: unescaped(found[1]), fileName: unescaped(found[2]) };
  }

  function parseMultipart(bytes, boundary) {
    const delimiter = native.encode(`--${boundary}`);
    const form = new FormData();
    let at = 0;
    // An empty line may stand before the first one.
    while (isBreak(bytes, at)) at += 2;
    for (;;) {
      if (!startsWith(bytes, at, delimiter)) throw notAForm();
      at += delimiter.length;
      if (bytes[at] === DASH && bytes[at + 1] === DASH) return form;
      while (bytes[at] === 32 || bytes[at] === 9) at++;
      if (!isBreak(bytes, at)) throw notAForm();
      const { headers, body } = readHead(bytes, at + 2);
      const { name, fileName } = disposition(headers.get('content-disposition'));
      // An empty body's line break is the one before the delimiter.
      const end = findDelimiter(bytes, body, delimiter);
      if (end < 0) throw notAForm();
      const content = bytes.slice(body, end);
      if (fileName === undefined) form.append(name, new TextDecoder('utf-8', { ignoreBOM: true }).decode(content));
      else form.append(name, makeBlob(content, headers.get('content-type') ?? 'text/plain'), fileName);
      at = end + 2;
    }
  }

  function parseFormData(bytes, contentType) {
    const { essence, parameters } = mediaType(contentType ?? '');
    if (essence === 'multipart/form-data') {
      const boundary = parameters.get('boundary');
      if (boundary === undefined || boundary === '') throw notAForm();
      return parseMultipart(bytes, boundary);
    }
    if (essence !== 'application/x-www-form-urlencoded')
      throw new TypeError('Content-Type was not one of "multipart/form-data" or "application/x-www-form-urlencoded".');
    const form = new FormData();
    // A question mark at the beginning would be taken for that of a URL.
    const text = new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes);
    for (const [name, value] of new URLSearchParams(`?${text}`)) form.append(name, value);
    return form;
  }

  shared.isFormData = isFormData;
  shared.formDataBody = formDataBody;
  shared.parseFormData = parseFormData;
  shared.defineInterfaces({ FormData });
  Object.defineProperty(FormData.prototype, Symbol.iterator, {
    value: FormData.prototype.entries,
    writable: true,
    configurable: true,
  });
});
