/**
 * The parts of Node-RED's internal runtime that this package touches (4.x and 5.x), and the handle
 * that the native addon gives.
 */

export interface FlowNode {
  id: string;
  type: string;
  z?: string;
  credentials?: Record<string, unknown>;
  [property: string]: unknown;
}

export type Credentials = Record<string, Record<string, unknown>>;

export interface RuntimeEvent {
  id: string;
  payload?: { revision?: string; state?: string; error?: string; types?: string[]; [name: string]: unknown };
}

export interface Log {
  error(line: string): void;
  warn(line: string): void;
  info(line: string): void;
  debug(line: string): void;
}

export interface Runtime {
  log: Log & { addHandler(handler: { emit(name: string, message: LogMessage): void }): void };
  events: NodeJS.EventEmitter;
  settings: Settings;
  storage: { projects?: Projects };
  hooks: { add(hook: string, callback: (event: any) => unknown): void };
  /** An Express application. */
  nodeApp: {
    use(handler: (request: unknown, response: import('node:http').ServerResponse, next: () => void) => void): void;
  };
  server?: import('node:http').Server;
  nodes: {
    getNodeList(): NodeSet[];
    enableNode(id: string): Promise<unknown>;
    disableNode(id: string): Promise<unknown>;
    getType(type: string): unknown;
    getCredentials(id: string): Record<string, unknown> | undefined;
    closeContextsPlugin(): Promise<void>;
  };
  flows: {
    getFlows(): { flows: FlowNode[]; rev: string } | null;
    setFlows(
      flows: FlowNode[],
      credentials: Credentials | null,
      type: string,
      muteLog?: boolean | null,
      forceStart?: boolean | null,
      user?: unknown,
    ): Promise<string | undefined>;
    startFlows(type: string): Promise<void>;
    stopFlows(type: string): Promise<void>;
    state(): string;
  };
  isStarted(): boolean;
  version(): string;
}

/** A file of a module with its node types, as Node-RED lists it. */
export interface NodeSet {
  /** `<module>/<name>` */
  id: string;
  name: string;
  module?: string;
  enabled?: boolean;
  types?: string[];
  err?: unknown;
}

/** A module that Node-RED has loaded. */
export interface ModuleInfo {
  version: string;
  nodes: NodeSet[];
  plugins?: unknown[];
}

/** What this package uses of `@node-red/registry`. */
export interface Registry {
  getModuleInfo(name: string): ModuleInfo | null;
  /** Null where it was passed over. */
  addModule(name: string): Promise<ModuleInfo | null>;
}

export interface LogMessage {
  level: number;
  event?: string;
  type?: string;
  user?: { username?: string };
  error?: string;
}

export interface Settings {
  userDir?: string;
  coreNodesDir: string;
  readOnly?: boolean;
  flowFile?: string;
  flowFilePretty?: boolean;
  valkey?: unknown;
  credentialSecret?: string | false;
  runtimeState?: { enabled?: boolean };
  editorTheme?: { projects?: { enabled?: boolean } };
  get(name: string): unknown;
  set(name: string, value: unknown): Promise<void>;
  [name: string]: unknown;
}

export interface Projects {
  getActiveProject(user?: unknown): { name: string; credentialSecret?: string | false } | string | undefined;
}

/** Node-RED's own file storage. */
export interface LocalFiles {
  init(settings: Settings, runtime: Runtime): Promise<void>;
  getFlows(): Promise<FlowNode[]>;
  saveFlows(flows: FlowNode[], user?: unknown): Promise<void>;
  getCredentials(): Promise<Record<string, unknown>>;
  saveCredentials(credentials: Record<string, unknown>): Promise<void>;
  getSettings(): Promise<Record<string, unknown>>;
  saveSettings(settings: Record<string, unknown>): Promise<void>;
  getLibraryEntry(type: string, path: string): Promise<LibraryAnswer>;
  saveLibraryEntry(type: string, path: string, meta: Record<string, unknown>, body: string): Promise<void>;
  projects: Projects;
}

export type LibraryAnswer = string | (string | ({ fn: string } & Record<string, unknown>))[];

export type JobOutcome = { applied: true } | { missingTypes: string[] } | { error: string };

export interface Job {
  kind: 'apply' | 'state' | 'refill';
  type?: string;
  user?: string;
  state?: 'start' | 'stop';
  flows?: Buffer[];
  credentials?: string;
}

/** What a start found out. */
export interface Start {
  source: 'store' | 'unversioned' | 'disk' | 'nothing' | 'unreadable';
  state: 'start' | 'stop';
  generatedSecret: string | null;
  revision: number | null;
}

