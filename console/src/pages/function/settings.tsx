/** Limits, arguments and streams, flags, environment, secrets and deletion of a function. */
import type { JSX } from 'preact';
import { useMemo, useState } from 'preact/hooks';
import { post, withProgress } from '../../api';
import { inApp, path } from '../../base';
import {
  changedMembers,
  differences,
  FlagFields,
  LimitFields,
  settingsOf,
  SignatureFields,
  VariableFields,
  variables,
  type Settings,
  type Variable,
} from '../../parts/function-fields';
import { firstFault, programFaults } from '../../parts/program';
import { ProgramFields } from '../../parts/program-fields';
import { ProgressView, useProgress, type Progress } from '../../parts/progress';
import { keepSource, keptSource } from '../../parts/source';
import { useDraft } from '../../hooks';
import { navigate } from '../../router';
import type { FunctionPatch, Updated } from '../../types';
import { Button, Bytes, Checkbox, Confirm, Facts, Section, Select, shortDigest, toast } from '../../ui';
import type { FunctionTabProps } from './index';

export default function SettingsTab(props: FunctionTabProps): JSX.Element {
  return (
    <div class="stack">
      <General {...props} />
      <Variables {...props} />
      <Variables {...props} secret />
      <Removal {...props} />
    </div>
  );
}

interface Patching {
  readonly progress: Progress<[patch: FunctionPatch]>;
  readonly updated: Updated | undefined;
}

/** Changes members of the function and shows it as it is then. */
function usePatch({ name, app, info, fetched }: FunctionTabProps, then: () => void): Patching {
  const [updated, setUpdated] = useState<Updated>();
  const progress = useProgress(async (onStep, json: FunctionPatch) => {
    setUpdated(undefined);
    const answer = await withProgress<Updated>('PATCH', inApp(app, path`/functions/${name}`), { json, onStep });
    // A script is made anew with other variables: the same source has another digest.
    const source = keptSource(info.Code);
    if (source !== undefined && answer.Function.Code !== info.Code) keepSource(answer.Function.Code, source);
    then();
    setUpdated(answer);
    fetched.set(answer.Function);
    toast('Saved');
  });
  return { progress, updated };
}

function Outcome({ of: { progress, updated } }: { readonly of: Patching }): JSX.Element | null {
  return (
    <>
      <ProgressView of={progress} done="Saved" />
      {updated !== undefined && (
        <div class="stack tight">
          {updated.Changes.length === 0 ? (
            <p>Nothing had to change.</p>
          ) : (
            <ul class="plain-list">
              {updated.Changes.map((change, index) => (
                <li key={index}>{changeText(change)}</li>
              ))}
            </ul>
          )}
          {updated.Previous !== undefined && (
            <p class="muted">
              Version <code>{shortDigest(updated.Previous)}</code> is kept; calls get{' '}
              <code>{shortDigest(updated.Function.Version)}</code>.
            </p>
          )}
          {(updated.Remarks ?? []).map((remark) => (
            <p key={remark} class="notice">
              {remark}
            </p>
          ))}
        </div>
      )}
    </>
  );
}

function changeText({ Member, Name, Change, From, To }: Updated['Changes'][number]): string {
  if (Name !== undefined) return `${Member === 'Secrets' ? 'Secret' : 'Variable'} ${Name}: ${Change ?? 'changed'}`;
  const text = (value: unknown): string =>
    value === undefined || value === null || value === '' || (Array.isArray(value) && value.length === 0)
      ? 'none'
      : typeof value === 'object'
        ? JSON.stringify(value)
        : String(value);
  return Member === 'Code' || From === To ? `${Member}: changed` : `${Member}: ${text(From)} → ${text(To)}`;
}

// === limits, flags, signature ===

const ARCHS = [
  ['', 'every architecture'],
  ['amd64', 'amd64 alone'],
  ['arm64', 'arm64 alone'],
] as const;

/** Members whose change makes no new version. */
const UNVERSIONED = ['Idempotent', 'IdempotentOutbound', 'Edge', 'Isolation', 'Signature', 'SupportedArchs'];

