/** The latest values of one kind that this browser keeps: parameters, requests. */
import { useCallback, useState } from 'preact/hooks';
import { keep, keepNewest, kept } from './kept';

export interface Past<T> {
  readonly value: T;
  readonly at: number;
  readonly ok: boolean;
}

const ENTRIES_MAX = 20;
const CHARS_MAX = 50_000;
/** Functions of which something is kept. */
const KEYS_MAX = 200;

/** The newest first, each value once. Long values are not kept. */
export function useHistory<T>(kind: string, key: string): {
  readonly past: readonly Past<T>[];
  readonly add: (value: T, ok: boolean) => void;
} {
  const name = `${kind}.${key}`;
  const [past, setPast] = useState<readonly Past<T>[]>(() => kept<Past<T>[]>(name) ?? []);
  const add = useCallback((value: T, ok: boolean) => {
    const text = JSON.stringify(value);
    if (text.length > CHARS_MAX) return;
    setPast((before) => {
      const others = before.filter((one) => JSON.stringify(one.value) !== text);
      const next = [{ value, at: Date.now(), ok }, ...others].slice(0, ENTRIES_MAX);
      keep(name, next);
      keepNewest(kind, KEYS_MAX);
      return next;
    });
  }, [name]);
  return { past, add };
}
