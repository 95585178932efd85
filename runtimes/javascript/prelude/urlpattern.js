// names: URLPattern
// needs: interfaces
// URLPattern (https://urlpattern.spec.whatwg.org/), by its algorithms: a pattern becomes tokens, those become parts,
// and the parts of each component become a regular expression and the normalized pattern.
(function (native, shared) {
  'use strict';

  const { URL } = globalThis;
  const COMPONENTS = ['protocol', 'username', 'password', 'hostname', 'port', 'pathname', 'search', 'hash'];
  const DEFAULT_PORTS = { ftp: '21', file: '', http: '80', https: '443', ws: '80', wss: '443' };
  const SPECIAL_SCHEMES = Object.keys(DEFAULT_PORTS);
  const DUMMY_HOST = 'dummy.invalid';
  const PORT_MAX = 65535;
  const FULL_WILDCARD = '.*';
  const MODIFIERS = { '?': 'optional', '*': 'zero-or-more', '+': 'one-or-more' };
  const MODIFIER_MARKS = { none: '', optional: '?', 'zero-or-more': '*', 'one-or-more': '+' };
  const DEFAULT_OPTIONS = { delimiter: '', prefix: '' };
  const HOSTNAME_OPTIONS = { delimiter: '.', prefix: '' };
  const PATHNAME_OPTIONS = { delimiter: '/', prefix: '/' };

  const isNameStart = (character) => /^[$_\p{ID_Start}]$/u.test(character);
  const isNamePart = (character) => /^[$\u200c\u200d\p{ID_Continue}]$/u.test(character);
  const isDigit = (character) => character >= '0' && character <= '9';
  const isAscii = (character) => character <= '\x7f';
  const byCode = (character) => `\\x${character.charCodeAt(0).toString(16).padStart(2, '0')}`;
  const escapeRegExp = (text) => text.replace(/[\0-\x2f\x3a-\x40\x5b-\x60\x7b-\x7f]/g, byCode);
  const escapePattern = (text) => text.replace(/[+*?:{}()\\]/g, '\\$&');
  const segmentWildcard = ({ delimiter }) => `[^${delimiter === '' ? '' : `\\${delimiter}`}]+?`;

  function malformed(pattern, why) {
    return new TypeError(`the pattern "${pattern}" is malformed: ${why}`);
  }

  // === tokens ===

  // Where the name ends that begins at an index.
  function endOfName(characters, start) {
    let at = start;
    while (at < characters.length && (at === start ? isNameStart : isNamePart)(characters[at])) at++;
    return at;
  }

  // Where the regular expression ends that begins behind a parenthesis, with the parenthesis that closes it; undefined if it is
  // malformed.
  function endOfRegExp(characters, start) {
    let depth = 1;
    for (let at = start; at < characters.length; at++) {
      const character = characters[at];
      if (!isAscii(character) || (at === start && character === '?')) return undefined;
      if (character === '\\') {
        at += 1;
        if (at === characters.length || !isAscii(characters[at])) return undefined;
      } else if (character === ')') {
        depth -= 1;
        if (depth === 0) return at === start ? undefined : at + 1;
      } else if (character === '(') {
        // Only groups that capture nothing.
        if (characters[at + 1] !== '?') return undefined;
        depth += 1;
      }
    }
    return undefined;
  }

  const SINGLE_TOKENS = { '*': 'asterisk', '+': 'other-modifier', '?': 'other-modifier', '{': 'open', '}': 'close' };

  // The token at an index, with where the next one begins.
  function tokenAt(characters, index, mistake) {
    const make = (type, from, to, next = to) => ({ type, index, value: characters.slice(from, to).join(''), next });
    const character = characters[index];
    const after = index + 1;
    const invalid = (why, from, to) => {
      mistake(why);
      return make('invalid-char', from, to);
    };
    if (SINGLE_TOKENS[character] !== undefined) return make(SINGLE_TOKENS[character], index, after);
    switch (character) {
      case '\\':
        if (after === characters.length) return invalid('a backslash at its end', index, after);
        return make('escaped-char', after, after + 1);
      case ':': {
        const end = endOfName(characters, after);
        return end === after ? invalid('a colon without a name', index, after) : make('name', after, end);
      }
      case '(': {
        const end = endOfRegExp(characters, after);
        if (end === undefined) return invalid('a parenthesis without a regular expression', index, after);
        return make('regexp', after, end - 1, end);
      }
      default:
        return make('char', index, after);
    }
  }

  function tokenize(input, isStrict) {
    const characters = Array.from(input);
    const tokens = [];
    const mistake = (why) => {
      if (isStrict) throw malformed(input, why);
    };
    for (let index = 0; index < characters.length; index = tokens.at(-1).next)
      tokens.push(tokenAt(characters, index, mistake));
    tokens.push({ type: 'end', index: characters.length, value: '' });
    return { characters, tokens };
  }

  // === parts ===

  class PatternParser {
    #input;
    #tokens;
    #encode;
    #options;
    #parts = [];
    #pending = '';
    #index = 0;
    #nextNumber = 0;

    constructor(input, options, encode) {
      this.#input = input;
      this.#tokens = tokenize(input, true).tokens;
      this.#options = options;
      this.#encode = encode;
    }

    #take(...types) {
      const token = this.#tokens[this.#index];
      if (token === undefined || !types.includes(token.type)) return null;
      this.#index += 1;
      return token;
    }

    #require(type) {
      if (this.#take(type) === null) throw malformed(this.#input, `no ${type} where one has to be`);
    }

    #takeGroup(name) {
      return this.#take('regexp') ?? (name === null ? this.#take('asterisk') : null);
    }

    #takeText() {
      let text = '';
      for (let token = this.#take('char', 'escaped-char'); token !== null; token = this.#take('char', 'escaped-char'))
        text += token.value;
      return text;
    }

    parse() {
      while (this.#index < this.#tokens.length) this.#step();
      return this.#parts;
    }

    #step() {
      const character = this.#take('char');
      const name = this.#take('name');
      const group = this.#takeGroup(name);
      if (name !== null || group !== null) {
        let prefix = character?.value ?? '';
        if (prefix !== this.#options.prefix) {
          this.#pending += prefix;
          prefix = '';
        }
        this.#flush();
        this.#add(prefix, name, group, '', this.#take('other-modifier', 'asterisk'));
        return;
      }
      const fixed = character ?? this.#take('escaped-char');
      if (fixed !== null) {
        this.#pending += fixed.value;
        return;
      }
      if (this.#take('open') !== null) {
        this.#braces();
        return;
      }
      this.#flush();
      this.#require('end');
    }

    #braces() {
      const prefix = this.#takeText();
      const name = this.#take('name');
      const group = this.#takeGroup(name);
      const suffix = this.#takeText();
      this.#require('close');
      this.#add(prefix, name, group, suffix, this.#take('other-modifier', 'asterisk'));
    }

    #flush() {
      if (this.#pending === '') return;
      const value = this.#encode(this.#pending);
      this.#pending = '';
      this.#parts.push({ type: 'fixed-text', value, modifier: 'none', name: '', prefix: '', suffix: '' });
    }

    #add(prefix, name, group, suffix, modifierToken) {
      const modifier = modifierToken === null ? 'none' : MODIFIERS[modifierToken.value];
      const isText = name === null && group === null;
      if (isText && modifier === 'none') {
        this.#pending += prefix;
        return;
      }
      this.#flush();
      if (isText) {
        if (prefix === '') return;
        const value = this.#encode(prefix);
        this.#parts.push({ type: 'fixed-text', value, modifier, name: '', prefix: '', suffix: '' });
        return;
      }
      this.#parts.push({
        ...this.#matcher(group),
        modifier,
        name: this.#nameOf(name),
        prefix: this.#encode(prefix),
        suffix: this.#encode(suffix),
      });
    }

    #matcher(group) {
      const wildcard = segmentWildcard(this.#options);
      const value = group === null ? wildcard : group.type === 'asterisk' ? FULL_WILDCARD : group.value;
      if (value === wildcard) return { type: 'segment-wildcard', value: '' };
      if (value === FULL_WILDCARD) return { type: 'full-wildcard', value: '' };
      return { type: 'regexp', value };
    }

    #nameOf(token) {
      const name = token === null ? String(this.#nextNumber++) : token.value;
      if (this.#parts.some((part) => part.name === name)) throw malformed(this.#input, `two groups have the name ${name}`);
      return name;
    }
  }

  // === regular expressions ===

  // With the flag `v` the engine refuses outside of classes, too, what means something in classes only: a hyphen, a slash, and
  // two marks of the same kind. Written by their codes they are let through.
  function tolerable(source) {
    const pieces = source.match(/\\[^]|\(\?[a-z]*-[a-z]+:|([&!#%,:;<=>@`~])\1|[^]/g) ?? [];
    let depth = 0;
    return pieces
      .map((piece) => {
        if (piece === '[') depth += 1;
        else if (piece === ']') depth -= 1;
        else if (depth === 0 && (piece === '-' || piece === '/')) return byCode(piece);
        else if (depth === 0 && piece.length === 2 && piece[0] === piece[1]) return piece[0] + byCode(piece[1]);
        return piece;
      })
      .join('');
  }

  function regExpOfPart(part, options) {
    const mark = MODIFIER_MARKS[part.modifier];
    if (part.type === 'fixed-text') {
      const text = escapeRegExp(part.value);
      return mark === '' ? text : `(?:${text})${mark}`;
    }
    const value =
      part.type === 'segment-wildcard'
        ? segmentWildcard(options)
        : part.type === 'full-wildcard'
          ? FULL_WILDCARD
          : tolerable(part.value);
    const isRepeated = mark === '*' || mark === '+';
    const prefix = escapeRegExp(part.prefix);
    const suffix = escapeRegExp(part.suffix);
    if (prefix === '' && suffix === '') return isRepeated ? `((?:${value})${mark})` : `(${value})${mark}`;
    if (!isRepeated) return `(?:${prefix}(${value})${suffix})${mark}`;
    const repeated = `(?:${prefix}((?:${value})(?:${suffix}${prefix}(?:${value}))*)${suffix})`;
    return mark === '*' ? `${repeated}?` : repeated;
  }

  // === normalized patterns ===

  function needsBraces(part, previous, next, options) {
    if (part.suffix !== '' || (part.prefix !== '' && part.prefix !== options.prefix)) return true;
    const isPlainName = part.type === 'segment-wildcard' && part.modifier === 'none' && !isDigit(part.name[0]);
    if (isPlainName && next !== undefined && next.prefix === '' && next.suffix === '') {
      const [first] = next.type === 'fixed-text' ? next.value : next.name;
      if (next.type === 'fixed-text' ? isNamePart(first) : isDigit(first)) return true;
    }
    return (
      part.prefix === '' &&
      previous?.type === 'fixed-text' &&
      options.prefix !== '' &&
      previous.value.at(-1) === options.prefix
    );
  }

  function matcherText(part, previous, inBraces, options) {
    const isNamed = !isDigit(part.name[0]);
    if (part.type === 'regexp') return `(${part.value})`;
    if (part.type === 'segment-wildcard') return isNamed ? '' : `(${segmentWildcard(options)})`;
    const isAlone =
      previous === undefined ||
      previous.type === 'fixed-text' ||
      previous.modifier !== 'none' ||
      inBraces ||
      part.prefix !== '';
    return !isNamed && isAlone ? '*' : `(${FULL_WILDCARD})`;
  }

  function patternOfPart(part, previous, next, options) {
    const mark = MODIFIER_MARKS[part.modifier];
    if (part.type === 'fixed-text') {
      const text = escapePattern(part.value);
      return mark === '' ? text : `{${text}}${mark}`;
    }
    const isNamed = !isDigit(part.name[0]);
    const inBraces = needsBraces(part, previous, next, options);
    const name = isNamed ? `:${part.name}` : '';
    const continues =
      part.type === 'segment-wildcard' && isNamed && part.suffix !== '' && isNamePart(Array.from(part.suffix)[0]);
    const text =
      escapePattern(part.prefix) +
      name +
      matcherText(part, previous, inBraces, options) +
      (continues ? '\\' : '') +
      escapePattern(part.suffix);
    return (inBraces ? `{${text}}` : text) + mark;
  }

  // === components ===

  function compile(input, encode, options, ignoreCase = false) {
    const parts = new PatternParser(input, options, encode).parse();
    const source = `^${parts.map((part) => regExpOfPart(part, options)).join('')}$`;
    let regExp;
    try {
      regExp = new RegExp(source, ignoreCase ? 'vi' : 'v');
    } catch (error) {
      throw malformed(input, error.message);
    }
    return {
      regExp,
      pattern: parts.map((part, at) => patternOfPart(part, parts[at - 1], parts[at + 1], options)).join(''),
      names: parts.filter((part) => part.type !== 'fixed-text').map((part) => part.name),
      hasRegExp: parts.some((part) => part.type === 'regexp'),
    };
  }

  function matchesSpecial({ regExp }) {
    return SPECIAL_SCHEMES.some((scheme) => regExp.test(scheme));
  }

  function isIPv6(hostname) {
    return (
      hostname.length >= 2 && (hostname[0] === '[' || ((hostname[0] === '{' || hostname[0] === '\\') && hostname[1] === '['))
    );
  }

  // === encoding ===

  function dummy() {
    return new URL(`https://${DUMMY_HOST}/`);
  }

  // What cannot be part of a URL is no part of a pattern either; nothing stays nothing.
  const encoders = {
    protocol(value) {
      const url = URL.parse(`${value}://${DUMMY_HOST}/`);
      if (url === null) throw malformed(value, 'no URL has this protocol');
      return url.protocol.slice(0, -1);
    },
    username(value) {
      return Object.assign(dummy(), { username: value }).username;
    },
    password(value) {
      return Object.assign(dummy(), { password: value }).password;
    },
    hostname(value) {
      const text = value.replace(/[\t\n\r]/g, '');
      const url = Object.assign(dummy(), { hostname: text });
      const isRefused = url.hostname === DUMMY_HOST && text.toLowerCase() !== DUMMY_HOST;
      if (isRefused || /^[^/?#\\[]*:/.test(text)) throw malformed(value, 'no URL has this host');
      return url.hostname;
    },
    ipv6(value) {
      if (!/^[0-9a-f:[\]]*$/i.test(value)) throw malformed(value, 'no URL has this address');
      return value.toLowerCase();
    },
    port(value, protocol = '') {
      const [digits] = /^[0-9]*/.exec(value.replace(/[\t\n\r]/g, ''));
      if (digits === '' || Number(digits) > PORT_MAX) throw malformed(value, 'no URL has this port');
      const port = String(Number(digits));
      return Object.hasOwn(DEFAULT_PORTS, protocol) && DEFAULT_PORTS[protocol] === port ? '' : port;
    },
    // A slash at the beginning would be added: so that it is not, there is one, and something behind it.
    pathname(value) {
      if (value[0] === '/') return Object.assign(dummy(), { pathname: value }).pathname;
      return Object.assign(dummy(), { pathname: `/-${value}` }).pathname.slice(2);
    },
    opaque(value) {
      const url = URL.parse(`dummy:-${value}#`);
      if (url === null) throw malformed(value, 'no URL has this path');
      return url.pathname.slice(1);
    },
    search(value) {
      return Object.assign(dummy(), { search: `?${value}` }).search.slice(1);
    },
    hash(value) {
      return Object.assign(dummy(), { hash: `#${value}` }).hash.slice(1);
    },
  };
  const encode = {};
  for (const [name, encoder] of Object.entries(encoders))
    encode[name] = (value, ...more) => (value === '' ? '' : encoder(value, ...more));

  // === constructor strings ===

  class StringParser {
    result = {};
    #characters;
    #tokens;
    #start = 0;
    #index = 0;
    #increment = 1;
    #depth = 0;
    #brackets = 0;
    #isSpecial = false;
    #state = 'init';

    constructor(input) {
      ({ characters: this.#characters, tokens: this.#tokens } = tokenize(input, false));
    }

    parse() {
      for (; this.#index < this.#tokens.length; this.#index += this.#increment) {
        this.#increment = 1;
        const { type } = this.#tokens[this.#index];
        if (type === 'end') {
          if (this.#end()) break;
        } else if (type === 'open') {
          this.#depth += 1;
        } else if (this.#depth > 0) {
          if (type !== 'close') continue;
          this.#depth -= 1;
          this.#step();
        } else {
          this.#step();
        }
      }
      if (this.result.hostname !== undefined) this.result.port ??= '';
      return this.result;
    }

    // Whether this was the end; else it goes on from where the component began.
    #end() {
      if (this.#state === 'init') {
        this.#rewind('init');
        if (this.#is('#')) this.#change('hash', 1);
        else if (this.#isSearch()) this.#change('search', 1);
        else this.#change('pathname', 0);
        return false;
      }
      if (this.#state === 'authority') {
        this.#rewind('hostname');
        return false;
      }
      this.#change('done', 0);
      return true;
    }

    #step() {
      switch (this.#state) {
        case 'init':
          if (this.#is(':')) this.#rewind('protocol');
          break;
        case 'protocol':
          if (this.#is(':')) this.#endProtocol();
          break;
        case 'authority':
          if (this.#is('@')) this.#rewind('username');
          else if (this.#is('/') || this.#isSearch() || this.#is('#')) this.#rewind('hostname');
          break;
        case 'username':
          if (this.#is(':')) this.#change('password', 1);
          else if (this.#is('@')) this.#change('hostname', 1);
          break;
        case 'password':
          if (this.#is('@')) this.#change('hostname', 1);
          break;
        case 'hostname':
          if (this.#is('[')) this.#brackets += 1;
          else if (this.#is(']')) this.#brackets -= 1;
          else if (this.#is(':') && this.#brackets === 0) this.#change('port', 1);
          else this.#endAuthority();
          break;
        case 'port':
          this.#endAuthority();
          break;
        case 'pathname':
          if (this.#isSearch()) this.#change('search', 1);
          else if (this.#is('#')) this.#change('hash', 1);
          break;
        case 'search':
          if (this.#is('#')) this.#change('hash', 1);
          break;
        default:
      }
    }

    #endProtocol() {
      this.#isSpecial = matchesSpecial(compile(this.#text(), encode.protocol, DEFAULT_OPTIONS));
      if (this.#is('/', 1) && this.#is('/', 2)) this.#change('authority', 3);
      else this.#change(this.#isSpecial ? 'authority' : 'pathname', 1);
    }

    #endAuthority() {
      if (this.#is('/')) this.#change('pathname', 0);
      else if (this.#isSearch()) this.#change('search', 1);
      else if (this.#is('#')) this.#change('hash', 1);
    }

    #change(state, skip) {
      const { result } = this;
      const from = this.#state;
      if (!['init', 'authority', 'done'].includes(from)) result[from] = this.#text();
      if (from !== 'init' && state !== 'done') {
        const is = (name, ...names) => names.includes(name);
        const isEarly = is(from, 'protocol', 'authority', 'username', 'password');
        if (isEarly && is(state, 'port', 'pathname', 'search', 'hash')) result.hostname ??= '';
        const isBeforePath = isEarly || is(from, 'hostname', 'port');
        if (isBeforePath && is(state, 'search', 'hash')) result.pathname ??= this.#isSpecial ? '/' : '';
        if ((isBeforePath || from === 'pathname') && state === 'hash') result.search ??= '';
      }
      this.#state = state;
      this.#index += skip;
      this.#start = this.#index;
      this.#increment = 0;
    }

    #rewind(state) {
      this.#index = this.#start;
      this.#increment = 0;
      this.#state = state;
    }

    #token(index) {
      return this.#tokens[Math.min(index, this.#tokens.length - 1)];
    }

    // Whether it is this character, which means nothing more.
    #is(character, offset = 0) {
      const { type, value } = this.#token(this.#index + offset);
      return value === character && (type === 'char' || type === 'escaped-char' || type === 'invalid-char');
    }

    #isSearch() {
      if (this.#is('?')) return true;
      if (this.#tokens[this.#index].value !== '?') return false;
      const before = this.#index === 0 ? undefined : this.#token(this.#index - 1).type;
      return !['name', 'regexp', 'close', 'asterisk'].includes(before);
    }

    #text() {
      return this.#characters.slice(this.#token(this.#start).index, this.#tokens[this.#index].index).join('');
    }
  }

  // === components from objects ===

  function dictionary(input) {
    const init = {};
    for (const name of [...COMPONENTS, 'baseURL'])
      if (input[name] !== undefined) init[name] = `${input[name]}`.toWellFormed();
    return init;
  }

  function isAbsolute(pathname, isPattern) {
    return pathname[0] === '/' || (isPattern && (pathname[0] === '\\' || pathname[0] === '{') && pathname[1] === '/');
  }

  function hasOpaquePath(url) {
    return url.host === '' && !url.pathname.startsWith('/') && url.pathname !== '';
  }

  // What a pattern or a URL takes over from the base, but for what is less specific than what it has itself.
  function inherit(result, init, base, isPattern) {
    const lacks = (...names) => names.every((name) => init[name] === undefined);
    const text = (value) => (isPattern ? escapePattern(value) : value);
    if (lacks('protocol')) result.protocol = text(base.protocol.slice(0, -1));
    if (!isPattern && lacks('protocol', 'hostname', 'port', 'username')) result.username = base.username;
    if (!isPattern && lacks('protocol', 'hostname', 'port', 'username', 'password')) result.password = base.password;
    if (lacks('protocol', 'hostname')) result.hostname = text(base.hostname);
    if (lacks('protocol', 'hostname', 'port')) result.port = base.port;
    if (lacks('protocol', 'hostname', 'port', 'pathname')) result.pathname = text(base.pathname);
    if (lacks('protocol', 'hostname', 'port', 'pathname', 'search')) result.search = text(base.search.slice(1));
    if (lacks('protocol', 'hostname', 'port', 'pathname', 'search', 'hash')) result.hash = text(base.hash.slice(1));
  }

  function processPathname(pathname, base, protocol, isPattern) {
    let path = pathname;
    if (base !== null && !hasOpaquePath(base) && !isAbsolute(path, isPattern)) {
      const from = isPattern ? escapePattern(base.pathname) : base.pathname;
      path = from.slice(0, from.lastIndexOf('/') + 1) + path;
    }
    if (isPattern) return path;
    return protocol === '' || SPECIAL_SCHEMES.includes(protocol) ? encode.pathname(path) : encode.opaque(path);
  }

  function processInit(init, isPattern) {
    const result = isPattern ? {} : Object.fromEntries(COMPONENTS.map((name) => [name, '']));
    let base = null;
    if (init.baseURL !== undefined) {
      base = URL.parse(init.baseURL);
      if (base === null) throw new TypeError(`the base URL "${init.baseURL}" is invalid`);
      inherit(result, init, base, isPattern);
    }
    const set = (name, value, ...more) => {
      result[name] = isPattern ? value : encode[name](value, ...more);
    };
    const { protocol, username, password, hostname, port, pathname, search, hash } = init;
    if (protocol !== undefined) set('protocol', protocol.replace(/:$/, ''));
    if (username !== undefined) set('username', username);
    if (password !== undefined) set('password', password);
    if (hostname !== undefined) set('hostname', hostname);
    const scheme = result.protocol ?? '';
    if (port !== undefined) set('port', port, scheme);
    if (pathname !== undefined) result.pathname = processPathname(pathname, base, scheme, isPattern);
    if (search !== undefined) set('search', search.replace(/^\?/, ''));
    if (hash !== undefined) set('hash', hash.replace(/^#/, ''));
    return result;
  }

  // === patterns ===

  function initOf(input, baseURL) {
    if (typeof input === 'object' && input !== null) {
      if (baseURL !== undefined) throw new TypeError('an object has no base URL beside it, only inside');
      return dictionary(input);
    }
    const init = new StringParser(`${input}`.toWellFormed()).parse();
    if (baseURL === undefined && init.protocol === undefined)
      throw new TypeError(`the pattern "${input}" is relative, and there is no base URL`);
    return baseURL === undefined ? init : { ...init, baseURL };
  }

  // The components of a pattern, compiled.
  function create(input, baseURL, ignoreCase) {
    const init = processInit(initOf(input, baseURL), true);
    for (const name of COMPONENTS) init[name] ??= '*';
    if (Object.hasOwn(DEFAULT_PORTS, init.protocol) && DEFAULT_PORTS[init.protocol] === init.port) init.port = '';
    const made = {};
    for (const name of ['protocol', 'username', 'password', 'port'])
      made[name] = compile(init[name], (text) => encode[name](text), DEFAULT_OPTIONS);
    made.hostname = compile(init.hostname, isIPv6(init.hostname) ? encode.ipv6 : encode.hostname, HOSTNAME_OPTIONS);
    made.pathname = matchesSpecial(made.protocol)
      ? compile(init.pathname, encode.pathname, PATHNAME_OPTIONS, ignoreCase)
      : compile(init.pathname, encode.opaque, DEFAULT_OPTIONS, ignoreCase);
    made.search = compile(init.search, encode.search, DEFAULT_OPTIONS, ignoreCase);
    made.hash = compile(init.hash, encode.hash, DEFAULT_OPTIONS, ignoreCase);
    return made;
  }

  // The parts of what is to be matched, with the inputs as they are told; null if it is no URL.
  function valuesOf(input, baseURL) {
    if (typeof input === 'object' && input !== null) {
      if (baseURL !== undefined) throw new TypeError('an object has no base URL beside it, only inside');
      const init = dictionary(input);
      try {
        return { inputs: [init], values: processInit(init, false) };
      } catch (error) {
        if (shared.isInternal(error)) throw error;
        return null;
      }
    }
    const text = `${input}`.toWellFormed();
    const url = URL.parse(text, baseURL);
    if (url === null) return null;
    const values = {
      protocol: url.protocol.slice(0, -1),
      username: url.username,
      password: url.password,
      hostname: url.hostname,
      port: url.port,
      pathname: url.pathname,
      search: url.search.slice(1),
      hash: url.hash.slice(1),
    };
    return { inputs: baseURL === undefined ? [text] : [text, baseURL], values };
  }

  function match(components, input, baseURL) {
    const found = valuesOf(input, baseURL);
    if (found === null) return null;
    const result = { inputs: found.inputs };
    for (const name of COMPONENTS) {
      const { regExp, names } = components[name];
      const value = found.values[name];
      const groups = regExp.exec(value);
      if (groups === null) return null;
      result[name] = { input: value, groups: Object.fromEntries(names.map((group, at) => [group, groups[at + 1]])) };
    }
    return result;
  }

  function baseText(baseURL) {
    return baseURL === undefined ? undefined : `${baseURL}`.toWellFormed();
  }

  class URLPattern {
    #components;

    // With a base URL, or options, or both.
    constructor(input = {}, baseURL = undefined, options = undefined) {
      const hasBase = baseURL !== undefined && baseURL !== null && typeof baseURL !== 'object';
      const { ignoreCase } = shared.checkOptions(hasBase || options !== undefined ? options : baseURL);
      this.#components = create(input, hasBase ? baseText(baseURL) : undefined, Boolean(ignoreCase));
    }

    test(input = {}, baseURL = undefined) {
      return match(this.#components, input, baseText(baseURL)) !== null;
    }

    exec(input = {}, baseURL = undefined) {
      return match(this.#components, input, baseText(baseURL));
    }

    get protocol() {
      return this.#components.protocol.pattern;
    }

    get username() {
      return this.#components.username.pattern;
    }

    get password() {
      return this.#components.password.pattern;
    }

    get hostname() {
      return this.#components.hostname.pattern;
    }

    get port() {
      return this.#components.port.pattern;
    }

    get pathname() {
      return this.#components.pathname.pattern;
    }

    get search() {
      return this.#components.search.pattern;
    }

    get hash() {
      return this.#components.hash.pattern;
    }

    get hasRegExpGroups() {
      return COMPONENTS.some((name) => this.#components[name].hasRegExp);
    }

    get [shared.shownParts]() {
      return [...COMPONENTS, 'hasRegExpGroups'];
    }
  }

  shared.defineInterfaces({ URLPattern });
});
