/** The fields of a function's limits, flags, signature and variables, for new functions and existing ones. */
import type { JSX } from 'preact';
import type { FunctionInfo, FunctionPatch, NewFunction, Parameter, Runtime, Signature } from '../types';
import { Button, Checkbox, Select, TextArea, TextField } from '../ui';
import { TYPES } from './guess';
import { changedProgram, PROGRAM_DEFAULTS, programMembers, programOf, type ProgramSettings } from './program';
import { hasHosts, isContainer } from './runtimes';

/** What the fields hold: texts, so that nothing typed is lost. Empty: the default. */
export interface Settings extends ProgramSettings {
  readonly memory: string;
  readonly cpu: string;
  readonly timeout: string;
  readonly cpuTime: string;
  readonly concurrency: string;
  readonly handler: string;
  readonly image: string;
  readonly network: 'none' | 'bridge';
  /** Those that it may send requests to, one a line. */
  readonly hosts: string;
  readonly idempotent: boolean;
  readonly idempotentOutbound: boolean;
  readonly edge: boolean;
  readonly isolation: 'kept' | 'fresh';
  readonly inputs: readonly Parameter[];
  readonly outputs: readonly Parameter[];
}

export const DEFAULTS: Settings = {
  memory: '',
  cpu: '',
  timeout: '',
  cpuTime: '',
  concurrency: '',
  handler: '',
  image: '',
  network: 'none',
  hosts: '',
  idempotent: false,
  idempotentOutbound: false,
  edge: false,
  isolation: 'kept',
  inputs: [],
  outputs: [],
  ...PROGRAM_DEFAULTS,
};

export function settingsOf(info: FunctionInfo): Settings {
  return {
    memory: String(info.MemoryMB),
    cpu: String(info.CPUDemand),
    timeout: String(info.Timeout),
    cpuTime: info.CPUTime === undefined ? '' : String(info.CPUTime),
    concurrency: String(info.MaxConcurrency),
    handler: info.Handler,
    image: info.Image ?? '',
    network: info.Network === 'bridge' ? 'bridge' : 'none',
    hosts: (info.AllowHosts ?? []).join('\n'),
    idempotent: info.Idempotent,
    idempotentOutbound: info.IdempotentOutbound === true,
    edge: info.Edge,
    isolation: info.Isolation === 'fresh' ? 'fresh' : 'kept',
    inputs: info.Signature?.Inputs ?? [],
    outputs: info.Signature?.Outputs ?? [],
    ...programOf(info),
  };
}

/** The settings that differ. What is not among them stays as the node has it, also if somebody else changes it. */
export function differences(before: Settings, after: Settings): Partial<Settings> {
  const text = (of: Settings, member: string): string => JSON.stringify(of[member as keyof Settings]);
  const differing = Object.entries(after).filter(([member]) => text(before, member) !== text(after, member));
  return Object.fromEntries(differing) as Partial<Settings>;
}

export function signatureOf({ inputs, outputs }: Settings): Signature | undefined {
  const named = (list: readonly Parameter[]): Parameter[] => list.filter(({ Name }) => Name !== '');
  const whole = { Inputs: named(inputs), Outputs: named(outputs) };
  return whole.Inputs.length + whole.Outputs.length === 0 ? undefined : whole;
}

function hostsOf({ hosts }: Settings): string[] {
  return hosts.split(/\s+/).filter((host) => host !== '');
}

/** It goes with the other flag only. */
function keepsOutbound({ idempotent, idempotentOutbound }: Settings): boolean {
  return idempotent && idempotentOutbound;
}

/** The members of a deploy; absent ones have their default. Fields that the runtime does not have are left out. */
export function deployMembers(of: Settings, runtime: Runtime): Partial<NewFunction> {
  const signature = signatureOf(of);
  return {
    ...(of.memory === '' ? {} : { MemoryMB: Number(of.memory) }),
    ...(of.cpu === '' ? {} : { CPUDemand: Number(of.cpu) }),
    ...(of.timeout === '' ? {} : { Timeout: Number(of.timeout) }),
    ...(of.cpuTime === '' ? {} : { CPUTime: Number(of.cpuTime) }),
    ...(!isContainer(runtime) || of.concurrency === '' ? {} : { MaxConcurrency: Number(of.concurrency) }),
    ...(of.handler === '' ? {} : { Handler: of.handler }),
    ...(isContainer(runtime) && of.network !== 'none' ? { Network: of.network } : {}),
    ...(hasHosts(runtime) && hostsOf(of).length > 0 ? { AllowHosts: hostsOf(of) } : {}),
    ...(of.idempotent ? { Idempotent: true } : {}),
    ...(keepsOutbound(of) ? { IdempotentOutbound: true } : {}),
    ...(of.edge ? { Edge: true } : {}),
    ...(of.isolation === 'kept' ? {} : { Isolation: of.isolation }),
    ...(signature === undefined ? {} : { Signature: signature }),
    ...(runtime === 'wasm' ? programMembers(of) : {}),
  };
}

