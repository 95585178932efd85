/** What the node's API takes and answers, as far as the console needs it. Names are those on the wire. */

/** An error document (RFC 9457). */
export interface ProblemBody {
  type: string;
  title: string;
  status: number;
  code: string;
  detail: string;
  function?: string;
  request_id?: string;
  /** The end of the function's log. */
  output?: string;
  stack?: string;
}

// === runs ===

export type Trigger = 'invoke' | 'http' | 'endpoint' | 'nested' | 'async' | 'peer' | 'edge' | 'test';
export type RunStatus =
  | 'completed' | 'failed' | 'rejected' | 'refused' | 'unavailable' | 'internal' | 'abandoned';
export type CacheOutcome = 'run' | 'edge' | 'carried' | 'cache' | 'joined';

/** The record of one invocation. */
export interface Run {
  id: string;
  function: string;
  app?: string;
  version: string;
  trigger: Trigger;
  status: RunStatus;
  code?: string;
  message?: string;
  started_unix_ms: number;
  queue_us: number;
  start_us: number;
  execution_us: number;
  total_us: number;
  warm: boolean;
  cache: CacheOutcome;
  /** AREA/name of the node that keeps the record, and of the one that ran it. */
  node: string;
  ran_on: string;
  params_bytes: number;
  result_bytes: number;
  caller?: string;
  parent?: string;
  root: string;
  depth: number;
  trace_id: string;
  span_id: string;
  /** Its first requests to hosts outside, and the number of the others. */
  requests?: RequestInfo[];
  more_requests?: number;
}

/** A request of a run to a host outside. */
export interface RequestInfo {
  method: string;
  /** Scheme, host, and the port unless it is the scheme's. */
  host: string;
  status?: number;
  code?: string;
  begun_us: number;
  head_us?: number;
  received_bytes: number;
}

/** `GET /invocations`, the newest first. */
export interface RunPage {
  runs: Run[];
  next?: string;
  kept_since_unix_ms: number;
  unreachable: string[];
}

/** `GET /invocations/{id}`. */
export interface InvocationInfo {
  id: string;
  function: string;
  version: string;
  state: 'queued' | 'running' | 'done' | 'failed' | 'cancelled' | 'expired';
  attempts: number;
  accepted_unix_ms?: number;
  started_unix_ms?: number;
  finished_unix_ms?: number;
  result?: unknown;
  error?: { code: string; message: string };
  node?: string;
  dead_letter?: boolean;
  redrive_of?: string;
  callback?: { url: string; state: 'pending' | 'delivered' | 'failed'; attempts: number; last_error?: string };
  history: { unix_ms: number; event: string; node: string }[];
  runs?: Run[];
}

/** The reply (202) to `POST /functions/{name}/invocations` and to a redrive. */
export interface AcceptedInvocation {
  id: string;
  repeated?: boolean;
  redrive_of?: string;
}

export interface DeadLetter {
  id: string;
  function: string;
  error: { code: string; message: string };
  attempts: number;
  finished_unix_ms: number;
}

/** `GET /dead-letters?limit=&after=`, the oldest first. */
export interface DeadLetters {
  dead_letters: DeadLetter[];
  next?: string;
}

/** The answer to `POST /invoke/{name}`. Times are seconds; `Result` is JSON as text. */
export interface InvocationResponse {
  Success: boolean;
  Result: string;
  ResponseTime: number;
  IsWarmStart: boolean;
  InitTime: number;
  QueueingTime: number;
  OffloadLatency: number;
  Duration: number;
  Output: string;
  ExecutionArea?: string;
  ExecutionNode?: string;
}

// === time series ===

export interface FunctionStats {
  function: string;
  app?: string;
  calls: number;
  failures: number;
  rejected: number;
  cold: number;
  cache_hits: number;
  per_second: number;
  p50_us?: number;
  p99_us?: number;
}

export interface StatsPoint {
  unix_ms: number;
  calls: number;
  failures: number;
  rejected: number;
  cold: number;
  cache_hits: number;
  p50_us?: number;
  p99_us?: number;
}

/** `GET /stats`; `points` only with `?function=`. */
export interface Stats {
  step_ms: number;
  window_ms: number;
  unix_ms: number;
  functions: FunctionStats[];
  points?: StatsPoint[];
}

/** `GET /stats/node`, for operators: one hour. */
export interface NodeStats {
  step_ms: number;
  points: (StatsPoint & { running: number; waiting: number; memory_used_mib: number; cpu_used_milli: number })[];
}

