/** The quotas of the account: how much of each is used. */
import type { JSX } from 'preact';
import { useFetch } from '../hooks';
import { session } from '../session';
import { useStore } from '../store';
import type { QuotaUsage, UserQuotas } from '../types';
import { Await, Section, formatBytes, formatNumber } from '../ui';
import { Bar } from './node-live';

const POLL_MS = 10_000;

export function Quotas(): JSX.Element | null {
  return useStore(session).state === 'in' ? <Own /> : null;
}

function Own(): JSX.Element {
  const quotas = useFetch<UserQuotas>('/quotas', { pollMs: POLL_MS });
  return (
    <Section title="Your quotas">
      <Await of={quotas}>
        {({ applications, functions, code_bytes, concurrent, per_minute }) => (
          <>
            <Quota label="Applications" of={applications} format={formatNumber} />
            <Quota label="Functions" of={functions} format={formatNumber} />
            <Quota label="Code" of={code_bytes} format={formatBytes} />
            <Quota label="Running on this node" of={concurrent} format={formatNumber} />
            <p class="muted">
              {per_minute === null
                ? 'Any number of calls a minute may come.'
                : `At most ${formatNumber(per_minute)} calls a minute on this node.`}{' '}
              A call or a deploy beyond a quota is answered by an error that names it. Operators can raise them.
            </p>
          </>
        )}
      </Await>
    </Section>
  );
}

function Quota({
  label,
  of: { used, limit },
  format,
}: {
  readonly label: string;
  readonly of: QuotaUsage;
  readonly format: (value: number) => string;
}): JSX.Element {
  if (limit === null)
    return (
      <p class="ledger-head">
        <strong>{label}</strong>
        <span class="muted figure">{format(used)}, without a limit</span>
      </p>
    );
  return <Bar label={label} whole={limit} format={format} shares={[{ name: 'used', amount: used, look: 'accent' }]} />;
}
