/** The endpoints of an application: method, path, function; and the means to call them. */
import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import { del, put } from '../../api';
import { functionPage, path, query as queryOf } from '../../base';
import { useDraft } from '../../hooks';
import { addressOf, hasNoBody, keyOf, pathOf } from '../../parts/addresses';
import { CallEndpoint } from '../../parts/call-endpoint';
import { Link, setQuery, usePlace } from '../../router';
import type { EndpointInfo } from '../../types';
import {
  Badge, Button, ButtonLink, Confirm, CopyButton, Empty, Form, Icon, Section, Select, Table, TextField, toast,
} from '../../ui';
import type { AppTabProps } from './index';

const METHODS = ['POST', 'GET', 'PUT', 'PATCH', 'DELETE'].map((method) => [method, method] as const);

export function EndpointsTab({ app, info, fetched }: AppTabProps): JSX.Element {
  const { query } = usePlace();
  const [removing, setRemoving] = useState<EndpointInfo>();
  const chosen = info.endpoints.find((one) => keyOf(one) === query.get('endpoint')) ?? info.endpoints[0];
  const changed = (endpoints: EndpointInfo[]): void => fetched.set({ ...info, endpoints });
  return (
    <div class="stack">
      {info.functions.length === 0
        ? (
          <Empty
            title="Write a function first"
            action={(
              <ButtonLink to={path`/apps/${app}/new-function`} look="primary" icon="plus">
                New function in this application
              </ButtonLink>
            )}
          >
            An endpoint is a method and a path that run one of the application's functions.
          </Empty>
        )
        : (
          <Table
            caption={`Endpoints of ${app}`}
            rows={info.endpoints}
            rowKey={keyOf}
            empty={(
              <Empty title="No endpoints yet">
                Nobody can call the application from outside until one of its functions has a path. Add one below.
              </Empty>
            )}
            columns={columns(app, info.functions, chosen, setRemoving)}
          />
        )}
      {info.functions.length > 0 && (
        <AddEndpoint
          app={app}
          info={info}
          onAdded={(endpoints, added) => {
            changed(endpoints);
            setQuery({ endpoint: keyOf(added) });
          }}
        />
      )}
      {chosen !== undefined && (
        <CallEndpoint key={`${info.id} ${keyOf(chosen)}`} info={info} endpoint={chosen} onChanged={fetched.reload} />
      )}
      <Confirm
        title={`Remove ${removing === undefined ? '' : keyOf(removing)}`}
        action="Remove it"
        open={removing !== undefined}
        onClose={() => setRemoving(undefined)}
        onConfirm={async () => {
          if (removing === undefined) return;
          const { method, path: at } = removing;
          changed(await del<EndpointInfo[]>(path`/apps/${app}/endpoints` + queryOf({ method, path: at })));
          toast(`${keyOf(removing)} is removed`);
        }}
      >
        <p>Callers of this address get 404 from now on. The function stays.</p>
      </Confirm>
    </div>
  );
}

function columns(
  app: string,
  functions: readonly string[],
  chosen: EndpointInfo | undefined,
  remove: (endpoint: EndpointInfo) => void,
): Parameters<typeof Table<EndpointInfo>>[0]['columns'] {
  return [
    {
      key: 'address',
      label: 'Address',
      bare: true,
      sort: (one) => `${one.path} ${one.method}`,
      cell: (one) => (
        <span class="row tight">
          <code class="method">{one.method}</code>
          <strong class="mono">{pathOf(one)}</strong>
          <CopyButton text={addressOf(app) + pathOf(one)} label={`Copy the address of ${keyOf(one)}`} />
        </span>
      ),
    },
    {
      key: 'function',
      label: 'Function',
      sort: (one) => one.function,
      cell: (one) => (functions.includes(one.function)
        ? <Link to={functionPage(one.function, app)}>{one.function}</Link>
        : <span class="row tight">{one.function}<Badge tone="bad">deleted</Badge></span>),
    },
    {
      key: 'buttons',
      label: 'Actions',
      bare: true,
      end: true,
      cell: (one) => (
        <span class="row tight to-end">
          {hasNoBody(one.method) && (
            <a class="button small" href={addressOf(app) + pathOf(one)} target="_blank" rel="noopener">
              <Icon name="external" />Open
            </a>
          )}
          <Button
            small
            pressed={one === chosen}
            label={`Call ${keyOf(one)}`}
            onClick={() => {
              setQuery({ endpoint: keyOf(one) });
              document.getElementById('call-endpoint')?.scrollIntoView({ block: 'nearest' });
            }}
          >
            Call
          </Button>
          <Button small look="danger" label={`Remove ${keyOf(one)}`} onClick={() => remove(one)}>Remove</Button>
        </span>
      ),
    },
  ];
}

function AddEndpoint(
  { app, info, onAdded }: {
    readonly app: string;
    readonly info: AppTabProps['info'];
    readonly onAdded: (endpoints: EndpointInfo[], added: EndpointInfo) => void;
  },
): JSX.Element {
  const draft = useDraft(`app.${info.id}.endpoint`, { method: 'POST', path: '', function: '' });
  const { method, path: typed } = draft.value;
  const unbound = info.functions.find((name) => info.endpoints.every((one) => one.function !== name));
  const known = info.functions.includes(draft.value.function);
  const bound = known ? draft.value.function : unbound ?? info.functions[0] ?? '';
  const change = (members: Partial<EndpointInfo>): void => draft.set({ ...draft.value, function: bound, ...members });
  const at = `/${typed.trim().replace(/^\/+/, '')}`;
  const before = info.endpoints.find((one) => one.method === method && pathOf(one) === at);
  const add = async (): Promise<void> => {
    const body = { method, path: at, function: bound };
    const endpoints = await put<EndpointInfo[]>(path`/apps/${app}/endpoints`, body);
    draft.clear();
    toast(`${method} ${at} runs ${bound}`);
    onAdded(endpoints, body);
  };
  return (
    <Section title="Add an endpoint">
      <Form submit={before === undefined ? 'Add' : 'Replace'} onSubmit={add}>
        <div class="fields">
          <Select label="Method" value={method} options={METHODS} onChange={(value) => change({ method: value })} />
          <TextField
            label="Path"
            mono
            required
            placeholder={`/${bound}`}
            hint="Letters, digits, - _ . and ~ between slashes."
            value={typed}
            onChange={(value) => change({ path: value })}
          />
          <Select
            label="Function"
            value={bound}
            options={info.functions.map((name) => [name, name] as const)}
            onChange={(value) => change({ function: value })}
          />
        </div>
        {before !== undefined && (
          <p class="muted">{method} {at} runs <code>{before.function}</code> now, which this replaces.</p>
        )}
      </Form>
    </Section>
  );
}