export interface QuotaUsage {
  used: number;
  /** `null`: as much as they like. */
  limit: number | null;
}

/** `GET /quotas`: the quotas of an account. */
export interface UserQuotas {
  applications: QuotaUsage;
  functions: QuotaUsage;
  code_bytes: QuotaUsage;
  concurrent: QuotaUsage;
  /** Most calls a minute; `null`: as many as they like. */
  per_minute: number | null;
}

/** `GET /sandboxes`, for operators. */
export interface Sandboxes {
  sandboxes: {
    function: string;
    app?: string;
    runtime: string;
    state: 'starting' | 'idle' | 'busy';
    age_ms: number;
    memory_mib: number;
  }[];
}

// === events ===

/** The data of `GET /events` by kind. */
export interface EventData {
  hello: { node: string; version: string };
  run: Run;
  deploy: {
    unix_ms: number;
    function: string;
    app?: string;
    version?: string;
    action: 'deployed' | 'changed' | 'rolled_back' | 'deleted';
    node: string;
  };
  log: { unix_ms: number; function: string; app?: string; invocation?: string; text: string };
  sandbox: {
    unix_ms: number;
    function: string;
    app?: string;
    action: 'started' | 'removed';
    runtime: string;
    took_us?: number;
  };
  offload: { unix_ms: number; id: string; function: string; app?: string; to: string; outcome: string };
  peer: { unix_ms: number; node: string; action: 'joined' | 'left' | 'unreachable' | 'reachable' };
  load: {
    unix_ms: number;
    running: number;
    waiting: number;
    memory_used_mib: number;
    memory_mib: number;
    cpu_used_milli: number;
    cpu_milli: number;
    sandboxes: { starting: number; idle: number; busy: number };
    calls: number;
    failures: number;
    rejected: number;
  };
  missed: { missed: number };
}

export type EventKind = keyof EventData;

// === functions ===

export type Runtime = 'wasm' | 'javascript' | 'python-wasm' | 'python' | 'nodejs' | 'custom';

export interface Parameter {
  Name: string;
  Type: string;
}

export interface Signature {
  Inputs: Parameter[];
  Outputs: Parameter[];
}

/** `GET /functions/{name}`. */
export interface FunctionInfo {
  Name: string;
  Runtime: Runtime;
  Version: string;
  Code: string;
  Handler: string;
  MemoryMB: number;
  CPUDemand: number;
  MaxConcurrency: number;
  Timeout: number;
  CPUTime?: number;
  /** Names only. */
  Env: string[];
  Secrets?: string[];
  /** The hosts that a secret is for: the function has a placeholder in its place. */
  SecretHosts?: Record<string, string[]>;
  Network: string;
  AllowHosts?: string[];
  Image?: string;
  Idempotent: boolean;
  IdempotentOutbound?: boolean;
  Edge: boolean;
  Isolation: 'kept' | 'fresh' | '';
  SupportedArchs?: string[];
  Signature?: Signature;
  /** Of a program: its arguments, with the places of parameters. */
  Arguments?: string[];
  /** Absent: the parameters. */
  Stdin?: 'body' | 'none';
  /** Absent: JSON. */
  Stdout?: 'raw';
  /** Content type of raw output. */
  StdoutType?: string;
}

/** The body of `POST /create`. */
export interface NewFunction {
  Name: string;
  Runtime?: Runtime;
  MemoryMB?: number;
  CPUDemand?: number;
  MaxConcurrency?: number;
  Handler?: string;
  /** Base64 of a tar with the code, or of the bare `.wasm` file. */
  TarFunctionCode?: string;
  CustomImage?: string;
  Signature?: Signature;
  Timeout?: number;
  CPUTime?: number;
  Env?: Record<string, string>;
  Secrets?: Record<string, string>;
  Network?: string;
  AllowHosts?: string[];
  Idempotent?: boolean;
  IdempotentOutbound?: boolean;
  Edge?: boolean;
  Isolation?: 'kept' | 'fresh';
  SupportedArchs?: string[];
  Arguments?: string[];
  Stdin?: 'params' | 'body' | 'none';
  Stdout?: 'json' | 'raw';
  StdoutType?: string;
}

/** The body of `PATCH /functions/{name}`: `null` is the default, in `Env` and `Secrets` it removes one. */
export type FunctionPatch = {
  [Member in keyof Omit<NewFunction, 'Env' | 'Secrets'>]?: NewFunction[Member] | null;
} & { Env?: Record<string, string | null> | null; Secrets?: Record<string, string | null> | null };