/** The members that differ: what a change has to name, and nothing else. */
export function changedMembers(before: Settings, after: Settings): FunctionPatch {
  const patch: FunctionPatch = changedProgram(before, after);
  const number = (text: string): number | null => (text.trim() === '' ? null : Number(text));
  if (after.memory !== before.memory) patch.MemoryMB = number(after.memory);
  if (after.cpu !== before.cpu) patch.CPUDemand = number(after.cpu);
  if (after.timeout !== before.timeout) patch.Timeout = number(after.timeout);
  if (after.cpuTime !== before.cpuTime) patch.CPUTime = number(after.cpuTime);
  if (after.concurrency !== before.concurrency) patch.MaxConcurrency = number(after.concurrency);
  if (after.handler !== before.handler) patch.Handler = after.handler;
  if (after.image !== before.image) patch.CustomImage = after.image;
  if (after.network !== before.network) patch.Network = after.network;
  if (hostsOf(after).join() !== hostsOf(before).join()) patch.AllowHosts = hostsOf(after);
  if (after.idempotent !== before.idempotent) patch.Idempotent = after.idempotent;
  if (keepsOutbound(after) !== keepsOutbound(before)) patch.IdempotentOutbound = keepsOutbound(after);
  if (after.edge !== before.edge) patch.Edge = after.edge;
  if (after.isolation !== before.isolation) patch.Isolation = after.isolation;
  const [from, to] = [signatureOf(before), signatureOf(after)];
  if (JSON.stringify(from) !== JSON.stringify(to)) patch.Signature = to ?? null;
  return patch;
}

interface FieldsProps {
  readonly value: Settings;
  readonly onChange: (value: Settings) => void;
  readonly runtime: Runtime | undefined;
}

/** Memory, cores, time, and what belongs to the runtime. */
export function LimitFields({ value, onChange, runtime }: FieldsProps): JSX.Element {
  const set = (change: Partial<Settings>): void => onChange({ ...value, ...change });
  return (
    <div class="fields">
      <TextField
        label="Memory in MiB"
        type="number"
        min={1}
        step={1}
        placeholder="128"
        hint={isContainer(runtime) ? 'At least 16 in a container.' : undefined}
        value={value.memory}
        onChange={(memory) => set({ memory })}
      />
      <TextField
        label="Reserved cores"
        type="number"
        min={0}
        step="any"
        placeholder="0"
        hint="0 reserves none."
        value={value.cpu}
        onChange={(cpu) => set({ cpu })}
      />
      <TextField
        label="Time limit in seconds"
        type="number"
        min={0}
        step="any"
        placeholder="30"
        hint="Of one call."
        value={value.timeout}
        onChange={(timeout) => set({ timeout })}
      />
      <TextField
        label="Processor seconds"
        type="number"
        min={0}
        step="any"
        placeholder="as the time limit"
        hint="Of one call."
        value={value.cpuTime}
        onChange={(cpuTime) => set({ cpuTime })}
      />
      <TextField
        label="Handler"
        mono
        hint="FILE.NAME; empty: the usual names are tried."
        value={value.handler}
        onChange={(handler) => set({ handler })}
      />
      {isContainer(runtime) && (
        <>
          <TextField
            label="Calls at once in a container"
            type="number"
            min={1}
            step={1}
            placeholder="1"
            value={value.concurrency}
            onChange={(concurrency) => set({ concurrency })}
          />
          <Select
            label="Network"
            value={value.network}
            onChange={(network) => set({ network })}
            options={[
              ['none', 'none'],
              ['bridge', 'bridge, where the node allows it'],
            ]}
          />
        </>
      )}
      {hasHosts(runtime) && (
        <TextArea
          label="Hosts for its requests"
          mono
          rows={3}
          placeholder={'api.example.org\nhttp://10.0.0.7:8080'}
          hint="One a line; *.example.org is all names below. Without a scheme it is https. Empty: none."
          value={value.hosts}
          onChange={(hosts) => set({ hosts })}
        />
      )}
      {runtime === 'custom' && (
        <TextField label="Image" mono required value={value.image} onChange={(image) => set({ image })} />
      )}
    </div>
  );
}

