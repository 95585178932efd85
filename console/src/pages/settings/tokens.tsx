/** Tokens for programs: what they may do, until when, and the token itself, which is shown once. */
import type { JSX } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { del, post } from '../../api';
import { path } from '../../base';
import { useDraft, useFetch } from '../../hooks';
import type { AccountInfo, CreatedToken, TokenEntry } from '../../types';
import {
  Await, Badge, Button, Checkbox, CodeBlock, Confirm, Empty, Form, Section, Select, Table, TextField, Time, toast,
} from '../../ui';

const SCOPES = [
  ['invoke', 'Call functions, and see them with their runs and logs'],
  ['deploy', 'Make, change and delete functions and applications'],
  ['admin', 'Manage the account: its tokens, sessions and settings. As dangerous as the password'],
  ['metrics', 'Read the figures of the node, for a collector; only of use to operators'],
] as const;

const DAY_S = 24 * 60 * 60;
const LIFETIMES = [
  ['1', 'in a day'], ['7', 'in a week'], ['30', 'in 30 days'], ['90', 'in 90 days'], ['365', 'in a year'],
  ['', 'never'],
] as const;

export function TokensTab({ account }: { readonly account: AccountInfo }): JSX.Element {
  const tokens = useFetch<{ tokens: TokenEntry[] }>('/account/tokens', { pollMs: 30_000 });
  const [made, setMade] = useState<CreatedToken>();
  return (
    <div class="stack">
      {made !== undefined && <Made made={made} onClose={() => setMade(undefined)} />}
      <Await of={tokens}>
        {(data) => (
          <TokenTable
            tokens={data.tokens}
            own={account.via === 'token' ? account.credential : undefined}
            onRevoked={(id) => {
              if (made?.info.id === id) setMade(undefined);
              tokens.reload();
            }}
          />
        )}
      </Await>
      <NewToken
        account={account}
        onMade={(token) => {
          setMade(token);
          tokens.reload();
        }}
      />
    </div>
  );
}

/** The token, until somebody says that it is copied. */
function Made({ made, onClose }: { readonly made: CreatedToken; readonly onClose: () => void }): JSX.Element {
  const box = useRef<HTMLDivElement>(null);
  useEffect(() => {
    box.current?.scrollIntoView({ block: 'nearest' });
    box.current?.focus({ preventScroll: true });
  }, [made]);
  return (
    <div ref={box} tabIndex={-1}>
      <Section title={`Token ${made.info.name}`}>
        <p><strong>Copy it now: it is not shown again.</strong> Whoever has it can do what it is for.</p>
        <CodeBlock label="The token" text={made.token} wrap />
        <CodeBlock label="For the command line client" text={`export SERVERLEDGE_TOKEN=${made.token}`} wrap />
        <Button look="primary" onClick={onClose}>I have copied it</Button>
      </Section>
    </div>
  );
}

function TokenTable(
  { tokens, own, onRevoked }: {
    readonly tokens: readonly TokenEntry[];
    readonly own: string | undefined;
    readonly onRevoked: (id: string) => void;
  },
): JSX.Element {
  const [revoking, setRevoking] = useState<TokenEntry>();
  return (
    <Section title="Your tokens" plain>
      <Table
        caption="Tokens"
        rows={tokens}
        rowKey={({ id }) => id}
        sortBy="-created"
        empty={(
          <Empty title="No tokens yet">
            Programs use them in place of your password: the command line client on another machine, a build, a script.
            Make one below.
          </Empty>
        )}
        columns={[
          {
            key: 'name',
            label: 'Name',
            bare: true,
            sort: ({ name }) => name,
            cell: ({ id, name }) => <strong>{name}{id === own && ' (this one)'}</strong>,
          },
          {
            key: 'scopes',
            label: 'May',
            cell: ({ scopes }) => (
              <span class="row">{scopes.map((scope) => <Badge key={scope} tone="off">{scope}</Badge>)}</span>
            ),
          },
          {
            key: 'created',
            label: 'Made',
            sort: (token) => token.created_unix_ms,
            cell: (token) => <Time ms={token.created_unix_ms} ago />,
          },
          {
            key: 'used',
            label: 'Last used',
            sort: (token) => token.used_unix_ms,
            cell: (token) => (token.used_unix_ms === undefined
              ? <span class="muted">never</span>
              : <Time ms={token.used_unix_ms} ago />),
          },
          {
            key: 'expires',
            label: 'Ends',
            sort: (token) => token.expires_unix_ms,
            cell: ({ expires_unix_ms: at }) => (at === undefined ? <span class="muted">never</span> : <Ends at={at} />),
          },
          {
            key: 'revoke',
            label: 'Revoke',
            bare: true,
            end: true,
            cell: (token) => (
              <Button small look="danger" label={`Revoke ${token.name}`} onClick={() => setRevoking(token)}>
                Revoke
              </Button>
            ),
          },
        ]}
      />
      <Confirm
        title={`Revoke ${revoking?.name ?? ''}`}
        action="Revoke it"
        open={revoking !== undefined}
        onClose={() => setRevoking(undefined)}
        onConfirm={async () => {
          if (revoking === undefined) return;
          await del(path`/account/tokens/${revoking.id}`);
          toast(`${revoking.name} is revoked`);
          onRevoked(revoking.id);
        }}
      >
        <p>Programs that use it are refused from now on.</p>
      </Confirm>
    </Section>
  );
}

function Ends({ at }: { readonly at: number }): JSX.Element {
  return at < Date.now() ? <Badge tone="warn">expired</Badge> : <Time ms={at} ago />;
}

function NewToken(
  { account, onMade }: { readonly account: AccountInfo; readonly onMade: (token: CreatedToken) => void },
): JSX.Element {
  const draft = useDraft('settings.token', { name: '', scopes: ['invoke'], days: '90' });
  const { name, scopes, days } = draft.value;
  const change = (members: Partial<typeof draft.value>): void => draft.set({ ...draft.value, ...members });
  const make = async (): Promise<void> => {
    const lifetime = days === '' ? {} : { lifetime_s: Number(days) * DAY_S };
    const made = await post<CreatedToken>('/account/tokens', { name, scopes, ...lifetime });
    draft.clear();
    onMade(made);
  };
  return (
    <Section title="New token">
      <Form submit="Make the token" onSubmit={make} disabled={scopes.length === 0}>
        <div class="fields">
          <TextField
            label="Name"
            required
            maxLength={64}
            hint="For you: where it is used."
            placeholder="laptop"
            value={name}
            onChange={(value) => change({ name: value })}
          />
          <Select label="It ends" value={days} options={LIFETIMES} onChange={(value) => change({ days: value })} />
        </div>
        <fieldset class="choices">
          <legend>It may</legend>
          {SCOPES.filter(([scope]) => account.scopes.includes(scope)).map(([scope, hint]) => (
            <Checkbox
              key={scope}
              label={<code>{scope}</code>}
              hint={hint}
              checked={scopes.includes(scope)}
              onChange={(checked) => {
                const wanted = (one: string): boolean => (one === scope ? checked : scopes.includes(one));
                change({ scopes: SCOPES.map(([one]) => one).filter(wanted) });
              }}
            />
          ))}
          {scopes.length === 0 && <p class="field-error">Choose at least one.</p>}
        </fieldset>
      </Form>
    </Section>
  );
}