/** The native handle; all methods reject or throw errors with a `code` of the form `NRC_...`. */
export interface NativeCluster {
  about(): string;
  start(candidates: string[]): Promise<string>;
  bootFlows(): Promise<Buffer[]>;
  credentials(): string;
  booted(missingTypes: string[]): void;
  nextJob(): Promise<Job | null>;
  done(outcome: string): Promise<void>;
  forgive(): void;
  stalled(missingModules: string[]): void;
  /** JSON of what Node-RED has to know of packages when it loads its palette. */
  packagesAtStart(): string;
  /** Resolves to JSON. */
  nextPackagesJob(): Promise<string | null>;
  packagesJobDone(outcome: string): void;
  packagesChanged(): void;
  palette(palette: string): void;
  lackingModules(names: string[]): Promise<string[]>;
  publish(flows: Buffer[], deploy: string): Promise<string>;
  publishState(state: string): Promise<void>;
  isNews(hash: string, credentials: string): Promise<boolean>;
  runningHash(): string | null;
  readSettings(): Promise<string | null>;
  saveSettings(settings: string): Promise<void>;
  readSessions(): Promise<string>;
  saveSessions(sessions: string): Promise<void>;
  libraryEntry(type: string, path: string): Promise<string>;
  saveLibraryEntry(type: string, path: string, meta: string, body: string): Promise<void>;
  stopping(): void;
  close(): Promise<void>;
}

/** What an open context says about itself. */
export interface AboutContext {
  store: string;
  keyPrefix: string;
  warnings: string[];
  /** `maxAge` in milliseconds. */
  nearCache: { enabled: boolean; maxBytes: number; maxAge: number };
  offlineReads: 'fail' | 'last-known';
  maxValueBytes: number;
}

/**
 * The native handle of one context store. Texts are JSON; an `id` is the caller's number for a request whose
 * answer comes through `drain`, 0 for one that nobody waits for. Writes return their number.
 */
export interface NativeContext {
  about(): string;
  ready(): Promise<void>;
  /** Written by Rust: epoch of invalidations, generation that is served, clock in seconds, newest settled write. */
  readonly words: Int32Array;
  /** Written here: hits, and bytes, entries and evictions where there is room for them. */
  readonly hits: Float64Array;
  parse(expression: string): string;
  /** Flat pairs of scope and name; an empty name stands for the list of names. */
  takeInvalidated(): string[];
  read(id: number, scope: string, name: string): void;
  /** Flat pairs of text and generation; 0 is the generation of what must not be kept. */
  readNow(scope: string, names: string[]): (string | number | null)[];
  names(id: number, scope: string): void;
  namesNow(scope: string): [string, number];
  set(id: number, scope: string, name: string, text: string | null): number;
  change(id: number, scope: string, expressions: string[], texts: (string | null)[]): number;
  operate(id: number, scope: string, expression: string, operation: string): number;
  /** Flat: id, error code or null, text (of an error its message), generation. */
  drain(): (number | string | null)[];
  delete(scope: string): Promise<void>;
  clean(ids: string[]): Promise<void>;
  close(): Promise<void>;
  counters(): string;
}

/** What a leader node's settings come to. */
export interface AboutElection {
  store: string;
  keyPrefix: string;
  lockKey: string;
  /** In milliseconds. */
  lockTTL: number;
  warnings: string[];
}

/** How this process stands in an election. */
export interface ElectionStanding {
  state: 'leader' | 'follower' | 'none' | 'error';
  lockKey: string;
  /** This host. */
  host: string;
  /** Where there is a leader. */
  leaderHost: string | null;
  leaderToken: number | null;
  /** What is wrong, or worth a warning. */
  code: string | null;
  message: string | null;
}

/** What a release came to. */
export interface Released {
  released: boolean;
  /** This host. */
  releasedBy: string;
  lockKey: string;
  currentLeader: string | null;
}

/** One node's part in an election. */
export interface NativeCandidacy {
  readonly id: number;
  /** JSON of `AboutElection`. */
  about(): string;
  /** The fencing token while this process leads by the clock of this very moment, else 0. */
  lead(): number;
  /** `lead` as a function of its own, which costs a fraction of the method. */
  leadFunction(): () => number;
  /** JSON of `ElectionStanding`. */
  standing(): string;
  leave(removed: boolean): void;
}

/** All elections of this process. Requests are JSON: `settings` and `node` as texts, `lockKey`, `lockTTL`. */
export interface NativeElections {
  join(request: string): NativeCandidacy;
  /** JSON of `AboutElection`. */
  check(request: string): string;
  /** The ids of candidacies whose standing changed; also tells that the event loop lives. */
  drain(): number[];
  /** Resolves to JSON of `Released`. */
  release(request: string): Promise<string>;
  /** Gives up what no candidacy is left for. */
  settle(): void;
  close(): Promise<void>;
  /** Resolves to JSON: ok, store, steps with ok and text, message, code. */
  test(request: string): Promise<string>;
  /** JSON of the lock keys that this process leads. */
  leads(): string;
}

export interface Addon {
  /** `wake` asks for a call of `drain`. */
  openElections(
    log: (level: string, line: string) => void,
    wake: () => void,
    cluster?: NativeCluster,
  ): NativeElections;
  /** `cluster` tells the revision that this instance runs, where the storage module opened one. */
  openContext(
    options: string,
    log: (level: string, line: string) => void,
    wake: () => void,
    cluster?: NativeCluster,
  ): NativeContext;
  NativeCluster: new () => NativeCluster;
  openCluster(options: string, log: (level: string, line: string) => void): NativeCluster;
  cli(request: string): Promise<number>;
  cliStop(): void;
}
