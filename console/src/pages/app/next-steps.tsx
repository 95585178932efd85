/** The way of a new application to its first call: what is done, and what comes next. */
import type { JSX } from 'preact';
import { functionPage, path } from '../../base';
import { Link } from '../../router';
import type { AppInfo } from '../../types';
import { Icon } from '../../ui';

export function NextSteps({ info }: { readonly info: AppInfo }): JSX.Element | null {
  const { name, functions, endpoints, up } = info;
  const [first] = functions;
  if (first !== undefined && endpoints.length > 0 && up) return null;
  const next = first === undefined ? 0 : endpoints.length === 0 ? 1 : 2;
  const steps: readonly JSX.Element[] = [
    <><Link to={path`/apps/${name}/new-function`}>Write a function</Link></>,
    <>
      <Link to={path`/apps/${name}/endpoints`}>Bind it to a path</Link>
      {next === 1 && first !== undefined && (
        <>, once you have <Link to={functionPage(first, name, 'try')}>tried it</Link></>
      )}
    </>,
    <>Start the application, above</>,
    <>Call the endpoint</>,
  ];
  return (
    <ol class="next-steps" aria-label="From here to the first call">
      {steps.map((step, index) => (
        <li key={index} class={index < next ? 'done' : undefined} aria-current={index === next ? 'step' : undefined}>
          {index < next ? <><Icon name="check" /><span class="offscreen">Done: </span></> : <span>{index + 1}.</span>}
          <span>{step}</span>
        </li>
      ))}
    </ol>
  );
}
