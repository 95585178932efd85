/** The name of an application, who may use it, its file, and its end. */
import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import { del, patch, request } from '../../api';
import { path } from '../../base';
import { useAction, useDraft } from '../../hooks';
import { addressOf } from '../../parts/addresses';
import { navigate } from '../../router';
import type { AppInfo, AppSettings, Cors } from '../../types';
import {
  Button, Checkbox, Confirm, Facts, Form, Problem, Section, Select, TextArea, TextField, Time, toast,
} from '../../ui';
import { APP_NAME } from '../apps';
import type { AppTabProps } from './index';

export function SettingsTab(props: AppTabProps): JSX.Element {
  return (
    <div class="stack">
      <div class="columns">
        <Access {...props} />
        <div class="stack">
          <Rename {...props} />
          <Export {...props} />
          <Delete {...props} />
        </div>
      </div>
    </div>
  );
}

type CorsWord = 'closed' | 'any' | 'list';

const CORS = [
  ['closed', 'None: only pages of the node and of the application'],
  ['list', 'Those of some origins'],
  ['any', 'All'],
] as const;

interface AccessForm {
  readonly cors: CorsWord;
  readonly origins: string;
  readonly nested: boolean;
  readonly own: boolean;
}

function formOf({ cors, hands_out_nested: nested, own_origin: own }: AppInfo): AccessForm {
  if (typeof cors === 'string') return { cors, origins: '', nested, own };
  return { cors: 'list', origins: cors.join('\n'), nested, own };
}

function corsOf({ cors, origins }: AccessForm): Cors {
  return cors === 'list' ? origins.split(/[\s,]+/).filter((origin) => origin !== '') : cors;
}

function Access({ app, info, fetched }: AppTabProps): JSX.Element {
  const draft = useDraft(`app.${info.id}.settings`, formOf(info));
  const form = draft.value;
  const change = (members: Partial<AccessForm>): void => draft.set({ ...form, ...members });
  const save = async (): Promise<void> => {
    const body: AppSettings = { cors: corsOf(form), hands_out_nested: form.nested, own_origin: form.own };
    fetched.set(await patch<AppInfo>(path`/apps/${app}`, body));
    draft.clear();
    toast('The settings are saved');
  };
  return (
    <Section title="Who may use it, and how">
      <Form
        submit="Save"
        onSubmit={save}
        disabled={!draft.dirty}
        actions={draft.dirty && <Button look="quiet" onClick={draft.clear}>Discard changes</Button>}
      >
        <Select
          label="Pages of other origins"
          hint="Programs may call a running application in any case. This is about web pages of other sites."
          value={form.cors}
          options={CORS}
          onChange={(cors) => change({ cors })}
        />
        {form.cors === 'list' && (
          <TextArea
            label="Origins"
            mono
            required
            rows={3}
            placeholder={'https://shop.example\nhttp://localhost:8000'}
            hint="One a line, as browsers write them: scheme, name, and the port if it is another than the usual one."
            value={form.origins}
            onChange={(origins) => change({ origins })}
          />
        )}
        <Checkbox
          label="Responses hand out results of nested calls"
          hint={(
            <>
              Callers may keep them and send them back, so that nothing runs twice. This reveals the arguments of calls
              that functions make to each other.
            </>
          )}
          checked={form.nested}
          onChange={(nested) => change({ nested })}
        />
        <Checkbox
          label="Responses keep the origin of the application's own host name"
          hint={(
            <>
              For pages with cookies, storage and modules of their own. Off: browsers treat responses as of no origin,
              so that they can do no harm. It has no effect below /app, and without TLS only below a domain of one
              label.
            </>
          )}
          checked={form.own}
          onChange={(own) => change({ own })}
        />
      </Form>
    </Section>
  );
}

function Rename({ app, info }: AppTabProps): JSX.Element {
  const name = useDraft(`app.${info.id}.name`, app);
  const rename = async (): Promise<void> => {
    const renamed = await patch<AppInfo>(path`/apps/${app}`, { name: name.value });
    name.clear();
    toast(`${app} is ${renamed.name} now`);
    navigate(path`/apps/${renamed.name}/settings`, { replace: true });
  };
  return (
    <Section title="Name">
      <Facts of={[['Id', <code>{info.id}</code>], ['Made', <Time ms={info.created_unix_ms} />]]} />
      <Form submit="Rename" look="normal" onSubmit={rename} disabled={!name.dirty}>
        <TextField
          label="Name"
          mono
          required
          pattern={APP_NAME}
          maxLength={63}
          hint={`Callers of ${addressOf(app)} have to use the new address. Functions, endpoints and the id stay.`}
          value={name.value}
          onChange={(value) => name.set(value.toLowerCase())}
        />
      </Form>
    </Section>
  );
}

function Export({ app }: AppTabProps): JSX.Element {
  const save = useAction(async () => {
    const response = await request('GET', path`/apps/${app}/export`);
    const link = document.createElement('a');
    link.href = URL.createObjectURL(await response.blob());
    link.download = `${app}.tar`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
  });
  return (
    <Section title="Export">
      <p>
        One file with functions and their code, endpoints, dependencies and settings. Import it here or on another node
        from the list of applications. Values of secrets are left out.
      </p>
      <Problem error={save.error} />
      <Button busy={save.busy} onClick={() => save.run()}>Download {app}.tar</Button>
    </Section>
  );
}

function Delete({ app, info }: AppTabProps): JSX.Element {
  const [open, setOpen] = useState(false);
  const counts = `${counted(info.functions.length, 'function')} and ${counted(info.endpoints.length, 'endpoint')}`;
  return (
    <Section title="Delete the application">
      <p>Its {counts} go with it. An export beforehand keeps a way back.</p>
      <Button look="danger" onClick={() => setOpen(true)}>Delete {app}</Button>
      <Confirm
        title={`Delete ${app}`}
        action="Delete it for good"
        name={app}
        open={open}
        onClose={() => setOpen(false)}
        onConfirm={async () => {
          await del(path`/apps/${app}`);
          navigate('/apps');
          toast(`${app} is deleted`);
        }}
      >
        <p>{info.up ? 'It runs now. ' : ''}Its {counts} are deleted, with all versions of the code.</p>
      </Confirm>
    </Section>
  );
}

function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}
