//! The names that say whether a Python file can do without a container.

/// Modules of Python's library that the runtime `python-wasm` does not have.
pub(super) const ABSENT: &str = "\
    antigravity cProfile compileall curses dbm ensurepip fcntl grp idlelib mailbox mmap modulefinder msvcrt \
    multiprocessing nt nturl2path pty pwd py_compile pyclbr pydoc pydoc_data readline resource syslog tabnanny \
    termios tkinter tty turtle turtledemo venv webbrowser winreg winsound wsgiref xmlrpc zipapp";

/// The other modules of Python's library.
pub(super) const LIBRARY: &str = "\
    __future__ __main__ abc argparse array ast asyncio atexit base64 bdb binascii bisect builtins bz2 calendar cmath \
    cmd code codecs codeop collections colorsys concurrent configparser contextlib contextvars copy copyreg csv \
    ctypes dataclasses datetime decimal difflib dis doctest email encodings enum errno faulthandler filecmp \
    fileinput fnmatch fractions ftplib functools gc genericpath getopt getpass gettext glob graphlib gzip hashlib \
    heapq hmac html http imaplib importlib inspect io ipaddress itertools json keyword linecache locale logging lzma \
    marshal math mimetypes netrc ntpath numbers opcode operator optparse os pathlib pdb pickle pickletools pkgutil \
    platform plistlib poplib posix posixpath pprint profile pstats pyexpat queue quopri random re reprlib \
    rlcompleter runpy sched secrets select selectors shelve shlex shutil signal site smtplib socket socketserver \
    sqlite3 sre_compile sre_constants sre_parse ssl stat statistics string stringprep struct subprocess symtable sys \
    sysconfig tarfile tempfile textwrap this threading time timeit token tokenize tomllib trace traceback \
    tracemalloc types typing unicodedata unittest urllib uuid warnings wave weakref xml zipfile zipimport zlib \
    zoneinfo";

/// Packages with compiled parts, by the names of their modules: those that the runtime itself names in its errors.
pub(super) const COMPILED: &str = "\
    numpy pandas scipy sklearn torch tensorflow PIL cv2 lxml cryptography psycopg2 psycopg asyncpg pymongo grpc google \
    matplotlib pyarrow polars orjson ujson uvloop pydantic_core bcrypt nacl greenlet gevent zmq h5py numba cffi regex \
    msgspec rpds tokenizers tiktoken shapely duckdb";

/// Modules of the library and packages whose use is to connect to something otherwise than by whole requests of HTTP.
pub(super) const CONNECTING: &str = "\
    socket socketserver http.server ftplib imaplib poplib smtplib httpx httpcore aiohttp websockets websocket \
    tornado twisted boto3 botocore aioboto3 paramiko fabric redis pymysql aiomysql pg8000 pika kafka elasticsearch \
    stripe slack_sdk openai anthropic";

/// Names of a module that is there, whose use does not work.
#[derive(Debug)]
pub(super) struct ContainerUse {
    pub(super) module: &'static str,
    pub(super) names: &'static [&'static str],
    /// The reason, behind `which`.
    pub(super) does: &'static str,
}

/// Everything of that kind.
pub(super) static USES: [ContainerUse; 9] = [
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
        module: "ctypes",
        names: &["CDLL", "PyDLL", "cdll", "pydll", "pythonapi"],
        does: "calls native code",
    },
    ContainerUse {
        module: "sqlite3",
        names: &["connect", "Connection"],
        does: "opens a file, unless it is \":memory:\"",
    },
];

/// Whether a list has a name.
pub(super) fn has(list: &str, name: &str) -> bool {
    list.split_ascii_whitespace().any(|each| each == name)
}