export interface Created {
  Created: string;
  Runtime?: Runtime;
  Version?: string;
  Interface?: 'json' | 'http';
  Replaced?: boolean;
  Remarks?: string[];
}

export interface Updated {
  Updated: string;
  Changes: { Member: string; Name?: string; Change?: 'added' | 'changed' | 'removed'; From?: unknown; To?: unknown }[];
  Previous?: string;
  Function: FunctionInfo;
  Interface?: 'json' | 'http';
  Remarks?: string[];
}

export interface VersionInfo {
  Version: string;
  Current: boolean;
  DeployedUnixMs: number;
  Runtime: Runtime;
  Interface: 'json' | 'http';
  Code: string;
  /** 0: not noted. */
  CodeBytes: number;
  Idempotent: boolean;
  Edge: boolean;
  Isolation: 'kept' | 'fresh' | '';
}

/** `GET /functions/{name}/versions`: the current one, then those that are kept. */
export interface FunctionVersions {
  Function: string;
  Versions: VersionInfo[];
}

/** `GET /functions/{name}/nodes`. */
export interface FunctionNodes {
  Function: string;
  Version: string;
  Nodes: {
    Node: string;
    Area: string;
    State: 'ready' | 'preparing' | 'failed' | 'unheard' | 'unable' | 'unreachable';
    Runs?: string;
    Detail?: string;
  }[];
}

/** A line of a log as NDJSON; `{}` is a sign of life. */
export interface LogLine {
  Time?: string;
  Invocation?: string;
  Failed?: boolean;
  Text?: string;
  Skipped?: number;
}

// === applications ===

export interface AppSummary {
  name: string;
  id: string;
  up: boolean;
  endpoints: number;
  functions: number;
}

export interface EndpointInfo {
  method: string;
  path: string;
  function: string;
}

export type Cors = 'closed' | 'any' | string[];

export interface AppInfo {
  name: string;
  id: string;
  up: boolean;
  functions: string[];
  endpoints: EndpointInfo[];
  /** The names of its files of dependencies. */
  dependencies?: string;
  cors: Cors;
  hands_out_nested: boolean;
  own_origin: boolean;
  created_unix_ms: number;
}

export interface AppSettings {
  name?: string;
  cors?: Cors;
  hands_out_nested?: boolean;
  own_origin?: boolean;
}

export interface DependenciesInfo {
  file?: string;
  outdated: string[];
}

export interface RunningApplication {
  name: string;
  up: boolean;
}

/** The outcome of `POST /apps/{app}/test`. */
export interface TestAnswer {
  answer: { result?: unknown; cache?: unknown };
  output: string;
  milliseconds: number;
}

export interface ImportedApplication {
  name: string;
  functions: string[];
  remarks?: string[];
}

// === node ===

export interface Coordinates {
  Vec: [number, number, number];
  Error: number;
  Adjustment: number;
  Height: number;
}

/** `GET /status`, for operators. */
export interface NodeStatus {
  AvailableWarmContainers: Record<string, number>;
  TotalMemory: number;
  AvailableMemory: number;
  FreeMemory: number;
  TotalCPU: number;
  UsedCPU: number;
  Coordinates: Coordinates;
  LoadAvg: [number, number, number];
  LastUpdateTime: number;
  Running: number;
  Queued: number;
  Functions: number;
  Preparing?: { Function: string; Version: string; State: 'preparing' | 'failed'; Runs?: string; Detail?: string }[];
  Version: string;
  Node: string;
  Area: string;
  Uptime: number;
}

/** `GET /peers`, for operators. */
export interface PeerInfo {
  node: string;
  area: string;
  kind: string;
  address: string;
  cloud: boolean;
  round_trip_ms: number | null;
  age_ms: number | null;
  free_memory_mib: number;
  free_cpu: number;
  wait_ms: number;
  draining: boolean;
  offloadable: boolean;
  /** Where it says to be, if the node knows. */
  coordinates?: Coordinates;
}

// === accounts ===

export interface AccountInfo {
  user: string;
  email: string;
  role: 'user' | 'operator';
  space: string;
  created_unix_ms: number;
  via: 'session' | 'token';
  credential: string;
  scopes: string[];
}

export interface TokenEntry {
  id: string;
  name: string;
  scopes: string[];
  created_unix_ms: number;
  expires_unix_ms?: number;
  used_unix_ms?: number;
}

export interface CreatedToken {
  token: string;
  info: TokenEntry;
}

export interface SessionEntry {
  id: string;
  created_unix_ms: number;
  used_unix_ms: number;
  current: boolean;
}
