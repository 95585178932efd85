/** Where somebody is logged in. */
import type { JSX } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { del, post } from '../../api';
import { path } from '../../base';
import { clearDrafts, useAction, useFetch } from '../../hooks';
import { navigate } from '../../router';
import { askSession } from '../../session';
import type { SessionEntry } from '../../types';
import { Await, Badge, Button, Confirm, Empty, Problem, Section, Table, Time, toast } from '../../ui';

export function SessionsTab(): JSX.Element {
  const sessions = useFetch<{ sessions: SessionEntry[] }>('/account/sessions', { pollMs: 30_000 });
  const [asks, setAsks] = useState(false);
  return (
    <div class="stack">
      <Section
        title="Where you are logged in"
        plain
        actions={<Button look="danger" onClick={() => setAsks(true)}>Log out everywhere</Button>}
      >
        <Await of={sessions}>{(data) => <SessionTable sessions={data.sessions} onEnded={sessions.reload} />}</Await>
      </Section>
      <Confirm
        title="Log out everywhere"
        action="Log out everywhere"
        open={asks}
        onClose={() => setAsks(false)}
        onConfirm={async () => {
          await post('/account/log-out-everywhere');
          await left();
        }}
      >
        <p>All sessions end, this one as well. Links for a new password become void. Tokens stay valid.</p>
      </Confirm>
    </div>
  );
}

/** This session has ended. */
async function left(): Promise<void> {
  clearDrafts();
  await askSession();
  navigate('/log-in');
}

function SessionTable(
  { sessions, onEnded }: { readonly sessions: readonly SessionEntry[]; readonly onEnded: () => void },
): JSX.Element {
  const [ending, setEnding] = useState<string>();
  const action = useAction(async ({ id, current }: SessionEntry) => {
    await del(path`/account/sessions/${id}`);
    if (current) return left();
    toast('The session has ended');
    onEnded();
  });
  useEffect(() => {
    if (!action.busy) setEnding(undefined);
  }, [action.busy]);
  return (
    <>
      <Problem error={action.error} />
      <Table
        caption="Sessions"
        rows={sessions}
        rowKey={({ id }) => id}
        sortBy="-used"
        empty={<Empty title="No sessions">You use the console with a token.</Empty>}
        columns={[
          {
            key: 'begun',
            label: 'Begun',
            sort: (one) => one.created_unix_ms,
            cell: (one) => <Time ms={one.created_unix_ms} />,
          },
          {
            key: 'used',
            label: 'Last used',
            sort: (one) => one.used_unix_ms,
            cell: (one) => <Time ms={one.used_unix_ms} ago />,
          },
          {
            key: 'current',
            label: 'Browser',
            cell: ({ current }) => (current ? <Badge tone="good">this one</Badge> : <span class="muted">another</span>),
          },
          {
            key: 'end',
            label: 'End',
            bare: true,
            end: true,
            cell: (one) => (
              <Button
                small
                busy={action.busy && ending === one.id}
                disabled={action.busy}
                onClick={() => {
                  setEnding(one.id);
                  void action.run(one);
                }}
              >
                {one.current ? 'Log out' : 'End'}
              </Button>
            ),
          },
        ]}
      />
    </>
  );
}
