// Canonical JSON (RFC 8785) as the node has it: a value that canonicalisation would change has no canonical form. These
// are whole numbers beyond 2^53 - 1, numbers that overflow or vanish, two members of one name, lone surrogates, and
// nesting beyond 100. The node's vectors (crates/serverledge-wire/src/canonical/vectors.json) hold for both.

const DEPTH_MAX = 100;
// From here on canonical numbers are written with an exponent.
const EXPONENT_FROM = 1e21;
const NUMBER = /-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?/y;
const LITERAL = /null|true|false/y;
const SPACE = /[ \t\n\r]*/y;
const LONE_SURROGATE = /\p{Surrogate}/u;

class NoCanonicalForm extends Error {}

class Reader {
  #at = 0;

  constructor(readonly text: string) {}

  whole(): string {
    const value = this.#value(0);
    this.#space();
    return this.#at === this.text.length ? value : none();
  }

  #take(pattern: RegExp): RegExpExecArray {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.text) ?? none();
    this.#at = pattern.lastIndex;
    return found;
  }

  #space(): void {
    this.#take(SPACE);
  }

  // Steps over this character, if it is next.
  #is(character: string): boolean {
    const next = this.text[this.#at] === character;
    if (next) this.#at += 1;
    return next;
  }

  #value(depth: number): string {
    this.#space();
    const first = this.text[this.#at];
    if (first === '{' || first === '[') {
      if (depth === DEPTH_MAX) none();
      return first === '{' ? this.#object(depth + 1) : this.#array(depth + 1);
    }
    if (first === '"') return JSON.stringify(this.#string());
    if (first === '-' || (first !== undefined && first >= '0' && first <= '9')) return this.#number();
    return this.#take(LITERAL)[0];
  }

  #array(depth: number): string {
    this.#at += 1;
    const items: string[] = [];
    this.#space();
    if (this.#is(']')) return '[]';
    do {
      items.push(this.#value(depth));
      this.#space();
    } while (this.#is(','));
    return this.#is(']') ? `[${items.join(',')}]` : none();
  }

  #object(depth: number): string {
    this.#at += 1;
    const members = new Map<string, string>();
    this.#space();
    if (this.#is('}')) return '{}';
    do {
      this.#space();
      if (this.text[this.#at] !== '"') none();
      const name = this.#string();
      if (members.has(name)) none();
      this.#space();
      if (!this.#is(':')) none();
      members.set(name, this.#value(depth));
      this.#space();
    } while (this.#is(','));
    if (!this.#is('}')) none();
    // The order of names is that of their UTF-16 code units, as strings compare here.
    const names = [...members.keys()].sort();
    return `{${names.map((name) => `${JSON.stringify(name)}:${members.get(name)}`).join(',')}}`;
  }

  #string(): string {
    const from = this.#at;
    this.#at = stringEnd(this.text, from);
    let value: unknown;
    try {
      value = JSON.parse(this.text.slice(from, this.#at));
    } catch {
      none();
    }
    return typeof value === 'string' && !LONE_SURROGATE.test(value) ? value : none();
  }

  #number(): string {
    const [token, fraction, exponent] = this.#take(NUMBER);
    const value = Number(token);
    const size = Math.abs(value);
    if (fraction === undefined && exponent === undefined) {
      if (size > Number.MAX_SAFE_INTEGER) none();
      return token === '-0' ? '0' : token;
    }
    const vanished = value === 0 && /[1-9]/.test(token.split(/[eE]/)[0] ?? '');
    if (!Number.isFinite(value) || vanished) none();
    if (size > Number.MAX_SAFE_INTEGER && size < EXPONENT_FROM) none();
    return String(value);
  }
}

function none(): never {
  throw new NoCanonicalForm();
}

// The index after the string that begins at an index; that of the end, if it does not end.
function stringEnd(text: string, from: number): number {
  let at = from + 1;
  for (;;) {
    const character = text[at];
    if (character === undefined) return at;
    at += character === '\\' ? 2 : 1;
    if (character === '"') return at;
  }
}

/** The canonical form of a JSON text; `undefined` if it has none. */
export function canonical(text: string): string | undefined {
  try {
    return new Reader(text).whole();
  } catch (error) {
    if (error instanceof NoCanonicalForm) return undefined;
    throw error;
  }
}

/** The text of a member of a JSON object that is known to be valid; `undefined` if there is none. */
export function memberText(json: string, name: string): string | undefined {
  let depth = 0;
  let from: number | undefined;
  for (let at = 0; at < json.length; ) {
    const character = json[at];
    if (character === '"') {
      const end = stringEnd(json, at);
      if (depth === 1 && from === undefined && /^\s*:/.test(json.slice(end, end + 64)) && JSON.parse(json.slice(at, end)) === name) {
        from = json.indexOf(':', end) + 1;
      }
      at = end;
      continue;
    }
    const closes = character === '}' || character === ']';
    if (depth === 1 && from !== undefined && (character === ',' || closes)) return json.slice(from, at).trim();
    if (character === '{' || character === '[') depth += 1;
    if (closes) depth -= 1;
    at += 1;
  }
  return undefined;
}
