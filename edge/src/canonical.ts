// Canonical JSON (RFC 8785) as the node has it: a value that canonicalisation would change has no canonical form. These
// are whole numbers beyond 2^53 - 1, numbers that overflow or vanish, two members of one name, lone surrogates, and
// nesting beyond 100. The node's vectors (crates/serverledge-wire/src/canonical/vectors.json) hold for both.

const DEPTH_MAX = 100;
// From here on canonical numbers are written with an exponent.
const EXPONENT_FROM = 1e21;
const BETWEEN = /[\s,:]*/y;
const TOKEN = /[^\s,:{}[\]]+|[{}[\]]/y;
const LONE_SURROGATE = /\p{Surrogate}/u;

// The tokens of valid JSON, without commas and colons.
class Tokens {
  at = 0;

  constructor(readonly text: string) {}

  #skip(pattern: RegExp): void {
    pattern.lastIndex = this.at;
    if (pattern.test(this.text)) this.at = pattern.lastIndex;
  }

  /** Goes to the next token. */
  from(): number {
    this.#skip(BETWEEN);
    return this.at;
  }

  next(): string {
    const from = this.from();
    if (this.text[from] !== '"') {
      this.#skip(TOKEN);
    } else {
      // A pattern for the whole of a long string would need a stack.
      do this.at += this.text[this.at] === '\\' ? 2 : 1;
      while (this.text[this.at] !== '"');
      this.at += 1;
    }
    return this.text.slice(from, this.at);
  }
}

/** The canonical form of a JSON text; `undefined` if it has none. */
export function canonical(text: string): string | undefined {
  try {
    JSON.parse(text);
    const tokens = new Tokens(text);
    return value(tokens, tokens.next(), DEPTH_MAX);
  } catch {
    return undefined;
  }
}

/** The text of a member of a JSON object that is known to be valid; `undefined` if there is none. */
export function memberText(json: string, name: string): string | undefined {
  const tokens = new Tokens(json);
  if (tokens.next() !== '{') return undefined;
  for (let found = tokens.next(); found !== '}'; found = tokens.next()) {
    const from = tokens.from();
    let depth = 0;
    do depth += { '{': 1, '[': 1, '}': -1, ']': -1 }[tokens.next()] ?? 0;
    while (depth > 0);
    if (JSON.parse(found) === name) return json.slice(from, tokens.at);
  }
  return undefined;
}

function value(tokens: Tokens, token: string, depthMax: number): string {
  const first = token[0] as string;
  if ('{['.includes(first)) {
    const isObject = first === '{';
    const items: string[] = [];
    const members = new Map<string, string>();
    if (depthMax === 0) none();
    for (let next = tokens.next(); next !== '}' && next !== ']'; next = tokens.next()) {
      if (isObject) {
        const name = string(next);
        if (members.has(name)) none();
        members.set(name, value(tokens, tokens.next(), depthMax - 1));
      } else {
        items.push(value(tokens, next, depthMax - 1));
      }
    }
    // The order of names is that of their UTF-16 code units, as strings compare here.
    return isObject ? `{${[...members.keys()].sort().map((name) => `${JSON.stringify(name)}:${members.get(name)}`)}}` : `[${items}]`;
  }
  return first === '"' ? JSON.stringify(string(token)) : /[-0-9]/.test(first) ? number(token) : token;
}

function string(token: string): string {
  const text = JSON.parse(token) as string;
  if (LONE_SURROGATE.test(text)) none();
  return text;
}

function number(token: string): string {
  const found = Number(token);
  const size = Math.abs(found);
  const isWhole = /^-?[0-9]+$/.test(token);
  const isExact = size <= Number.MAX_SAFE_INTEGER || (!isWhole && size >= EXPONENT_FROM && size < Infinity);
  const hasVanished = size === 0 && /^-?[0.]*[1-9]/.test(token);
  return isExact && !hasVanished ? String(found) : none();
}

function none(): never {
  throw new Error();
}
