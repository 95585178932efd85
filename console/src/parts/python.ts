/**
 * The choice between the two runtimes for Python, by what the files import and use. The command line looks closer; the
 * names are the same (crates/serverledge-wire/src/python/names.rs, whose tests compare them).
 */
import { textOf, type Source } from './source';

/** Modules of Python's library that `python-wasm` does not have. */
const ABSENT = words(`
  antigravity cProfile compileall curses dbm ensurepip fcntl grp idlelib mailbox mmap modulefinder msvcrt
  multiprocessing nt nturl2path pty pwd py_compile pyclbr pydoc pydoc_data readline resource syslog tabnanny
  termios tkinter tty turtle turtledemo venv webbrowser winreg winsound wsgiref xmlrpc zipapp`);

/** The other modules of Python's library. */
const LIBRARY = words(`
  __future__ __main__ abc argparse array ast asyncio atexit base64 bdb binascii bisect builtins bz2 calendar cmath
  cmd code codecs codeop collections colorsys concurrent configparser contextlib contextvars copy copyreg csv
  ctypes dataclasses datetime decimal difflib dis doctest email encodings enum errno faulthandler filecmp fileinput
  fnmatch fractions ftplib functools gc genericpath getopt getpass gettext glob graphlib gzip hashlib heapq hmac
  html http imaplib importlib inspect io ipaddress itertools json keyword linecache locale logging lzma marshal
  math mimetypes netrc ntpath numbers opcode operator optparse os pathlib pdb pickle pickletools pkgutil platform
  plistlib poplib posix posixpath pprint profile pstats pyexpat queue quopri random re reprlib rlcompleter runpy
  sched secrets select selectors shelve shlex shutil signal site smtplib socket socketserver sqlite3 sre_compile
  sre_constants sre_parse ssl stat statistics string stringprep struct subprocess symtable sys sysconfig tarfile
  tempfile textwrap this threading time timeit token tokenize tomllib trace traceback tracemalloc types typing
  unicodedata unittest urllib uuid warnings wave weakref xml zipfile zipimport zlib zoneinfo`);

/** Packages with compiled parts. */
const COMPILED = words(`
  numpy pandas scipy sklearn torch tensorflow PIL cv2 lxml cryptography psycopg2 psycopg asyncpg pymongo grpc google
  matplotlib pyarrow polars orjson ujson uvloop pydantic_core bcrypt nacl greenlet gevent zmq h5py numba cffi regex
  msgspec rpds tokenizers tiktoken shapely duckdb`);

/** Modules whose use is to connect to something otherwise than by whole requests of HTTP. */
const CONNECTING = words(`
  socket socketserver http.server ftplib imaplib poplib smtplib httpx httpcore aiohttp websockets websocket tornado
  twisted boto3 botocore aioboto3 paramiko fabric redis pymysql aiomysql pg8000 pika kafka elasticsearch stripe
  slack_sdk openai anthropic`);

/** Names of modules that are there, whose use does not work: module, names, what they do. */
const USES: readonly (readonly [module: string, names: string, does: string])[] = [
  ['threading', 'Thread Timer', 'starts a thread'],
  ['_thread', 'start_new_thread', 'starts a thread'],
  ['concurrent.futures', 'ThreadPoolExecutor ProcessPoolExecutor', 'starts threads or processes'],
  ['os', 'system popen fork execv execve execvp spawnl spawnv posix_spawn', 'starts a process'],
  ['os', 'mkdir makedirs', 'writes to the disk'],
  ['tempfile', 'NamedTemporaryFile TemporaryFile TemporaryDirectory mkdtemp mkstemp', 'writes to the disk'],
  [
    'asyncio',
    `create_subprocess_exec create_subprocess_shell open_connection start_server open_unix_connection
    start_unix_server`,
    'starts a process or a connection',
  ],
  ['ctypes', 'CDLL PyDLL cdll pydll pythonapi', 'calls native code'],
  ['sqlite3', 'connect Connection', 'opens a file, unless it is “:memory:”'],
];

