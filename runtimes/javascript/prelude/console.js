// The console: lines on stderr, which is the log of the invocation. Values are shown much as Node.js shows them.
(function (native, shared) {
  'use strict';

  const DEPTH_MAX = 2;
  const ITEMS_MAX = 100;
  const STRING_CHARS_MAX = 10_000;
  const LINE_CHARS = 80;
  const ROW_CHARS = 76;
  const SINGLE_LINE_LEVELS = 3;
  const URL_PARTS = (
    'href origin protocol username password host hostname port pathname search searchParams hash'
  ).split(' ');
  // Classes of the prelude have it: the names of the properties that are shown of an object, or names with values.
  const shownParts = Symbol('shown parts');
  const CUSTOM = Symbol.for('nodejs.util.inspect.custom');
  // An object with more parts than this, counted over all depths, is not worth showing in full.
  const PARTS_MAX = 20_000;

  // === single values ===

  function quote(text) {
    const mark = !text.includes("'")
      ? "'"
      : !text.includes('"')
        ? '"'
        : !text.includes('`') && !text.includes('${')
          ? '`'
          : "'";
    const escapes = { '\n': '\\n', '\r': '\\r', '\t': '\\t', '\b': '\\b', '\f': '\\f', '\v': '\\v', '\\': '\\\\' };
    const inside = text.replace(/[\x00-\x1f\x7f-\x9f\\'"`]/g, (character) => {
      if (character === mark) return `\\${character}`;
      if ('\'"`'.includes(character)) return character;
      return escapes[character] ?? `\\x${character.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`;
    });
    return mark + inside + mark;
  }

  function showString(value) {
    if (value.length <= STRING_CHARS_MAX) return quote(value);
    const more = value.length - STRING_CHARS_MAX;
    return `${quote(value.slice(0, STRING_CHARS_MAX))}... ${more} more character${more > 1 ? 's' : ''}`;
  }

  function showPrimitive(value) {
    if (typeof value === 'string') return showString(value);
    if (typeof value === 'bigint') return `${value}n`;
    return Object.is(value, -0) ? '-0' : String(value);
  }

  function showKey(key) {
    if (typeof key === 'symbol') return `[${String(key)}]`;
    return /^[a-zA-Z_][a-zA-Z_0-9]*$/.test(key) ? key : quote(key);
  }

  // The name of the class that made the object; null if it has no prototype.
  function className(value) {
    for (let proto = value; proto !== null; proto = Object.getPrototypeOf(proto)) {
      const made = Object.getOwnPropertyDescriptor(proto, 'constructor')?.value;
      if (typeof made === 'function' && made.name !== '') return made.name;
    }
    return null;
  }

  // What stands before the braces: the class, if it is not the ordinary one, its size, and its tag.
  function prefix(value, ordinary, size) {
    const name = className(value);
    const sized = size === undefined ? '' : `(${size})`;
    const tag = value[Symbol.toStringTag];
    const tagged = typeof tag === 'string' && tag !== '' && tag !== name ? `[${tag}] ` : '';
    if (name === null) return `[${ordinary}${sized}: null prototype] ${tagged}`;
    return name === ordinary && tagged === '' && (ordinary === 'Object' || ordinary === 'Array')
      ? ''
      : `${name}${sized} ${tagged}`;
  }

  function showFunction(value) {
    const text = Function.prototype.toString.call(value);
    if (text.startsWith('class')) {
      const parent = Object.getPrototypeOf(value)?.name;
      return `[class ${value.name || '(anonymous)'}${parent ? ` extends ${parent}` : ''}]`;
    }
    const kind = className(value) ?? 'Function';
    return value.name ? `[${kind}: ${value.name}]` : `[${kind} (anonymous)]`;
  }

  function showError(value) {
    const name = String(value.name ?? 'Error');
    const message = String(value.message ?? '');
    const stack = shared.stackOf(value, name, message);
    return /^\s+at /m.test(stack) ? stack : `[${stack || shared.headOf(name, message)}]`;
  }

  // === objects ===

  class Inspector {
    constructor(depthMax = DEPTH_MAX) {
      this.depthMax = depthMax;
      this.above = [];
      this.cycles = new Map();
      this.parts = 0;
      this.indentation = 0;
      this.deepest = 0;
    }

    show(value, depth = 0) {
      if (value === null || (typeof value !== 'object' && typeof value !== 'function')) return showPrimitive(value);
      if (this.above.includes(value)) {
        if (!this.cycles.has(value)) this.cycles.set(value, this.cycles.size + 1);
        return `[Circular *${this.cycles.get(value)}]`;
      }
      try {
        return this.showObject(value, depth);
      } catch (error) {
        if (shared.isInternal(error)) throw error;
        return '[object that cannot be shown]';
      }
    }

    showObject(value, depth) {
      this.parts += 1;
      const form = this.formOf(value);
      const keys = this.keysOf(value, form);
      if (form.atom !== undefined && keys.length === 0) return form.atom;
      if (form.empty && keys.length === 0) return form.empty;
      if (depth > this.depthMax || this.parts > PARTS_MAX)
        return `[${(form.braces[0].slice(0, -1).trim() || className(value)) ?? 'Object: null prototype'}]`;
      this.above.push(value);
      this.deepest = depth;
      this.indentation += 2;
      const parts = form.items?.(depth + 1) ?? [];
      const itemCount = parts.length;
      for (const key of keys) parts.push(this.showProperty(value, key, depth + 1));
      this.indentation -= 2;
      this.above.pop();
      const mark = this.cycles.has(value) ? `<ref *${this.cycles.get(value)}> ` : '';
      const rows = form.isList && parts.length > 6 && parts.length === itemCount ? groupShort(parts) : parts;
      return mark + this.join(rows, form, rows.length === parts.length, depth);
    }

    keysOf(value, form) {
      if (form.isWhole) return [];
      const keys =
        form.isList || form.isText
          ? Object.keys(value).filter((key) => !/^(?:0|[1-9]\d*)$/.test(key))
          : Object.keys(value);
      const symbols = Object.getOwnPropertySymbols(value).filter((key) =>
        Object.prototype.propertyIsEnumerable.call(value, key),
      );
      return [...keys.filter((key) => !form.hides?.includes(key)), ...symbols];
    }

    // How a kind of object is shown: braces and items, or, if it has no properties of its own, an atom.
    formOf(value) {
      const custom = value[CUSTOM];
      const said = typeof custom === 'function' && custom !== inspect ? this.customForm(value, custom) : undefined;
      if (said !== undefined) return said;
      if (Array.isArray(value))
        return this.listForm(value, prefix(value, 'Array', className(value) === 'Array' ? undefined : value.length));
      if (typeof value === 'function') return this.atomForm(showFunction(value));
      if (Error.isError?.(value) ?? value instanceof Error) return this.errorForm(value);
      if (value instanceof Date)
        return this.atomForm(Number.isNaN(value.getTime()) ? 'Invalid Date' : value.toISOString());
      if (value instanceof RegExp) return this.atomForm(RegExp.prototype.toString.call(value));
      if (value instanceof Map) return this.mapForm(value);
      if (value instanceof Set)
        return {
          braces: [`${prefix(value, 'Set', value.size)}{`, '}'],
          items: (depth) => limited([...value].map((item) => this.show(item, depth))),
          empty: value.size === 0 ? `${prefix(value, 'Set', 0)}{}` : undefined,
        };
      if (ArrayBuffer.isView(value) && !(value instanceof DataView))
        return this.listForm(value, `${className(value)}(${value.length}) `);
      if (value instanceof ArrayBuffer) return this.bufferForm(value);
      if (value instanceof Promise) return this.promiseForm(value);
      const names = value instanceof URL ? URL_PARTS : value[shownParts];
      if (names !== undefined) return this.partsForm(value, names);
      if (value instanceof URLSearchParams) return this.searchForm(value);
      if (value instanceof WeakMap || value instanceof WeakSet)
        return { braces: [`${className(value)} {`, '}'], items: () => ['<items unknown>'] };
      for (const kind of [String, Number, Boolean, Symbol, BigInt]) {
        if (value instanceof kind)
          return { ...this.atomForm(`[${kind.name}: ${showPrimitive(value.valueOf())}]`), isText: kind === String };
      }
      const braces = [`${prefix(value, 'Object')}{`, '}'];
      return { braces, empty: `${braces[0]}}` };
    }

    // What an object's own function says of it, as Node.js asks for it.
    customForm(value, custom) {
      const depth = this.depthMax - this.above.length;
      const shown = custom.call(value, depth, { depth }, (inner, options) => inspect(inner, options?.depth ?? undefined));
      if (shown === value) return undefined;
      const text = typeof shown === 'string' ? shown : this.show(shown, this.above.length);
      return { atom: text.replaceAll('\n', `\n${' '.repeat(this.indentation)}`), braces: ['', ''], isWhole: true };
    }

    promiseForm(value) {
      const [state, result] = native.promise(value);
      const items = (depth) => {
        if (state === 'pending') return ['<pending>'];
        const shown = this.show(result, depth);
        return [state === 'rejected' ? `<rejected> ${shown}` : shown];
      };
      return { braces: [`${prefix(value, 'Promise')}{`, '}'], items };
    }

    partsForm(value, names) {
      const pairs = names.map((name) => (Array.isArray(name) ? name : [name, value[name]]));
      const items = (depth) => pairs.map(([name, part]) => `${showKey(name)}: ${this.show(part, depth)}`);
      const braces = [`${className(value)} {`, '}'];
      return { braces, empty: names.length === 0 ? `${braces[0]}}` : undefined, items };
    }

    searchForm(value) {
      const pair = ([name, text]) => `${quote(name)} => ${quote(text)}`;
      const braces = [`${className(value)} {`, '}'];
      return { braces, empty: value.size === 0 ? `${braces[0]}}` : undefined, items: () => limited([...value].map(pair)) };
    }

    atomForm(atom) {
      return { atom, braces: [`${atom} {`, '}'] };
    }

    errorForm(value) {
      const hides = ['name', 'message', 'stack'];
      const text = showError(value).replaceAll('\n', `\n${' '.repeat(this.indentation)}`);
      const form = { ...this.atomForm(text), hides };
      const more = ['cause', 'errors'].filter((key) => Object.hasOwn(value, key));
      if (more.length > 0) {
        hides.push(...more);
        form.items = (depth) => more.map((key) => `[${key}]: ${this.show(value[key], depth)}`);
        form.atom = undefined;
      }
      return form;
    }

    listForm(value, before) {
      const items = (depth) => {
        const shown = [];
        let holes = 0;
        let at = 0;
        const flush = () => {
          if (holes > 0) shown.push(`<${holes} empty item${holes > 1 ? 's' : ''}>`);
          holes = 0;
        };
        for (; at < value.length && shown.length < ITEMS_MAX; at++) {
          if (!(at in value)) {
            holes += 1;
            continue;
          }
          flush();
          if (shown.length < ITEMS_MAX) shown.push(this.show(value[at], depth));
          else at -= 1;
        }
        flush();
        if (at < value.length) shown.push(more(value.length - at));
        return shown;
      };
      return {
        braces: [`${before}[`, ']'],
        empty: value.length === 0 ? `${before}[]` : undefined,
        items,
        isList: true,
      };
    }

    mapForm(value) {
      const before = prefix(value, 'Map', value.size);
      const items = (depth) =>
        limited([...value].map(([key, item]) => `${this.show(key, depth)} => ${this.show(item, depth)}`));
      return { braces: [`${before}{`, '}'], empty: value.size === 0 ? `${before}{}` : undefined, items };
    }

    bufferForm(value) {
      const bytes = Array.from(new Uint8Array(value, 0, Math.min(50, value.byteLength)), (byte) =>
        byte.toString(16).padStart(2, '0'),
      );
      const rest =
        value.byteLength > 50 ? ` ... ${value.byteLength - 50} more byte${value.byteLength > 51 ? 's' : ''}` : '';
      return {
        braces: ['ArrayBuffer {', '}'],
        items: () => [`[Uint8Contents]: <${bytes.join(' ')}${rest}>`, `byteLength: ${value.byteLength}`],
      };
    }

    showProperty(value, key, depth) {
      const { get, set, value: held } = Object.getOwnPropertyDescriptor(value, key) ?? {};
      const shown = get ? (set ? '[Getter/Setter]' : '[Getter]') : set ? '[Setter]' : this.show(held, depth);
      return `${showKey(key)}: ${shown}`;
    }

    // On one line if that is short and holds few levels, else one part a line.
    join(parts, form, ungrouped, depth) {
      const [begin, end] = form.braces;
      if (parts.length === 0) return begin + end;
      if (ungrouped && this.deepest - depth < SINGLE_LINE_LEVELS) {
        const length =
          parts.reduce((sum, part) => sum + part.length, 0) + parts.length * 2 + this.indentation + begin.length + 10;
        if (length <= LINE_CHARS && !parts.some((part) => part.includes('\n')) && !begin.includes('\n'))
          return `${begin} ${parts.join(', ')} ${end}`;
      }
      const indent = `\n${' '.repeat(this.indentation)}`;
      return `${begin}${indent}  ${parts.join(`,${indent}  `)}${indent}${end}`;
    }
  }

  function more(count) {
    return `... ${count} more item${count > 1 ? 's' : ''}`;
  }

  function limited(parts) {
    return parts.length <= ITEMS_MAX ? parts : [...parts.slice(0, ITEMS_MAX), more(parts.length - ITEMS_MAX)];
  }

  // Many short items come in rows.
  function groupShort(parts) {
    const longest = parts.reduce((most, part) => Math.max(most, part.length), 0);
    if (longest > 16 || parts.some((part) => part.includes('\n'))) return parts;
    const rows = [];
    for (const part of parts) {
      const last = rows.at(-1);
      if (last !== undefined && last.length + part.length + 2 <= ROW_CHARS)
        rows[rows.length - 1] = `${last}, ${part}`;
      else rows.push(part);
    }
    return rows;
  }

  function inspect(value, depthMax) {
    return new Inspector(depthMax).show(value);
  }

  shared.inspect = inspect;
  shared.format = format;
  shared.shownParts = shownParts;

  // === printf-like formats ===

  function substitute(kind, value) {
    switch (kind) {
      case 's':
        if (typeof value === 'string') return value;
        return typeof value === 'object' && value !== null && className(value) === 'Object'
          ? inspect(value, 0)
          : typeof value === 'object'
            ? inspect(value, 0)
            : showPrimitive(value);
      case 'd':
        return typeof value === 'object' ? 'NaN' : typeof value === 'bigint' ? `${value}n` : String(Number(value));
      case 'i':
        return typeof value === 'object'
          ? 'NaN'
          : typeof value === 'bigint'
            ? `${value}n`
            : String(Number.parseInt(value, 10));
      case 'f':
        return typeof value === 'symbol' ? 'NaN' : String(Number.parseFloat(value));
      case 'j':
        try {
          return JSON.stringify(value);
        } catch {
          return '[Circular]';
        }
      case 'o':
        return inspect(value, 4);
      case 'O':
        return inspect(value);
      default:
        return '';
    }
  }

  function format(values) {
    let at = 0;
    let text = '';
    if (typeof values[0] === 'string') {
      at = 1;
      text =
        values.length === 1
          ? values[0]
          : values[0].replace(/%([sdifjoOc%])/g, (whole, kind) => {
              if (kind === '%') return '%';
              return at < values.length ? substitute(kind, values[at++]) : whole;
            });
    }
    const rest = values.slice(at).map((value) => (typeof value === 'string' ? value : inspect(value)));
    return (at > 0 ? [text, ...rest] : rest).join(' ');
  }

  // === the console ===

  let indent = '';
  const counts = new Map();
  const started = new Map();

  function print(...values) {
    const text = format(values);
    native.log(indent === '' ? text : indent + text.replaceAll('\n', `\n${indent}`));
  }

  function timed(name, values, ends) {
    const label = `${name}`;
    if (!started.has(label)) return;
    print(`${label}: ${native.elapsed() - started.get(label)}ms`, ...values);
    if (ends) started.delete(label);
  }

  const methods = {
    log(...values) {
      print(...values);
    },
    info(...values) {
      print(...values);
    },
    debug(...values) {
      print(...values);
    },
    warn(...values) {
      print(...values);
    },
    error(...values) {
      print(...values);
    },
    dir(value, options) {
      print(inspect(value, options?.depth === null ? Infinity : options?.depth));
    },
    dirxml(...values) {
      print(...values);
    },
    table(value) {
      print(value);
    },
    // A log keeps its lines.
    clear() {},
    trace(...values) {
      const error = new Error(format(values));
      error.name = 'Trace';
      print(showError(error));
    },
    assert(holds, ...values) {
      if (holds) return;
      if (typeof values[0] === 'string') print(`Assertion failed: ${values[0]}`, ...values.slice(1));
      else print('Assertion failed', ...values);
    },
    group(...values) {
      if (values.length > 0) print(...values);
      indent += '  ';
    },
    groupEnd() {
      indent = indent.slice(2);
    },
    count(name = 'default') {
      const label = `${name}`;
      counts.set(label, (counts.get(label) ?? 0) + 1);
      print(`${label}: ${counts.get(label)}`);
    },
    countReset(label = 'default') {
      counts.delete(`${label}`);
    },
    time(label = 'default') {
      started.set(`${label}`, native.elapsed());
    },
    timeLog(label = 'default', ...values) {
      timed(label, values, false);
    },
    timeEnd(label = 'default') {
      timed(label, [], true);
    },
  };
  methods.groupCollapsed = methods.group;
  const tag = { value: 'console', configurable: true };
  shared.define({ console: Object.defineProperty({ ...methods }, Symbol.toStringTag, tag) });
});
