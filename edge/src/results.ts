// Results of idempotent functions that are kept for the node, bounded in number, bytes and depth.

/** A result of an idempotent function. */
export interface Result {
  readonly name: string;
  /** Its canonical parameters. */
  readonly params: string;
  /** Its JSON. */
  readonly result: string;
  /** Its length in a request. */
  readonly bytes: number;
  /** The node had a part in it: it may change when a function there does. */
  readonly isFar: boolean;
}

// As many as a request may carry, with room for the cache.
const COUNT_MAX = 400;
const BYTES_MAX = 1 << 20;
// A request may be nested 100 deep, and two levels are the tables around each result.
const DEPTH_MAX = 98;

/** The newest result of each call, the oldest ones giving way. */
export class Results {
  readonly kept = new Map<string, Result>();
  #bytes = 0;

  add(result: Result): void {
    const key = `${result.name} ${result.params}`;
    this.#drop(key);
    if (result.bytes > BYTES_MAX || isDeeper(JSON.parse(result.result), DEPTH_MAX)) return;
    this.kept.set(key, result);
    this.#bytes += result.bytes;
    for (const oldest of this.kept.keys()) {
      if (this.kept.size <= COUNT_MAX && this.#bytes <= BYTES_MAX) break;
      this.#drop(oldest);
    }
  }

  /** Drops those that the node had a part in, or all. */
  forget(all: boolean): void {
    for (const [key, { isFar }] of this.kept) if (all || isFar) this.#drop(key);
  }

  #drop(key: string): void {
    this.#bytes -= this.kept.get(key)?.bytes ?? 0;
    this.kept.delete(key);
  }
}

/** Whether a value is nested deeper than so many levels. */
export function isDeeper(value: unknown, levels: number): boolean {
  return Object(value) === value && (levels === 0 || Object.values(value as object).some((inner) => isDeeper(inner, levels - 1)));
}