/** Files that are opened to be written, or written at once. */
const WRITES =
  /(?<![\w.])(?:io\.|codecs\.)?open\((?:[^()]|\([^()]*\))*?,\s?(?:mode ?= ?)?"[rbt]*[wxa+]|\.open\((?:mode ?= ?)?"[rbt]*[wxa+]|\.write_(?:text|bytes)\(/;

/** Files that may hold the handler where nothing names it. */
const USUAL = ['main', 'handler', 'function', 'app', 'index'];

function words(list: string): ReadonlySet<string> {
  return new Set(list.trim().split(/\s+/));
}

interface Import {
  /** The dots before the name. */
  readonly level: number;
  readonly module: string;
  /** Those behind `from … import`. */
  readonly names: readonly string[];
}

/** The names beside which modules are looked for. */
interface Beside {
  /** The folders of the code: its own, then its only one; each with a slash at its end. */
  readonly roots: readonly string[];
  /** The files and folders in these. */
  readonly names: ReadonlySet<string>;
  /** Names of modules with compiled parts. */
  readonly compiled: ReadonlySet<string>;
}

/** Why a source in Python needs a container, as words about it; `undefined`: nothing that was seen. */
export function needsContainer(source: Source, handler: string): string | undefined {
  const files = new Map(source.files.map((file) => [file.path, file]));
  const beside = besideOf([...files.keys()]);
  const waiting = firstFiles([...files.keys()], beside.roots, handler);
  const alone = waiting.length === 1 ? waiting[0] : undefined;
  const seen = new Set(waiting);
  for (const path of waiting) {
    const file = files.get(path);
    const statements = statementsOf((file === undefined ? undefined : textOf(file)) ?? '');
    const imports = importsOf(statements);
    const why = whyOfImports(imports, beside) ?? whyOfUses(imports, statements);
    if (why !== undefined) return `${path === alone ? 'it' : path} ${why}`;
    for (const next of imports.flatMap((one) => filesOf(one, path, beside.roots))) {
      if (!files.has(next) || seen.has(next)) continue;
      seen.add(next);
      waiting.push(next);
    }
  }
  return undefined;
}

function besideOf(paths: readonly string[]): Beside {
  const tops = new Set(paths.flatMap((path) => /^(?!\.|__)[^/]+(?=\/)/.exec(path) ?? []));
  const roots = ['', ...(tops.size === 1 ? [...tops].map((top) => `${top}/`) : [])];
  const names = new Set<string>();
  const compiled = new Set<string>();
  for (const root of roots) {
    for (const path of paths.filter((one) => one.startsWith(root))) {
      const [name = ''] = path.slice(root.length).split('/');
      names.add(name);
      if (/\.(so|pyd|dylib)$/.test(path)) compiled.add(name.replace(/\..*/, ''));
    }
  }
  return { roots, names, compiled };
}

/** The file of the handler; all that may have it, where nothing tells. */
function firstFiles(paths: readonly string[], roots: readonly string[], handler: string): string[] {
  const module = handler.replace(/\.[^.]*$/, '').replaceAll('.', '/');
  const named = module === '' ? [] : roots.flatMap((root) => [`${root}${module}.py`, `${root}${module}/__init__.py`]);
  const usual = roots.flatMap((root) => USUAL.map((name) => `${root}${name}.py`));
  const found = [...named, ...usual].find((path) => paths.includes(path));
  if (found !== undefined) return [found];
  const own = paths.filter((path) => path.endsWith('.py'));
  const top = own.filter((path) => !path.includes('/'));
  return top.length > 0 ? top : own;
}

/** Where the files of an import would be. */
function filesOf({ level, module, names }: Import, path: string, roots: readonly string[]): string[] {
  const above = path.split('/').slice(0, -level || undefined);
  const bases = level === 0 ? roots : [above.map((folder) => `${folder}/`).join('')];
  const parts = module === '' ? [] : module.split('.');
  const whole = parts.join('/');
  const modules = [whole, ...names.map((name) => (whole === '' ? name : `${whole}/${name}`))];
  const folders = [...parts.map((_, at) => parts.slice(0, at + 1).join('/')), ...modules];
  return bases.flatMap((base) => [
    ...modules.map((name) => `${base}${name}.py`),
    ...folders.map((name) => `${base}${name}/__init__.py`),
  ]);
}

/** Why imports need a container, as words that follow the file's name. */
function whyOfImports(imports: readonly Import[], { names: beside, compiled }: Beside): string | undefined {
  for (const { module, names } of imports.filter(({ level }) => level === 0)) {
    const parts = module.split('.');
    const [top = ''] = parts;
    const here = beside.has(top) || beside.has(`${top}.py`);
    if (!here && ABSENT.has(top.replace(/^_+/, ''))) return `imports ${module}, which python-wasm does not have`;
    if (COMPILED.has(top) && (!here || compiled.has(top))) return `imports ${module}, which has compiled parts`;
    if (module === 'subprocess') return 'imports subprocess, which starts processes';
    const above = parts.map((_, at) => parts.slice(0, at + 1).join('.'));
    const connects = [...above, ...names.map((name) => `${module}.${name}`)].find((name) => CONNECTING.has(name));
    if (connects !== undefined) return `imports ${connects}, which connects to other hosts`;
    if (!here && !top.startsWith('_') && top !== 'serverledge' && !LIBRARY.has(top)) {
      return `imports ${module}, which is not in the files`;
    }
  }
  return undefined;
}

/** What a file uses that needs a container. */
function whyOfUses(imports: readonly Import[], statements: readonly Statement[]): string | undefined {
  const code = statements.map(({ text }) => text).join('\n');
  for (const [module, list, does] of USES) {
    const names = [...words(list)];
    const taken = imports.filter((one) => one.level === 0 && one.module === module).flatMap((one) => one.names);
    const last = module.slice(module.lastIndexOf('.') + 1);
    const used = new RegExp(`(?<![\\w."])(?:${module}|${last})\\.(${names.join('|')})\\b`).exec(code);
    const name = names.find((one) => taken.includes(one)) ?? used?.[1];
    if (name !== undefined) return `uses ${module}.${name}, which ${does}`;
  }
  return statements.some(({ text }) => WRITES.test(text)) ? 'writes files' : undefined;
}

// === statements ===

interface Statement {
  readonly indent: number;
  readonly text: string;
}

/** The statements without comments; of texts in quotes only short ones are left, such as modes of files. */
function statementsOf(source: string): Statement[] {
  const bare = source.replace(
    /#[^\n]*|("""|''')(?:\\[^]|(?!\1)[^\\])*(?:\1|$)|"(?:\\[^]|[^"\\\n])*"|'(?:\\[^]|[^'\\\n])*'/g,
    (part) => (part.startsWith('#') ? '' : /^["'][\w.+]{1,40}["']$/.test(part) ? `"${part.slice(1, -1)}"` : '""'),
  );
  const found: Statement[] = [];
  let whole = '';
  let depth = 0;
  for (const line of bare.split('\n')) {
    whole += `${line.replace(/\\\r?$/, '')} `;
    for (const [bracket] of line.matchAll(/[()[\]{}]/g)) depth += '([{'.includes(bracket) ? 1 : -1;
    if (depth > 0 || /\\\r?$/.test(line)) continue;
    const indent = whole.search(/\S/);
    if (indent >= 0) found.push({ indent, text: whole.trim().replace(/\s+/g, ' ') });
    whole = '';
    depth = 0;
  }
  return found;
}

interface Block {
  readonly indent: number;
  /** The file can do without the imports in it. */
  optional: boolean;
}

/** The imports that a file cannot do without. */
function importsOf(statements: readonly Statement[]): Import[] {
  const found: { readonly one: Import; readonly blocks: readonly Block[] }[] = [];
  const attempts = new Map<number, Block>();
  let blocks: readonly Block[] = [];
  for (const { indent, text } of statements) {
    blocks = blocks.filter((block) => block.indent < indent);
    const [word = ''] = /^\w+/.exec(text) ?? [];
    const catches = /\b(ImportError|ModuleNotFoundError|Exception|BaseException)\b|^except ?:/.test(text);
    const attempt = attempts.get(indent);
    if (word === 'except' && catches && attempt !== undefined) attempt.optional = true;
    const unlikely = /^(el)?if$/.test(word) && /\b(TYPE_CHECKING|version_info|platform|__main__)\b/.test(text);
    const optional = word === 'except' || unlikely || (word === 'with' && catches);
    if (optional || word === 'try') {
      const block = { indent, optional };
      blocks = [...blocks, block];
      if (word === 'try') attempts.set(indent, block);
    }
    for (const one of importsIn(text)) found.push({ one, blocks });
  }
  return found.filter(({ blocks: around }) => !around.some(({ optional }) => optional)).map(({ one }) => one);
}

function* importsIn(text: string): Generator<Import> {
  for (const [, list = ''] of text.matchAll(/(?:^|[;:]) ?import ([^;]*)/g)) {
    for (const one of list.split(',')) {
      const [module] = /[\w.]+/.exec(one) ?? [];
      if (module !== undefined) yield { level: 0, module, names: [] };
    }
  }
  for (const [, dots = '', module = '', list = ''] of text.matchAll(
    /(?:^|[;:]) ?from(?=[ .]) ?(\.{0,20}) ?([\w.]*) ?\bimport\b ?([^;]*)/g,
  )) {
    const names = list.split(',').flatMap((one) => /\w+/.exec(one) ?? []);
    yield { level: dots.length, module, names };
  }
  for (const [, module = ''] of text.matchAll(/\b(?:import_module|__import__)\( ?"([\w.]+)"/g)) {
    if (!module.startsWith('.')) yield { level: 0, module, names: [] };
  }
}
