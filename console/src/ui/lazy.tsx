/** Components in files of their own, which are loaded when they are first shown: the editor, charts. */
import type { ComponentType, JSX } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { toApiError, type ApiError } from '../api';
import { Loading, Problem } from './feedback';
import type { ChartProps } from './chart';
import type { EditorProps } from './editor';

/** A component whose file is loaded when it is first shown. */
export function lazy<Props extends object>(
  load: () => Promise<{ default: ComponentType<Props> }>,
  what: string,
  frame: string,
): ComponentType<Props> {
  let loaded: ComponentType<Props> | undefined;
  return function Lazy(props: Props): JSX.Element {
    const [Component, setComponent] = useState<ComponentType<Props> | undefined>(() => loaded);
    const [error, setError] = useState<ApiError>();
    const [tries, setTries] = useState(0);
    useEffect(() => {
      if (Component !== undefined) return;
      setError(undefined);
      load().then(
        (file) => {
          loaded = file.default;
          setComponent(() => file.default);
        },
        (fault: unknown) => setError(toApiError(fault)),
      );
    }, [tries]);
    if (Component !== undefined) return <Component {...props} />;
    return (
      <div class={frame}>
        {error === undefined ? <Loading what={what} /> : <Problem error={error} onRetry={() => setTries(tries + 1)} />}
      </div>
    );
  };
}

/** The code editor. */
export const Editor = lazy<EditorProps>(() => import('./editor'), 'Loading the editor', 'editor-frame');

/** A chart over time. */
export const Chart = lazy<ChartProps>(() => import('./chart'), 'Loading the chart', 'chart-frame');
