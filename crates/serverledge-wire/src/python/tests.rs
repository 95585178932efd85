//! Files that need a container, and files that do not.

use proptest::prelude::*;

use super::*;

/// The reason for one file.
fn why(source: &str) -> Option<String> {
    needs_container(
        &[PythonFile {
            path: "f.py",
            bytes: source.as_bytes(),
            is_package: false,
        }],
        "",
    )
}

/// That for several, of which those in `site/` came with packages.
fn why_of(files: &[(&str, &str)], handler: &str) -> Option<String> {
    let files: Vec<_> = files
        .iter()
        .map(|(path, text)| PythonFile {
            path: path.trim_start_matches("site/"),
            bytes: text.as_bytes(),
            is_package: path.starts_with("site/"),
        })
        .collect();
    needs_container(&files, handler)
}

#[test]
fn the_library_and_nothing_else_needs_no_container() {
    for source in [
        "",
        "import json, re\nfrom datetime import datetime as d\n\ndef handler(p): return d.now()",
        "import os.path\nimport urllib.parse, http, email.mime.text\nfrom serverledge import call, kv",
        "import threading\nlock = threading.Lock()",
        "from __future__ import annotations\nimport _thread, concurrent.futures",
        "try:\n    import numpy as np\nexcept ImportError:\n    np = None",
        "try:\n    import tomllib\nexcept ImportError:\n    import tomli as tomllib",
        "if TYPE_CHECKING:\n    import pandas",
        "if __name__ == '__main__':\n    import httpx",
        "import urllib.request, http.client, ssl\nfrom urllib import error, request",
        "text = '''\nimport numpy\n'''\n# import ssl\nx = \"import curses\"",
        "open('data.csv').read(); open(path, 'rb'); open('w'); f(open(path), 'w')",
        "import tarfile, io\ntarfile.open(fileobj=b, mode='w')",
        "import os\nos.environ['A']; os.path.join('a')\nsystem = 1; self.system()",
        "import hashlib\nhashlib.sha256(b'').hexdigest()",
        "importlib.import_module(name)",
    ] {
        assert_eq!(why(source), None, "{source}");
    }
}

#[test]
fn what_only_a_container_has_needs_one() {
    for (source, expected) in [
        (
            "import numpy as np",
            "it imports \"numpy\", which has compiled parts",
        ),
        (
            "import json, pandas.io",
            "it imports \"pandas.io\", which has compiled parts",
        ),
        (
            "from lxml import etree",
            "it imports \"lxml\", which has compiled parts",
        ),
        (
            "def f():\n    from psycopg2.extras import Json",
            "it imports \"psycopg2.extras\", which has compiled parts",
        ),
        (
            "import dbm",
            "it imports \"dbm\", which the runtime python-wasm does not have",
        ),
        (
            "import _curses",
            "it imports \"_curses\", which the runtime python-wasm does not have",
        ),
        (
            "x = importlib.import_module('mailbox')",
            "it imports \"mailbox\", which the runtime python-wasm does not have",
        ),
        (
            "from multiprocessing import Pool",
            "it imports \"multiprocessing\", which the runtime python-wasm does not have",
        ),
        (
            "from socket import create_connection",
            "it imports \"socket\", which connects to other hosts",
        ),
        (
            "import http.server",
            "it imports \"http.server\", which connects to other hosts",
        ),
        (
            "from http import client, server",
            "it imports \"http.server\", which connects to other hosts",
        ),
        (
            "import httpx",
            "it imports \"httpx\", which connects to other hosts",
        ),
        (
            "import requests.adapters",
            "it imports \"requests.adapters\", which is not in the files",
        ),
        (
            "import subprocess",
            "it imports \"subprocess\", which starts processes",
        ),
        (
            "import yaml",
            "it imports \"yaml\", which is not in the files",
        ),
    ] {
        assert_eq!(why(source).as_deref(), Some(expected), "{source}");
    }
}

