// names: node:url 'url' 'url/'
// needs: interfaces
// node:url (https://nodejs.org/docs/latest-v20.x/api/url.html): the classes that are global, and the functions of older programs.
(function (native, shared) {
  'use strict';

  const { coded, invalidArgument } = shared;
  const SLASHED = new Set(['http', 'https', 'ftp', 'gopher', 'file', 'ws', 'wss']);
  const PARTS = 'protocol slashes auth host port hostname hash search query pathname path href'.split(' ');

  class Url {
    constructor() {
      for (const name of PARTS) this[name] = null;
    }

    parse(text, withQuery, slashesMean) {
      return Object.assign(this, parse(text, withQuery, slashesMean));
    }

    format() {
      return format(this);
    }

    resolve(relative) {
      return resolve(this.format(), relative);
    }

    resolveObject(relative) {
      return parse(this.resolve(relative));
    }
  }

  // Of what stands behind `//`: the rest begins with the first character that ends a host.
  function takeHost(url, rest) {
    const found = /^([^/?#]*)(.*)$/s.exec(rest);
    let host = found[1];
    const at = host.lastIndexOf('@');
    if (at >= 0) {
      url.auth = decodeURIComponent(host.slice(0, at));
      host = host.slice(at + 1);
    }
    const port = /:(\d*)$/.exec(host);
    if (port) {
      host = host.slice(0, port.index);
      if (port[1] !== '') url.port = port[1];
    }
    url.hostname = host.replace(/^\[(.*)\]$/, '$1').toLowerCase();
    if (host.startsWith('[')) host = `[${url.hostname}]`;
    url.host = host.toLowerCase() + (url.port === null ? '' : `:${url.port}`);
    return found[2];
  }

  const escaped = (text) =>
    text.replace(
      /[\s"'<>\\^`{|}]/g,
      (character) => `%${character.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`,
    );

  function parse(text, withQuery = false, slashesMean = false) {
    if (text instanceof Url) return text;
    if (typeof text !== 'string') throw invalidArgument('url', 'of type string', text);
    const url = new Url();
    let rest = text.trim();
    const [, before, after] = /^([^?#]*)(.*)$/s.exec(rest);
    rest = before.replaceAll('\\', '/') + after;
    const scheme = /^[a-z0-9.+-]+:/i.exec(rest);
    if (scheme) {
      url.protocol = scheme[0].toLowerCase();
      rest = rest.slice(scheme[0].length);
    }
    const isSlashed = scheme !== null && SLASHED.has(url.protocol.slice(0, -1));
    if (rest.startsWith('//') && (scheme !== null || slashesMean) && url.protocol !== 'javascript:') {
      url.slashes = true;
      rest = takeHost(url, rest.slice(2));
    } else if (scheme !== null && !isSlashed && url.protocol !== 'javascript:') rest = takeHost(url, rest);
    const parts = /^([^?#]*)(\?[^#]*)?(#.*)?$/s.exec(escaped(rest));
    url.hash = parts[3] ?? null;
    const query = parts[2];
    if (query !== undefined) {
      url.search = query;
      url.query = query.slice(1);
    }
    if (withQuery) url.query = parsedQuery(url.query ?? '');
    if (parts[1] !== '') url.pathname = parts[1];
    if (isSlashed && url.hostname && url.pathname === null) url.pathname = '/';
    if (url.pathname !== null || url.search) url.path = (url.pathname ?? '') + (url.search ?? '');
    url.href = format(url);
    return url;
  }

  function parsedQuery(text) {
    const values = Object.create(null);
    for (const [key, value] of new URLSearchParams(text)) {
      values[key] = key in values ? [values[key], value].flat() : value;
    }
    return values;
  }

  function writtenQuery(query) {
    const pairs = Object.entries(query).flatMap(([key, value]) =>
      (Array.isArray(value) ? value : [value]).map((each) => [key, each]),
    );
    const text = (value) =>
      ['string', 'number', 'bigint', 'boolean'].includes(typeof value) ? encodeURIComponent(value) : '';
    return pairs.map(([key, value]) => `${text(key)}=${text(value)}`).join('&');
  }

  function formatURL(url, options) {
    const { fragment = true, search = true, auth = true } = options ?? {};
    const copy = new URL(url);
    if (!fragment) copy.hash = '';
    if (!search) copy.search = '';
    if (!auth) [copy.username, copy.password] = ['', ''];
    return copy.href;
  }

  function format(url, options) {
    if (url instanceof URL) return formatURL(url, options);
    if (typeof url === 'string') return format(parse(url));
    if (url === null || typeof url !== 'object')
      throw invalidArgument('urlObject', 'one of type object or string', url);
    let protocol = url.protocol || '';
    if (protocol && !protocol.endsWith(':')) protocol += ':';
    const auth = url.auth ? `${encodeURIComponent(url.auth).replace(/%3A/i, ':')}@` : '';
    let host = false;
    if (url.host) host = auth + url.host;
    else if (url.hostname) {
      const name = url.hostname.includes(':') && !url.hostname.startsWith('[') ? `[${url.hostname}]` : url.hostname;
      host = auth + name + (url.port ? `:${url.port}` : '');
    }
    const query = url.query !== null && typeof url.query === 'object' ? writtenQuery(url.query) : '';
    let search = url.search || (query && `?${query}`) || '';
    if (search && !search.startsWith('?')) search = `?${search}`;
    let hash = url.hash || '';
    if (hash && !hash.startsWith('#')) hash = `#${hash}`;
    let pathname = (url.pathname || '').replaceAll('#', '%23').replaceAll('?', '%3F');
    let begin = protocol;
    if (url.slashes || ((protocol === '' || SLASHED.has(protocol.slice(0, -1))) && host !== false)) {
      if (url.slashes || host) {
        if (pathname && !pathname.startsWith('/')) pathname = `/${pathname}`;
        begin += `//${host || ''}`;
      }
    } else if (host) begin += host;
    return begin + pathname + search.replaceAll('#', '%23') + hash;
  }

  // Where there is no base, one is lent and taken away again.
  function resolve(from, to) {
    const lent = 'resolve://';
    const base = new URL(from, lent);
    const whole = new URL(to, base);
    if (whole.protocol !== 'resolve:') return whole.href;
    const isRooted = from.startsWith('/') || `${to}`.startsWith('/');
    return (isRooted ? whole.pathname : whole.pathname.replace(/^\//, '')) + whole.search + whole.hash;
  }

  function fileURLToPath(path) {
    const url = typeof path === 'string' ? new URL(path) : path;
    if (!(url instanceof URL)) throw invalidArgument('path', 'of type string or an instance of URL', path);
    if (url.protocol !== 'file:')
      throw coded(new TypeError('The URL must be of scheme file'), 'ERR_INVALID_URL_SCHEME');
    if (url.hostname !== '')
      throw coded(new TypeError('File URL host must be "localhost" or empty on linux'), 'ERR_INVALID_FILE_URL_HOST');
    if (/%2f/i.test(url.pathname))
      throw coded(new TypeError('File URL path must not include encoded / characters'), 'ERR_INVALID_FILE_URL_PATH');
    return decodeURIComponent(url.pathname);
  }

  function pathToFileURL(path) {
    if (typeof path !== 'string') throw invalidArgument('path', 'of type string', path);
    const url = new URL('file:///');
    const marks = { '%': '%25', '\\': '%5C', '\n': '%0A', '\r': '%0D', '\t': '%09', '?': '%3F', '#': '%23' };
    url.pathname = (path.startsWith('/') ? path : `/${path}`).replace(/[%\\\n\r\t?#]/g, (mark) => marks[mark]);
    return url;
  }

  function urlToHttpOptions(url) {
    const { hostname, pathname, port, username, password, search } = url;
    const options = {
      __proto__: null,
      ...url,
      protocol: url.protocol,
      hostname: hostname.startsWith('[') ? hostname.slice(1, -1) : hostname,
      hash: url.hash,
      search,
      pathname,
      path: `${pathname || ''}${search || ''}`,
      href: url.href,
    };
    if (port !== '') options.port = Number(port);
    if (username || password) options.auth = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`;
    return options;
  }

  function domain(name) {
    try {
      return new URL(`ws://${name}`).hostname;
    } catch {
      return '';
    }
  }

  shared.nodeModules.url = {
    Url,
    parse,
    resolve,
    resolveObject: (from, to) => parse(resolve(from, to)),
    format,
    URL,
    URLSearchParams,
    domainToASCII: domain,
    pathToFileURL,
    fileURLToPath,
    urlToHttpOptions,
  };
});
