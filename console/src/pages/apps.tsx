/** All applications with start and stop. */
import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import { post } from '../api';
import { path } from '../base';
import { useDraft, useFetch } from '../hooks';
import { addressOf } from '../parts/addresses';
import { ImportDialog } from '../parts/import-app';
import { StartSteps, StartStop } from '../parts/start-stop';
import { Link, navigate, setQuery, type PageProps } from '../router';
import type { AppInfo, AppSummary } from '../types';
import { Await, Badge, Button, CopyButton, Dialog, Empty, Form, Page, Table, TextField } from '../ui';

/** A DNS label in lower case. */
export const APP_NAME = '[a-z0-9]([a-z0-9\\-]{0,61}[a-z0-9])?';

export default function Applications({ query }: PageProps): JSX.Element {
  const apps = useFetch<AppSummary[]>('/apps', { pollMs: 5000 });
  const [imports, setImports] = useState(false);
  const makes = query.has('new');
  const make = (open: boolean): void => setQuery({ new: open ? '1' : undefined });
  const add = <Button look="primary" icon="plus" onClick={() => make(true)}>New application</Button>;
  const bring = <Button onClick={() => setImports(true)}>Import from a file</Button>;
  return (
    <Page title="Applications" actions={<>{bring}{add}</>}>
      <Await of={apps}>
        {(rows) => (
          <Table
            caption="Applications"
            rows={rows}
            rowKey={({ id }) => id}
            sortBy="name"
            empty={(
              <Empty title="No applications yet" action={<div class="row">{add}{bring}</div>}>
                An application gives functions addresses of their own, which anybody may call while it runs. Make one,
                write a function in it, bind it to a path, and start it.
              </Empty>
            )}
            columns={columns(apps.reload)}
          />
        )}
      </Await>
      <Dialog title="New application" open={makes} onClose={() => make(false)}>
        <NewApplication />
      </Dialog>
      <ImportDialog open={imports} onClose={() => setImports(false)} />
    </Page>
  );
}

function columns(reload: () => void): Parameters<typeof Table<AppSummary>>[0]['columns'] {
  return [
    {
      key: 'name',
      label: 'Name',
      bare: true,
      sort: ({ name }) => name,
      cell: ({ name }) => (
        <>
          <Link to={path`/apps/${name}`}><strong>{name}</strong></Link>
          <StartSteps app={name} brief />
        </>
      ),
    },
    {
      key: 'state',
      label: 'State',
      sort: ({ up }) => (up ? 'a' : 'b'),
      cell: ({ up }) => <Badge status={up ? 'up' : 'stopped'}>{up ? 'runs' : 'stopped'}</Badge>,
    },
    {
      key: 'address',
      label: 'Address',
      cell: ({ name }) => (
        <span class="row tight nowrap">
          <code>{addressOf(name).replace(location.origin, '')}</code>
          <CopyButton text={addressOf(name)} label={`Copy the address of ${name}`} />
        </span>
      ),
    },
    {
      key: 'functions',
      label: 'Functions',
      end: true,
      sort: ({ functions }) => functions,
      cell: ({ functions }) => functions,
    },
    {
      key: 'endpoints',
      label: 'Endpoints',
      end: true,
      sort: ({ endpoints }) => endpoints,
      cell: ({ endpoints }) => endpoints,
    },
    {
      key: 'start',
      label: 'Start or stop',
      bare: true,
      end: true,
      cell: ({ name, up }) => <StartStop app={name} up={up} small onChanged={reload} />,
    },
  ];
}

function NewApplication(): JSX.Element {
  const name = useDraft('apps.new', '');
  const make = async (): Promise<void> => {
    const made = await post<AppInfo>('/apps', { name: name.value });
    name.clear();
    navigate(path`/apps/${made.name}`);
  };
  return (
    <Form submit="Make it" onSubmit={make}>
      <TextField
        label="Name"
        autofocus
        required
        mono
        pattern={APP_NAME}
        maxLength={63}
        hint="Lower-case letters, digits and -, as it becomes part of addresses. It must not be taken, by anybody."
        placeholder="shop"
        value={name.value}
        onChange={(value) => name.set(value.toLowerCase())}
      />
      {name.value !== '' && <p class="muted">Its address will be <code>{addressOf(name.value)}</code>.</p>}
    </Form>
  );
}