#[test]
fn uses_that_only_a_container_has_need_one() {
    for (source, expected) in [
        (
            "import threading\nthreading.Thread(target=f)",
            "it uses threading.Thread, which starts a thread",
        ),
        (
            "import threading as t\nt.Timer(1, f)",
            "it uses threading.Timer, which starts a thread",
        ),
        (
            "from threading import Lock, Thread",
            "it uses threading.Thread, which starts a thread",
        ),
        (
            "from concurrent import futures\nfutures.ThreadPoolExecutor()",
            "it uses concurrent.futures.ThreadPoolExecutor, which starts threads or processes",
        ),
        (
            "import concurrent.futures\nconcurrent.futures.ProcessPoolExecutor()",
            "it uses concurrent.futures.ProcessPoolExecutor, which starts threads or processes",
        ),
        (
            "import os\nos.system('ls')",
            "it uses os.system, which starts a process",
        ),
        (
            "from ctypes import CDLL",
            "it uses ctypes.CDLL, which calls native code",
        ),
        (
            "import sqlite3\nx = sqlite3.connect('a')",
            "it uses sqlite3.connect, which opens a file, unless it is \":memory:\"",
        ),
        (
            "import smtplib",
            "it imports \"smtplib\", which connects to other hosts",
        ),
        (
            "with open(path, 'w') as f: pass",
            "it opens a file to write to it",
        ),
        (
            "open(f(a, 'b'), mode='ab')",
            "it opens a file to write to it",
        ),
        ("path.open('w+')", "it opens a file to write to it"),
        (
            "Path('a').write_text('b')",
            "it uses write_text, which writes to the disk",
        ),
    ] {
        assert_eq!(why(source).as_deref(), Some(expected), "{source}");
    }
}

#[test]
fn the_files_that_are_imported_count() {
    let files = [
        ("main.py", "from lib import texts\nimport helper"),
        ("lib/texts.py", "from . import more"),
        ("lib/more.py", "from ..helper import x\nimport json"),
        ("helper.py", "import csv"),
        ("tests/test_main.py", "import subprocess, pytest"),
        ("setup.py", "import setuptools"),
    ];
    assert_eq!(why_of(&files, ""), None);
    assert_eq!(
        why_of(&files, "setup.f").as_deref(),
        Some("it imports \"setuptools\", which is not in the files")
    );
    let mut files = files;
    files[2].1 = "import dbm";
    assert_eq!(
        why_of(&files, "").as_deref(),
        Some("lib/more.py imports \"dbm\", which the runtime python-wasm does not have")
    );
    // Of a tree in a folder of its own, that folder is a root as well.
    let inside = [("f/hello.py", "import util"), ("f/util.py", "import dbm")];
    assert!(
        why_of(&inside, "hello.handler")
            .unwrap()
            .starts_with("f/util.py imports")
    );
    let several = [("a.py", "import json"), ("b.py", "import dbm")];
    assert!(why_of(&several, "").unwrap().starts_with("b.py imports"));
    assert_eq!(why_of(&several, "a.handler"), None);
}

#[test]
fn packages_count_for_what_they_import_at_once() {
    let click = [
        ("main.py", "import click"),
        (
            "site/click/__init__.py",
            "from ._compat import x\nimport os, threading\nthreading.Thread()",
        ),
        (
            "site/click/_compat.py",
            "if WIN:\n    from ._winconsole import y\ntry:\n    import colorama\nexcept ImportError:\n    pass",
        ),
        ("site/click/_winconsole.py", "import ctypes"),
        ("site/click/other.py", "import subprocess, socket, more"),
    ];
    assert_eq!(why_of(&click, ""), None);
    // Of what is tried, all may be missing.
    let dateutil = [
        ("main.py", "import tz"),
        (
            "site/tz/__init__.py",
            "try:\n    from .win import w\nexcept ImportError:\n    w = None",
        ),
        (
            "site/tz/win.py",
            "try:\n    import ctypes\nexcept ValueError:\n    raise ImportError",
        ),
    ];
    assert_eq!(why_of(&dateutil, ""), None);
    let mut sympy = [
        ("main.py", "import sympy.core"),
        ("site/sympy/__init__.py", "from .external import z"),
        ("site/sympy/external.py", "import ctypes.util"),
    ];
    assert_eq!(why_of(&sympy, ""), None);
    sympy[2].1 = "import dbm.dumb";
    assert_eq!(
        why_of(&sympy, "").as_deref(),
        Some("sympy/external.py imports \"dbm.dumb\", which the runtime python-wasm does not have")
    );
}

