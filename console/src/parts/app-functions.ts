/** What the node says about the functions of an application. */
import { get } from '../api';
import { path } from '../base';
import { useEvents } from '../events';
import { useRead, type Fetched } from '../hooks';
import type { FunctionInfo } from '../types';
import { declaredInputs } from './program';

/** Requests at once. */
const AT_ONCE = 6;

/** All of them by name; one that was deleted meanwhile is left out. */
export function useFunctionInfos(app: string, names: readonly string[]): Fetched<ReadonlyMap<string, FunctionInfo>> {
  const key = names.length === 0 ? null : JSON.stringify([app, names]);
  const fetched = useRead(key, (signal) => readAll(app, names, signal));
  useEvents({ kinds: ['deploy'], app }, fetched.reload, fetched.reload);
  return fetched;
}

async function readAll(
  app: string,
  names: readonly string[],
  signal: AbortSignal,
): Promise<ReadonlyMap<string, FunctionInfo>> {
  const found = new Map<string, FunctionInfo>();
  const left = [...names];
  const work = async (): Promise<void> => {
    for (let name = left.shift(); name !== undefined; name = left.shift()) {
      try {
        found.set(name, await get<FunctionInfo>(path`/apps/${app}/functions/${name}`, { signal }));
      } catch (error) {
        if (signal.aborted) throw error;
      }
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  return found;
}

/** Arguments of the right types, for a first try. */
export function sampleArguments(info: FunctionInfo | undefined): Record<string, unknown> {
  const inputs = info === undefined ? [] : declaredInputs(info);
  return Object.fromEntries(inputs.map(({ Name, Type }) => [Name, sampleOf(Type)]));
}

function sampleOf(type: string): unknown {
  const word = type.toLowerCase();
  if (word.startsWith('array')) return [];
  if (word.startsWith('int')) return 1;
  if (word.startsWith('float')) return 1.5;
  if (word.startsWith('bool')) return true;
  return 'text';
}