/** What the owner says of a function. */
export function FlagFields({ value, onChange, runtime }: FieldsProps): JSX.Element {
  const set = (change: Partial<Settings>): void => onChange({ ...value, ...change });
  return (
    <div class="stack">
      <Checkbox
        label="Idempotent"
        checked={value.idempotent}
        onChange={(idempotent) => set({ idempotent })}
        hint="Equal parameters give an equal result: results are kept, and identical calls run once."
      />
      {hasHosts(runtime) && value.idempotent && (
        <Checkbox
          label="Idempotent, whatever hosts answer"
          checked={value.idempotentOutbound}
          onChange={(idempotentOutbound) => set({ idempotentOutbound })}
          hint="Results of runs that sent requests to hosts are kept as well."
        />
      )}
      <Checkbox
        label="Edge"
        checked={value.edge}
        onChange={(edge) => set({ edge })}
        hint="Browsers may run it, and call it without an endpoint. Its code and plain variables are public."
      />
      {!isContainer(runtime) && (
        <Checkbox
          label="A fresh instance for every call"
          checked={value.isolation === 'fresh'}
          onChange={(fresh) => set({ isolation: fresh ? 'fresh' : 'kept' })}
          hint="Without it, an instance may be put back to its beginning and used again, which is faster."
        />
      )}
    </div>
  );
}

/** Declared parameters and results: for people, and for samples. */
export function SignatureFields({ value, onChange }: Omit<FieldsProps, 'runtime'>): JSX.Element {
  return (
    <div class="columns">
      <ParameterList title="Parameters" list={value.inputs} onChange={(inputs) => onChange({ ...value, inputs })} />
      <ParameterList title="Results" list={value.outputs} onChange={(outputs) => onChange({ ...value, outputs })} />
    </div>
  );
}

function ParameterList({
  title,
  list,
  onChange,
}: {
  readonly title: string;
  readonly list: readonly Parameter[];
  readonly onChange: (list: readonly Parameter[]) => void;
}): JSX.Element {
  const set = (index: number, change: Partial<Parameter>): void =>
    onChange(list.map((one, place) => (place === index ? { ...one, ...change } : one)));
  return (
    <div class="stack">
      <h3>{title}</h3>
      {list.map((one, index) => (
        <div class="pair" key={index}>
          <input
            class="mono"
            aria-label={`${title}: name ${index + 1}`}
            placeholder="name"
            value={one.Name}
            spellcheck={false}
            autoComplete="off"
            onInput={(event) => set(index, { Name: event.currentTarget.value })}
          />
          <select
            aria-label={`${title}: type of ${one.Name || index + 1}`}
            value={one.Type}
            onChange={(event) => set(index, { Type: event.currentTarget.value })}
          >
            {TYPES.map((type) => (
              <option key={type} value={type}>
                {type}
              </option>
            ))}
          </select>
          <Button
            look="quiet"
            icon="close"
            label={`Remove ${one.Name || index + 1}`}
            onClick={() => onChange(list.filter((_, place) => place !== index))}
          />
        </div>
      ))}
      <Button small icon="plus" onClick={() => onChange([...list, { Name: '', Type: 'Text' }])}>
        Add
      </Button>
    </div>
  );
}

export interface Variable {
  readonly name: string;
  readonly value: string;
}

export function variables(list: readonly Variable[]): Record<string, string> {
  return Object.fromEntries(list.filter(({ name }) => name !== '').map(({ name, value }) => [name, value]));
}

/** Names with values to be set. `secret`: values are not shown. */
export function VariableFields({
  list,
  onChange,
  secret = false,
}: {
  readonly list: readonly Variable[];
  readonly onChange: (list: readonly Variable[]) => void;
  readonly secret?: boolean;
}): JSX.Element {
  const what = secret ? 'Secret' : 'Variable';
  const set = (index: number, change: Partial<Variable>): void =>
    onChange(list.map((one, place) => (place === index ? { ...one, ...change } : one)));
  return (
    <div class="stack">
      {list.map((one, index) => (
        <div class="pair" key={index}>
          <input
            class="mono"
            aria-label={`${what} ${index + 1}: name`}
            placeholder="NAME"
            value={one.name}
            spellcheck={false}
            autoComplete="off"
            onInput={(event) => set(index, { name: event.currentTarget.value })}
          />
          <input
            class="mono"
            aria-label={`${what} ${one.name || index + 1}: value`}
            placeholder="value"
            value={one.value}
            type={(secret ? 'password' : 'text') as 'text'}
            spellcheck={false}
            autoComplete={secret ? 'new-password' : 'off'}
            onInput={(event) => set(index, { value: event.currentTarget.value })}
          />
          <Button
            look="quiet"
            icon="close"
            label={`Leave ${one.name || index + 1} out`}
            onClick={() => onChange(list.filter((_, place) => place !== index))}
          />
        </div>
      ))}
      <Button small icon="plus" onClick={() => onChange([...list, { name: '', value: '' }])}>
        {secret ? 'Add a secret' : 'Add a variable'}
      </Button>
    </div>
  );
}