function General(props: FunctionTabProps): JSX.Element {
  const { info, name, app } = props;
  const before = useMemo(() => settingsOf(info), [info]);
  const archsBefore = (info.SupportedArchs ?? []).length === 1 ? (info.SupportedArchs?.[0] ?? '') : '';
  const draft = useDraft<Partial<Settings>>(`settings.${app ?? ''}/${name}`, {});
  const value: Settings = { ...before, ...draft.value };
  const set = (after: Settings): void => draft.set(differences(before, after));
  const [archs, setArchs] = useState(archsBefore);
  const patching = usePatch(props, draft.clear);
  const patch = changedMembers(before, value);
  if (archs !== archsBefore) patch.SupportedArchs = archs === '' ? null : [archs];
  const changed = Object.keys(patch).length > 0;
  const isWasm = info.Runtime === 'wasm';
  const faulty = isWasm && firstFault(programFaults(value)) !== undefined;
  const newVersion = Object.keys(patch).some(
    (member) => !UNVERSIONED.includes(member),
  );
  return (
    <form
      class="form"
      onSubmit={(event) => {
        event.preventDefault();
        if (!faulty) void patching.progress.run(patch);
      }}
    >
      <Section title="Limits">
        <LimitFields value={value} onChange={set} runtime={info.Runtime} />
      </Section>
      {isWasm && (
        <Section title="Arguments and streams">
          <ProgramFields value={value} onChange={set} />
        </Section>
      )}
      <Section title="Flags">
        <FlagFields value={value} onChange={set} runtime={info.Runtime} />
        <div class="fields">
          <Select label="Runs on" value={archs} options={ARCHS} onChange={setArchs} />
        </div>
      </Section>
      <Section title="Signature">
        <SignatureFields value={value} onChange={set} />
      </Section>
      <Outcome of={patching} />
      <div class="form-actions">
        <Button type="submit" look="primary" busy={patching.progress.busy} disabled={!changed || faulty}>
          Save
        </Button>
        {(changed || draft.dirty) && !patching.progress.busy && (
          <Button
            look="quiet"
            onClick={() => {
              draft.clear();
              setArchs(archsBefore);
            }}
          >
            Discard the changes
          </Button>
        )}
        {changed && (
          <span class="muted">
            {`Changes ${Object.keys(patch).join(', ')}${newVersion ? ': a new version' : '; the version stays'}.`}
          </span>
        )}
      </div>
    </form>
  );
}

// === variables and secrets ===

function Variables(props: FunctionTabProps & { readonly secret?: boolean }): JSX.Element {
  const { info, name, app, secret = false } = props;
  const names = secret ? (info.Secrets ?? []) : info.Env;
  const draft = useDraft<readonly Variable[]>(`env.${app ?? ''}/${name}`, []);
  const [secrets, setSecrets] = useState<readonly Variable[]>([]);
  const [removed, setRemoved] = useState<readonly string[]>([]);
  const list = secret ? secrets : draft.value;
  const setList = secret ? setSecrets : draft.set;
  const patching = usePatch(props, () => {
    if (secret) setSecrets([]);
    else draft.clear();
    setRemoved([]);
  });
  const gone = removed.filter((one) => names.includes(one));
  const values = { ...Object.fromEntries(gone.map((one) => [one, null])), ...variables(list) };
  const changed = Object.keys(values).length > 0;
  const title = secret ? 'Secrets' : 'Environment';
  return (
    <Section title={title}>
      <form
        class="form"
        onSubmit={(event) => {
          event.preventDefault();
          void patching.progress.run(secret ? { Secrets: values } : { Env: values });
        }}
      >
        {names.length === 0 ? (
          <p class="muted">{secret ? 'There are no secrets.' : 'There are no variables.'}</p>
        ) : (
          <ul class="name-list" aria-label={title}>
            {names.map((one) => (
              <li key={one} class="row">
                <code class={gone.includes(one) ? 'struck' : undefined}>{one}</code>
                {secret && info.SecretHosts?.[one] !== undefined && (
                  <span class="muted">for {info.SecretHosts[one].join(', ')}</span>
                )}
                {!list.some((other) => other.name === one) && (
                  <Button
                    small
                    label={`New value for ${one}`}
                    onClick={() => setList([...list, { name: one, value: '' }])}
                  >
                    New value
                  </Button>
                )}
                <Checkbox
                  label={
                    <>
                      Remove<span class="offscreen"> {one}</span>
                    </>
                  }
                  checked={gone.includes(one)}
                  onChange={(on) => setRemoved(on ? [...removed, one] : removed.filter((other) => other !== one))}
                />
              </li>
            ))}
          </ul>
        )}
        <p class="muted">
          {secret
            ? 'Values are never shown. Whoever may deploy the function can have its code read them.'
            : 'The node does not show values. A change makes a new version.'}
        </p>
        <VariableFields list={list} onChange={setList} secret={secret} />
        <Outcome of={patching} />
        <div class="form-actions">
          <Button type="submit" look="primary" busy={patching.progress.busy} disabled={!changed}>
            {secret ? 'Save the secrets' : 'Save the variables'}
          </Button>
        </div>
      </form>
    </Section>
  );
}

// === deletion ===

function Removal({ name, app, info, codeBytes }: FunctionTabProps): JSX.Element {
  const [open, setOpen] = useState(false);
  const remove = async (): Promise<void> => {
    await post(inApp(app, '/delete'), { Name: name });
    toast(`${name} is deleted`);
    navigate(app === undefined ? '/functions' : path`/apps/${app}`);
  };
  return (
    <Section title="About and deletion">
      <Facts
        of={[
          ['Version', <code>{info.Version}</code>],
          ['Code', <code>{info.Code}</code>],
          codeBytes !== undefined && ['Size of the code', <Bytes n={codeBytes} />],
          ['Runtime', info.Runtime],
        ]}
      />
      <Button look="danger" onClick={() => setOpen(true)}>
        Delete the function
      </Button>
      <Confirm
        title={`Delete ${name}?`}
        open={open}
        onClose={() => setOpen(false)}
        name={name}
        action="Delete"
        onConfirm={remove}
      >
        <p>
          Its versions, log and secrets are deleted with it. Running calls end. Endpoints and functions that call it
          get an error.
        </p>
      </Confirm>
    </Section>
  );
}
