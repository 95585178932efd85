//! The names that say whether a Python file can do without a container.

/// Modules of Python's library that the runtime `python-wasm` does not have.
pub(super) const ABSENT: &str = "\
    antigravity bdb bz2 cProfile cmd code compileall ctypes curses dbm doctest ensurepip fcntl ftplib grp idlelib \
    imaplib lzma mailbox mmap modulefinder msvcrt multiprocessing nt nturl2path pdb poplib profile pstats pty pwd \
    py_compile pyclbr pydoc pydoc_data readline resource rlcompleter smtplib sqlite3 syslog tabnanny termios \
    tkinter trace tty turtle turtledemo venv webbrowser winreg winsound wsgiref xmlrpc zipapp";

/// The other modules of Python's library.
pub(super) const LIBRARY: &str = "\
    __future__ __main__ abc argparse array ast asyncio atexit base64 binascii bisect builtins calendar cmath codecs \
    codeop collections colorsys concurrent configparser contextlib contextvars copy copyreg csv dataclasses datetime \
    decimal difflib dis email encodings enum errno faulthandler filecmp fileinput fnmatch fractions functools gc \
    genericpath getopt getpass gettext glob graphlib gzip hashlib heapq hmac html http importlib inspect io \
    ipaddress itertools json keyword linecache locale logging marshal math mimetypes netrc ntpath numbers opcode \
    operator optparse os pathlib pickle pickletools pkgutil platform plistlib posix posixpath pprint pyexpat queue \
    quopri random re reprlib runpy sched secrets select selectors shelve shlex shutil signal site socket \
    socketserver sre_compile sre_constants sre_parse ssl stat statistics string stringprep struct subprocess symtable \
    sys sysconfig tarfile tempfile textwrap this threading time timeit token tokenize tomllib traceback tracemalloc \
    types typing unicodedata unittest urllib uuid warnings wave weakref xml zipfile zipimport zlib zoneinfo";

/// Packages with compiled parts, by the names of their modules: those that the runtime itself names in its errors.
pub(super) const COMPILED: &str = "\
    numpy pandas scipy sklearn torch tensorflow PIL cv2 lxml cryptography psycopg2 psycopg asyncpg pymongo grpc google \
    matplotlib pyarrow polars orjson ujson uvloop pydantic_core bcrypt nacl greenlet gevent zmq h5py numba cffi regex \
    msgspec rpds tokenizers tiktoken shapely duckdb";

/// Modules of the library and packages whose use is to connect to something otherwise than by whole requests of HTTP.
pub(super) const CONNECTING: &str = "\
    socket socketserver http.server httpx httpcore aiohttp websockets websocket tornado twisted boto3 botocore \
    aioboto3 paramiko fabric redis pymysql aiomysql pg8000 pika kafka elasticsearch stripe slack_sdk openai anthropic";

/// Names of a module that is there, whose use does not work.
#[derive(Debug)]
pub(super) struct ContainerUse {
    pub(super) module: &'static str,
    pub(super) names: &'static [&'static str],
    /// The reason, behind `which`.
    pub(super) does: &'static str,
}

/// Everything of that kind.
pub(super) static USES: [ContainerUse; 8] = [
    ContainerUse {
        module: "threading",
        names: &["Thread", "Timer"],
        does: "starts a thread",
    },
    ContainerUse {
        module: "_thread",
        names: &["start_new_thread"],
        does: "starts a thread",
    },
    ContainerUse {
        module: "concurrent.futures",
        names: &["ThreadPoolExecutor", "ProcessPoolExecutor"],
        does: "starts threads or processes",
    },
    ContainerUse {
        module: "os",
        names: &[
            "system",
            "popen",
            "fork",
            "execv",
            "execve",
            "execvp",
            "spawnl",
            "spawnv",
            "posix_spawn",
        ],
        does: "starts a process",
    },
    ContainerUse {
        module: "os",
        names: &["mkdir", "makedirs"],
        does: "writes to the disk",
    },
    ContainerUse {
        module: "tempfile",
        names: &[
            "NamedTemporaryFile",
            "TemporaryFile",
            "TemporaryDirectory",
            "mkdtemp",
            "mkstemp",
        ],
        does: "writes to the disk",
    },
    ContainerUse {
        module: "asyncio",
        names: &[
            "create_subprocess_exec",
            "create_subprocess_shell",
            "open_connection",
            "start_server",
            "open_unix_connection",
            "start_unix_server",
        ],
        does: "starts a process or a connection",
    },
    ContainerUse {
        module: "hashlib",
        names: &["pbkdf2_hmac", "scrypt"],
        does: "is OpenSSL's",
    },
];

/// Whether a list has a name.
pub(super) fn has(list: &str, name: &str) -> bool {
    list.split_ascii_whitespace().any(|each| each == name)
}
