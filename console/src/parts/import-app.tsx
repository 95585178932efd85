/** An application from the file that an export gave. */
import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import { withProgress } from '../api';
import { path, query } from '../base';
import { navigate } from '../router';
import type { ImportedApplication } from '../types';
import { ButtonLink, Dialog, Field, Form, TextField, toast } from '../ui';
import { ProgressView, useProgress } from './progress';

export function ImportDialog({ open, onClose }: { readonly open: boolean; readonly onClose: () => void }): JSX.Element {
  return (
    <Dialog title="Import an application" open={open} onClose={onClose}>
      <Import onDone={onClose} />
    </Dialog>
  );
}

function Import({ onDone }: { readonly onDone: () => void }): JSX.Element {
  const [file, setFile] = useState<File>();
  const [name, setName] = useState('');
  const [made, setMade] = useState<ImportedApplication>();
  const work = useProgress(async (onStep) => {
    const outcome = await withProgress<ImportedApplication>('POST', `/apps/import${query({ name })}`, {
      ...(file === undefined ? {} : { body: file }),
      headers: { 'content-type': 'application/x-tar' },
      onStep,
    });
    if ((outcome.remarks ?? []).length > 0) {
      setMade(outcome);
      return;
    }
    toast(`${outcome.name} is imported`);
    onDone();
    navigate(path`/apps/${outcome.name}`);
  });
  if (made !== undefined) return <Remarks made={made} />;
  return (
    <Form submit="Import" onSubmit={() => work.run()} disabled={file === undefined}>
      <Field
        label="File"
        hint="A tar that an export gave: functions with their code, endpoints, dependencies, settings."
      >
        {(ids) => (
          <input
            {...ids}
            type="file"
            accept=".tar,application/x-tar"
            required
            onChange={(event) => setFile(event.currentTarget.files?.[0])}
          />
        )}
      </Field>
      <TextField
        label="Name"
        mono
        maxLength={63}
        hint="Empty: the name in the file."
        value={name}
        onChange={(value) => setName(value.toLowerCase())}
      />
      <p class="muted">The application is stopped at first. Secrets are not part of exports.</p>
      <ProgressView of={work} />
    </Form>
  );
}

function Remarks({ made }: { readonly made: ImportedApplication }): JSX.Element {
  return (
    <>
      <p><strong>{made.name}</strong> is imported. The node remarks:</p>
      <ul class="plain-list">{(made.remarks ?? []).map((remark) => <li key={remark}>{remark}</li>)}</ul>
      <ButtonLink to={path`/apps/${made.name}`} look="primary">Open {made.name}</ButtonLink>
    </>
  );
}