#[test]
fn packages_of_the_list_with_pure_files_are_there() {
    let pure = [
        ("main.py", "from google.protobuf import json_format"),
        ("google/protobuf/json_format.py", ""),
    ];
    assert_eq!(why_of(&pure, ""), None);
    let compiled = [
        ("main.py", "import lxml"),
        ("lxml/__init__.py", ""),
        ("lxml/etree.cpython-313.so", ""),
    ];
    assert!(
        why_of(&compiled, "")
            .unwrap()
            .ends_with("which has compiled parts")
    );
}

#[test]
fn modules_are_those_from_the_root() {
    let found =
        imported_modules("import a.b, c\nfrom d import e\nfrom .f import g\nfrom . import h");
    assert_eq!(found.into_iter().collect::<Vec<_>>(), ["a", "c", "d"]);
}

/// The runtime's own errors and its document say the same.
#[test]
fn the_lists_are_those_of_the_runtime() {
    let errors = include_str!("../../../../runtimes/python-wasm/prelude/errors.py");
    let (_, names) = errors.split_once("COMPILED = frozenset(\"\"\"").unwrap();
    let (names, _) = names.split_once("\"\"\"").unwrap();
    let words = |text: &str| -> BTreeSet<String> {
        text.split_ascii_whitespace().map(str::to_owned).collect()
    };
    assert_eq!(words(names), words(COMPILED));
    let document = include_str!("../../../../docs/python.md");
    let row = document
        .lines()
        .find(|line| line.starts_with("| modules of the library |"))
        .unwrap();
    let named = row.split('`').skip(1).step_by(2).map(str::to_owned);
    assert_eq!(named.collect::<BTreeSet<_>>(), words(ABSENT));
    assert!(words(ABSENT).is_disjoint(&words(LIBRARY)));
}

/// The console, which chooses by the same names, has all of them.
#[test]
fn the_lists_are_those_of_the_console() {
    let console = include_str!("../../../../console/src/parts/python.ts");
    let words = |text: &str| -> BTreeSet<String> {
        text.split_ascii_whitespace().map(str::to_owned).collect()
    };
    for (name, list) in [
        ("ABSENT", ABSENT),
        ("LIBRARY", LIBRARY),
        ("COMPILED", COMPILED),
        ("CONNECTING", CONNECTING),
    ] {
        let (_, names) = console
            .split_once(&format!("const {name} = words(`"))
            .unwrap();
        let (names, _) = names.split_once('`').unwrap();
        assert_eq!(words(names), words(list), "{name}");
    }
    let (_, uses) = console.split_once("const USES").unwrap();
    let (uses, _) = uses.split_once("];").unwrap();
    let uses: Vec<&str> = uses.split(['\'', '`']).collect();
    let of_console: Vec<(&str, BTreeSet<String>)> = uses
        .windows(3)
        .filter(|three| three[1].trim() == ",")
        .step_by(2)
        .map(|three| (three[0], words(three[2])))
        .collect();
    let here: Vec<(&str, BTreeSet<String>)> = USES
        .iter()
        .map(|each| {
            (
                each.module,
                each.names.iter().map(|&name| name.to_owned()).collect(),
            )
        })
        .collect();
    assert_eq!(of_console, here);
}

/// Files of a million bytes, on which a look at all of the file for each word would take hours.
#[test]
fn large_files_are_read_once() {
    for piece in [
        "import a\n",
        "try:\n",
        "if x:\n ",
        "open(",
        "'''",
        "a.",
        "from a import b;",
        "\\\n",
        "except:\n",
    ] {
        let source = piece.repeat((1 << 20) / piece.len());
        let _ = why(&source);
    }
}

proptest! {
    #[test]
    fn any_text_is_looked_at(source in "\\PC{0,60}", tail in "[`'\"/\\\\\n (.,:;#fromimport]{0,40}") {
        let _ = why(&(source + &tail));
    }
}
