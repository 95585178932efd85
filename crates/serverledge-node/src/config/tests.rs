//! Tests of the whole configuration: files in, configuration or messages out. `documents` compares the shipped file and
//! the documentation with the table of keys.

mod documents;

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use serverledge_core::kv::VALUE_BYTES_MAX;
use serverledge_core::{CpuMilli, Isolation, MemoryMib};
use serverledge_platform::Signup;
use tempfile::TempDir;

use super::*;

const MACHINE: Machine = Machine {
    memory_bytes: 8 * 1024 * 1024 * 1024,
    cores: 4,
    files_max: 65_536,
};
const NO_VARIABLES: [(&str, &str); 0] = [];

/// A folder with files.
fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, content) in files {
        fs::write(folder.path().join(name), content).unwrap();
    }
    folder
}

/// Loads the one file given, found by search.
fn load_file(
    name: &str,
    content: &str,
    env: &dyn Environment,
) -> Result<LoadedConfig, ConfigFaults> {
    let folder = folder(&[(name, content)]);
    load(None, env, &MACHINE, &[folder.path().to_path_buf()])
}

fn load_toml(content: &str) -> LoadedConfig {
    load_file("serverledge-conf.toml", content, &NO_VARIABLES).unwrap()
}

fn defaults() -> LoadedConfig {
    load(None, &NO_VARIABLES, &MACHINE, &[]).unwrap()
}

/// The messages for a bad file (named `serverledge-conf.<extension>`) and variables, without the folder's name.
fn messages(extension: &str, content: &str, env: &dyn Environment) -> Vec<String> {
    let folder = folder(&[(&format!("serverledge-conf.{extension}"), content)]);
    let faults = load(None, env, &MACHINE, &[folder.path().to_path_buf()]).unwrap_err();
    let path = format!("{}/", folder.path().display());
    faults
        .to_string()
        .replace(&path, "")
        .lines()
        .skip(1)
        .map(|line| String::from(line.trim()))
        .collect()
}

#[test]
fn defaults_follow_the_machine() {
    let LoadedConfig {
        config,
        warnings,
        source,
        ..
    } = defaults();
    assert_eq!(config.pool.memory, MemoryMib::new(6144));
    assert_eq!(config.pool.cpus, CpuMilli::new(4000));
    assert_eq!(config.wasm.instances_max, 153);
    assert_eq!(
        (config.api.connections_max, config.wasm.loaded_max),
        (4096, 256)
    );
    assert_eq!(config.api.body_bytes_max, 89_478_488 + 1024 * 1024);
    assert_eq!(config.data.dir, PathBuf::from("serverledge-data"));
    assert_eq!(config.api.ip.to_string(), "127.0.0.1");
    assert_eq!(
        (config.api.port, config.registry.area.as_str()),
        (1323, "ROME")
    );
    assert_eq!((warnings, source), (vec![], None));

    let small = Machine {
        memory_bytes: 256 * 1024 * 1024,
        cores: 1,
        files_max: 256,
    };
    let LoadedConfig {
        config, warnings, ..
    } = load(None, &NO_VARIABLES, &small, &[]).unwrap();
    assert_eq!(
        (config.pool.memory, config.wasm.instances_max),
        (MemoryMib::new(192), 4)
    );
    assert_eq!(
        (
            config.api.connections_max,
            config.wasm.loaded_max,
            config.outbound.connections_max
        ),
        (104, 64, 24)
    );
    assert_eq!(warnings, Vec::<String>::new());
}

#[test]
fn computed_defaults_follow_what_is_given() {
    let config = load_toml("container.pool.memory = 100\nfunction.code_bytes_max = 3000\n").config;
    assert_eq!(config.wasm.instances_max, 4);
    assert_eq!(config.api.body_bytes_max, 7 * 1024 * 1024);
    assert_eq!(
        load_toml("wasm.keep_resident = 0")
            .config
            .wasm
            .instances_max,
        1000
    );
    assert_eq!(
        load_toml("wasm.instances_max = 7")
            .config
            .wasm
            .instances_max,
        7
    );
}

/// At most a tenth of the pool stays resident, whatever is configured, and however many callers wait.
#[test]
fn instances_together_keep_a_tenth_of_the_pool_at_most() {
    for pool in [1, 192, 1024, 6144, 100_000] {
        for instances in [None, Some(1), Some(300), Some(100_000)] {
            let given = instances
                .map(|most| format!("wasm.instances_max = {most}\n"))
                .unwrap_or_default();
            let config = load_toml(&format!("container.pool.memory = {pool}\n{given}")).config;
            let kept = config.wasm.kept_per_slot(config.pool.memory) as u64;
            assert!(
                config.wasm.slots() > 2 * config.wasm.instances_max,
                "as many callers may wait as run"
            );
            assert!(
                u64::from(config.wasm.slots()) * kept <= config.pool.memory.bytes() / 10,
                "{pool} {instances:?}"
            );
            if pool >= 6144 && instances.is_none() {
                assert!(
                    kept > 1 << 20,
                    "enough for the stack that Rust's linker gives a guest: {kept}"
                );
            }
        }
    }
}

#[test]
fn forms_and_formats_say_the_same() {
    let expected = load_toml(
        "api.port = 8080\nfunction.timeout = 5\napi.hosts = [\"a.example\", \"b.example\"]",
    )
    .config;
    assert_eq!(
        (expected.api.port, expected.function.timeout),
        (8080, Duration::from_secs(5))
    );
    assert_eq!(expected.api.hosts, ["a.example", "b.example"]);
    for (name, content) in [
        (
            "serverledge-conf.toml",
            "[api]\nport = 8080\nhosts = \"a.example, b.example\"\n[function]\ntimeout = \"5s\"",
        ),
        (
            "serverledge-conf.toml",
            "\"Api.Port\" = 8080\n\"FUNCTION.timeout\" = 5.0\n[API]\nHosts = ['A.example','b.example']",
        ),
        (
            "serverledge-conf.yaml",
            "api: {port: 8080, hosts: [a.example, b.example]}\nfunction.timeout: 5 s\n",
        ),
        (
            "serverledge-conf.yml",
            "api.port: '8080'\napi:\n  hosts:\n    - a.example\n    - b.example\nfunction:\n  timeout: 5000ms\n",
        ),
        (
            "serverledge-conf.json",
            r#"{"api": {"port": 8080}, "api.hosts": "a.example,b.example", "Function.Timeout": "5"}"#,
        ),
    ] {
        let loaded = load_file(name, content, &NO_VARIABLES).unwrap();
        assert_eq!(loaded.config, expected, "{content}");
    }
}

#[test]
fn empty_files_and_groups_give_defaults() {
    let expected = defaults().config;
    for (name, content) in [
        ("serverledge-conf.toml", ""),
        ("serverledge-conf.toml", "\u{feff}# nothing\n[api]\n"),
        ("serverledge-conf.yaml", ""),
        ("serverledge-conf.yaml", "# nothing\n"),
        ("serverledge-conf.yaml", "api:\n#  port: 1\nregistry:\n"),
        ("serverledge-conf.json", "{}"),
        ("serverledge-conf.json", "null"),
    ] {
        assert_eq!(
            load_file(name, content, &NO_VARIABLES).unwrap().config,
            expected,
            "{content}"
        );
    }
}

#[test]
fn every_kind_of_value_is_read() {
    let config = load_toml(
        r#"
        api.ip = "0.0.0.0"
        api.allow_insecure = true
        api.trusted_proxies = ["10.0.0.0/8", "::1"]
        container.pool.memory = "2 GiB"
        container.pool.cpus = 1.5
        data.dir = "/var/lib/serverledge"
        log.level = "warn,serverledge_node=debug"
        log.format = "JSON"
        registry.node.id = "edge-1"
        scheduler.queue.capacity = 0
        wasm.cpu_time_max = "2s"
        wasm.compile_memory = 512
        wasm.isolation = "Fresh"
        api.tls.cert_file = "/etc/node/cert.pem"
        api.tls.key_file = "/etc/node/key.pem"
        "#,
    )
    .config;
    assert!(config.api.trusted_proxies[0].contains("10.1.2.3".parse().unwrap()));
    assert_eq!(
        config.pool,
        PoolConfig {
            memory: MemoryMib::new(2048),
            cpus: CpuMilli::new(1500)
        }
    );
    assert_eq!(config.data.dir, PathBuf::from("/var/lib/serverledge"));
    assert_eq!(
        config.log,
        LogConfig {
            filter: String::from("warn,serverledge_node=debug"),
            format: LogFormat::Json
        }
    );
    assert_eq!(config.cluster.node_id.as_deref(), Some("edge-1"));
    assert_eq!(config.queue.capacity, 0);
    assert_eq!(config.wasm.cpu_time_max, Some(Duration::from_secs(2)));
    assert_eq!(config.wasm.compile_memory, MemoryMib::new(512));
    assert_eq!(config.wasm.isolation, Isolation::Fresh);
    let tls = (
        config.api.tls_cert_file.as_str(),
        config.api.tls_key_file.as_str(),
    );
    assert_eq!(tls, ("/etc/node/cert.pem", "/etc/node/key.pem"));
}

#[test]
fn variables_win_over_the_file_and_the_file_over_defaults() {
    let file = "api.port = 1\nscheduler.queue.wait_max = 2\ncontainer.pool.memory = 500\nregistry.area = \"PARIS\"\n";
    let env = [
        ("SERVERLEDGE_API_PORT", "3"),
        ("SERVERLEDGE_SCHEDULER_QUEUE_WAIT_MAX", "4s"),
        ("SERVERLEDGE_CONTAINER_POOL_MEMORY", "auto"),
        ("SERVERLEDGE_REGISTRY_AREA", ""),
        ("SERVERLEDGE_METRICS_ENABLED", "False"),
        ("SERVERLEDGE_API_HOSTS", "a, b"),
        ("SERVERLEDGE_HOST", "elsewhere"),
        ("SERVERLEDGE_PORT", "x"),
        ("SERVERLEDGE_TLS", "x"),
        ("SERVERLEDGE_CA_FILE", "x"),
        ("SERVERLEDGE_URL", "x"),
        ("UNRELATED", "x"),
    ];
    let LoadedConfig {
        config,
        warnings,
        settings,
        ..
    } = load_file("serverledge-conf.toml", file, &env).unwrap();
    assert_eq!(
        (config.api.port, config.queue.wait_max),
        (3, Duration::from_secs(4))
    );
    assert_eq!(
        (config.pool.memory, config.registry.area.as_str()),
        (MemoryMib::new(6144), "PARIS")
    );
    assert!(!config.metrics.enabled);
    assert_eq!(config.api.hosts, ["a", "b"]);
    assert_eq!(warnings, Vec::<String>::new());
    let origin = |key| {
        settings
            .iter()
            .find(|setting| setting.key == key)
            .unwrap()
            .origin
            .clone()
    };
    assert_eq!(
        origin("api.port"),
        SettingSource::Variable(String::from("SERVERLEDGE_API_PORT"))
    );
    assert_eq!(origin("container.pool.memory"), SettingSource::Default);
    assert!(matches!(origin("registry.area"), SettingSource::File(_)));
}

#[test]
fn the_first_file_found_wins() {
    let first = folder(&[
        ("serverledge-conf.yaml", "api.port: 1"),
        ("serverledge-conf.json", "{ not read"),
    ]);
    let second = folder(&[("serverledge-conf.toml", "api.port = 2")]);
    let neither = folder(&[("other.toml", "api.port = 3")]);
    let directories = [
        neither.path().to_path_buf(),
        first.path().to_path_buf(),
        second.path().to_path_buf(),
    ];
    let loaded = load(None, &NO_VARIABLES, &MACHINE, &directories).unwrap();
    assert_eq!(loaded.config.api.port, 1);
    let path = first.path().join("serverledge-conf.yaml");
    assert_eq!(loaded.source, Some(path.clone()));
    let ignored = first.path().join("serverledge-conf.json");
    assert_eq!(
        loaded.warnings,
        [format!(
            "{} is ignored beside {}",
            ignored.display(),
            path.display()
        )]
    );

    let named = neither.path().join("other.toml");
    let loaded = load(Some(&named), &NO_VARIABLES, &MACHINE, &directories).unwrap();
    assert_eq!((loaded.config.api.port, loaded.source), (3, Some(named)));
}

#[test]
fn a_named_file_must_be_readable() {
    let files = folder(&[
        ("node.conf", ""),
        ("large.toml", &" ".repeat(1024 * 1024 + 1)),
    ]);
    for (name, expected) in [
        ("missing.toml", "No such file or directory (os error 2)"),
        (
            "node.conf",
            "the name must end in .toml, .yaml, .yml or .json",
        ),
        ("large.toml", "larger than 1048576 bytes"),
    ] {
        let path = files.path().join(name);
        let faults = load(Some(&path), &NO_VARIABLES, &MACHINE, &[]).unwrap_err();
        assert_eq!(
            faults.faults(),
            [Fault::Unreadable {
                file: path,
                message: String::from(expected)
            }]
        );
    }
    let bytes = files.path().join("bytes.yaml");
    fs::write(&bytes, b"a: 1\nb: \xff").unwrap();
    let faults = load(Some(&bytes), &NO_VARIABLES, &MACHINE, &[]).unwrap_err();
    assert!(
        faults
            .to_string()
            .ends_with("bytes.yaml:2:4: not valid UTF-8"),
        "{faults}"
    );
}

#[test]
fn malformed_files_are_refused_with_their_place() {
    for (extension, content, expected) in [
        (
            "toml",
            "api.port = 1\napi.ip = ",
            "serverledge-conf.toml:2:10: ",
        ),
        (
            "toml",
            "a = 1\na = 2\n",
            "serverledge-conf.toml:2:1: duplicate key",
        ),
        (
            "yaml",
            "api:\n  port: 1\n ip: x\n",
            "serverledge-conf.yaml:3:2: ",
        ),
        (
            "yaml",
            "- a\n",
            "serverledge-conf.yaml:1:1: expected keys with values",
        ),
        (
            "json",
            "{\"api.port\": 1,\n}",
            "serverledge-conf.json:2:1: trailing comma",
        ),
    ] {
        let messages = messages(extension, content, &NO_VARIABLES);
        assert!(
            messages.len() == 1 && messages[0].starts_with(expected),
            "{messages:?}"
        );
    }
}

/// Faulty files, each with its one message; `@` stands for the place.
const FAULTS: &[(&str, &str)] = &[
    (
        "api.prot = 1",
        "api.prot @: unknown key; did you mean api.port?",
    ),
    (
        "[apo]\nport = 1",
        "apo.port @: unknown key; did you mean api.port?",
    ),
    ("port = 1", "port @: unknown key"),
    (
        "queued_max = 1",
        "queued_max @: unknown key; did you mean async.queued_max?",
    ),
    ("nonsense = 1", "nonsense @: unknown key"),
    (
        "api = 1",
        "api @: unknown key; it is a group (api.ip, api.port, api.hosts, …)",
    ),
    (
        "pool.memory = 1",
        "pool.memory @: the key is called container.pool.memory",
    ),
    ("data_dir = 'x'", "data_dir @: the key is called data.dir"),
    (
        "api.port = 65536",
        "api.port = 65536 @: expected a whole number from 0 to 65535",
    ),
    (
        "api.port = \"http\"",
        "api.port = \"http\" @: expected a whole number from 0 to 65535",
    ),
    (
        "api.port = [1]",
        "api.port = [1] @: expected a whole number from 0 to 65535",
    ),
    (
        "api.ip = 'localhost'",
        "api.ip = \"localhost\" @: expected an IP address",
    ),
    (
        "api.hosts = ['a:80']",
        "api.hosts = [\"a:80\"] @: expected a list of at most 64 host names without port",
    ),
    (
        "api.trusted_proxies = '10.0.0.1/8'",
        "api.trusted_proxies = \"10.0.0.1/8\" @: expected a list of at most 64 addresses or networks such as \"10.0.0.0/8\" (no bit set after the prefix)",
    ),
    (
        "metrics.enabled = 'yes'",
        "metrics.enabled = \"yes\" @: expected true or false",
    ),
    (
        "function.memory = '512 KiB'",
        "function.memory = \"512 KiB\" @: expected a size from 1 MiB to 4 GiB; a number is MiB",
    ),
    (
        "function.params_bytes_max = '1 TB'",
        "function.params_bytes_max = \"1 TB\" @: expected a size from 1 KiB to 64 MiB; a number is bytes",
    ),
    (
        "function.timeout = 0",
        "function.timeout = 0 @: expected a duration from 1ms to 24h; a number is seconds",
    ),
    (
        "wasm.cpu_time_max = true",
        "wasm.cpu_time_max = true @: expected \"none\" or a duration from 1ms to 24h; a number is seconds",
    ),
    (
        "container.pool.cpus = -1",
        "container.pool.cpus = -1 @: expected a number of cores from 0.001 to 1000000",
    ),
    (
        "registry.area = 'a/b'",
        "registry.area = \"a/b\" @: expected 1 to 64 letters, digits, '-', '_' and '.', the first a letter or digit",
    ),
    (
        "registry.url = 'etcd://user:password@localhost:2379'",
        "registry.url = (hidden) @: expected \"embedded\", \"etcd://host:port[,host:port…][/prefix/]\" or \"etcds://…\", without a user in it",
    ),
    (
        "scheduler.policy = 'random'",
        "scheduler.policy = \"random\" @: expected one of default, localonly, cloudonly, edgecloud, edgeonly, qosaware",
    ),
    (
        "wasm.isolation = 'shared'",
        "wasm.isolation = \"shared\" @: expected one of kept, fresh",
    ),
    (
        "log.level = 'verbose'",
        "log.level = \"verbose\" @: expected off, error, warn, info, debug, trace, or directives such as \"info,serverledge_node=debug\"",
    ),
    (
        "log.format = 'xml'",
        "log.format = \"xml\" @: expected one of text, json",
    ),
    ("data.dir = 5", "data.dir = 5 @: expected a path"),
    (
        "etcd.address = 'localhost'",
        "etcd.address = \"localhost\" @: expected host:port",
    ),
    (
        "cluster.key = 'short'",
        "cluster.key = (hidden) @: expected a text of 32 to 1024 characters",
    ),
    (
        "cluster.address = 'http://a:1'",
        "cluster.address = \"http://a:1\" @: expected host:port",
    ),
    (
        "cluster.key = '0123456789abcdef0123456789abcdef'\ncluster.key_file = '/x'",
        "cluster.key_file = \"/x\" @: cluster.key is given as well; one of the two is enough",
    ),
    (
        "registry.udp.port = 2026-01-01",
        "registry.udp.port = \"2026-01-01\" @: expected a whole number",
    ),
    (
        "lb.load_factor = 0.5",
        "lb.load_factor = 0.5 @: expected a number from 1 to 100",
    ),
    ("api.port = 1\nAPI.port = 2", "api.port @: given twice"),
    (
        "function.timeout = '20m'",
        "function.timeout = \"20m\" @: longer than function.timeout_max, 15m",
    ),
    (
        "function.timeout_max = 20",
        "function.timeout = \"30s\" (default): longer than function.timeout_max, 20s",
    ),
    (
        "api.tls.cert_file = 'c.pem'",
        "api.tls.key_file = \"\" (default): TLS needs both files, and api.tls.cert_file is given",
    ),
    (
        "smtp.host = 'mail.example.org'",
        "smtp.from = \"\" (default): mail needs a sender",
    ),
    (
        "smtp.host = 'mail.example.org'\nsmtp.from = 'a@b.org'\nsmtp.user = 'u'\nsmtp.password_file = '/p'\nsmtp.tls = 'none'",
        "smtp.tls = \"none\" @: the password of smtp.user would go over the network for everybody to read",
    ),
    (
        "accounts.base_url = 'faas.example.org'",
        "accounts.base_url = \"faas.example.org\" @: expected an address such as https://faas.example.org, without ? and #",
    ),
    (
        "accounts.signup = 'maybe'",
        "accounts.signup = \"maybe\" @: expected one of open, invite, closed",
    ),
    (
        "state.value_bytes_max = '1 MiB'",
        "state.value_bytes_max = \"1 MiB\" @: expected a size from 1 KiB to 1020 KiB; a number is bytes",
    ),
    (
        "state.writes_per_second = -1",
        "state.writes_per_second = -1 @: expected a whole number from 0 to 1000000",
    ),
    (
        "api.tls.key_file = 'k.pem'",
        "api.tls.cert_file = \"\" (default): TLS needs both files, and api.tls.key_file is given",
    ),
    (
        "api.ip = '0.0.0.0'",
        "api.ip = \"0.0.0.0\" @: listening beyond loopback without authentication is refused: set auth.enabled = true, or api.allow_insecure = true if everyone who reaches the port may run code",
    ),
];

#[test]
fn faults_name_key_value_place_and_what_is_allowed() {
    for (content, expected) in FAULTS {
        let expected = expected.replace('@', "(serverledge-conf.toml)");
        assert_eq!(
            messages("toml", content, &NO_VARIABLES),
            [expected],
            "{content}"
        );
    }
}

#[test]
fn every_fault_is_reported_at_once() {
    let file = "api:\n  prot: 1\n  ip: 0.0.0.0\n  allow_insecure: maybe\nfunction.timeout_max: soon\nfunction.timeout: 1h\napi.port:\n";
    let env = [
        ("SERVERLEDGE_API_PORT", "-1"),
        ("SERVERLEDGE_LOG_FORMAT", "xml"),
    ];
    let expected = [
        "api.prot (serverledge-conf.yaml): unknown key; did you mean api.port?",
        "function.timeout_max = \"soon\" (serverledge-conf.yaml): expected a duration from 1ms to 24h; a number is seconds",
        "api.port = null (serverledge-conf.yaml): expected a whole number from 0 to 65535",
        "api.port = \"-1\" (SERVERLEDGE_API_PORT): expected a whole number from 0 to 65535",
        "api.allow_insecure = \"maybe\" (serverledge-conf.yaml): expected true or false",
        "log.format = \"xml\" (SERVERLEDGE_LOG_FORMAT): expected one of text, json",
    ];
    assert_eq!(messages("yaml", file, &env), expected);
    let faults = load_file("serverledge-conf.yaml", file, &env).unwrap_err();
    assert_eq!(
        faults.to_string().lines().next(),
        Some("6 faults in the configuration:")
    );

    // A file that cannot be parsed does not hide the faults of variables.
    assert_eq!(messages("json", "{", &env).len(), 3);
}

#[test]
fn unusual_but_legal_things_are_warned_of() {
    let inert =
        "[cloud.server]\nurl = \"x\"\n[workflow.offloading.policy.region.cost]\nROME = 0.1\n";
    for (content, env, expected) in [
        (
            inert,
            NO_VARIABLES.as_slice(),
            "without effect in this version: cloud.server.url, workflow.offloading.policy.region.cost",
        ),
        (
            "scheduler.policy = 'edgecloud'",
            &[],
            "scheduler.policy = edgecloud finds no other node without cluster.key",
        ),
        (
            "container.pool.memory = 100",
            &[],
            "a function that declares no memory (128 MiB) does not fit into container.pool.memory (100 MiB)",
        ),
        (
            "wasm.instances_max = 1000",
            &[],
            "wasm.instances_max = 1000 leaves 256 KiB of each instance's memory resident, less than wasm.keep_resident: all together keep a tenth of container.pool.memory (6144 MiB)",
        ),
        (
            "api.connections_max = 65536",
            &[],
            "api.connections_max, wasm.loaded_max and outbound.connections_max together may need 66048 file descriptors; the process may open 65536",
        ),
        (
            "",
            &[("SERVERLEDGE_API_PROT", "1")],
            "SERVERLEDGE_API_PROT is ignored: unknown variable; did you mean SERVERLEDGE_API_PORT?",
        ),
        (
            "",
            &[("SERVERLEDGE_TOKEN", "secret")],
            "SERVERLEDGE_TOKEN is ignored: unknown variable",
        ),
        (
            "",
            &[("SERVERLEDGE_POOL_MEMORY", "1")],
            "SERVERLEDGE_POOL_MEMORY is ignored: the variable is called SERVERLEDGE_CONTAINER_POOL_MEMORY",
        ),
    ] {
        let env: [(&str, &str); 1] = env.first().copied().map_or([("PATH", "")], |pair| [pair]);
        let loaded = load_file("serverledge-conf.toml", content, &env).unwrap();
        assert_eq!(loaded.warnings, [expected], "{content}");
    }
}

#[cfg(unix)]
#[test]
fn a_variable_that_is_not_text_is_a_fault() {
    use std::ffi::OsString;
    use std::os::unix::ffi::OsStringExt;

    struct Bytes;
    impl Environment for Bytes {
        fn variables(&self) -> Vec<(OsString, OsString)> {
            vec![(
                OsString::from("SERVERLEDGE_DATA_DIR"),
                OsString::from_vec(vec![0xff]),
            )]
        }
    }
    let faults = load(None, &Bytes, &MACHINE, &[]).unwrap_err();
    assert_eq!(
        faults.to_string(),
        "1 fault in the configuration:\n  SERVERLEDGE_DATA_DIR: the value is not valid UTF-8"
    );
}

#[test]
fn what_is_rendered_loads_as_the_same() {
    let file = "api.port = 7\ncontainer.pool.memory = 300\nworkflow.offloading.policy = \"ilp\"\nwasm.cpu_time_max = 0.5\nregistry.area = 'A'";
    let loaded = load_file(
        "serverledge-conf.yaml",
        &file.replace(" =", ":"),
        &[("HOME", "/home/\"x\"")],
    )
    .unwrap();
    let rendered = loaded.render();
    assert!(rendered.contains("api.port = 7 "), "{rendered}");
    assert!(
        rendered.contains("wasm.cpu_time_max = \"500ms\" "),
        "{rendered}"
    );
    assert!(
        rendered.contains("workflow.offloading.policy = \"ilp\" "),
        "{rendered}"
    );
    assert!(
        rendered.contains("data.dir = \"/home/\\\"x\\\"/.local/share/serverledge\" "),
        "{rendered}"
    );
    assert!(
        rendered.lines().all(|line| line.contains("  # ")),
        "{rendered}"
    );
    assert_eq!(load_toml(&rendered).config, loaded.config);
    assert_eq!(load_toml(&defaults().render()).config, defaults().config);
}

#[test]
fn etcds_address_is_the_registrys() {
    let url = |content: &str| load_toml(content).config.registry.url;
    assert_eq!(url(""), RegistryUrl::Embedded);
    assert_eq!(
        url("etcd.address = 'localhost:2379'"),
        RegistryUrl::Etcd("etcd://localhost:2379".into())
    );
    assert_eq!(url("etcd.address = ''"), RegistryUrl::Embedded);
    let both = "etcd.address = 'localhost:2379'\nregistry.url = 'etcds://a:1,b:2/edge/'";
    assert_eq!(url(both), RegistryUrl::Etcd("etcds://a:1,b:2/edge/".into()));
    assert_eq!(
        url("etcd.address = 'localhost:2379'\nregistry.url = 'embedded'"),
        RegistryUrl::Embedded
    );
}

#[test]
fn sign_up_closes_beyond_loopback() {
    let signup = |content: &str| load_toml(content).config.accounts.signup;
    assert_eq!(signup(""), Signup::Open);
    assert_eq!(signup("api.ip = '::1'"), Signup::Open);
    assert_eq!(
        signup("api.ip = '0.0.0.0'\napi.allow_insecure = true"),
        Signup::Closed
    );
    assert_eq!(
        signup("api.ip = '0.0.0.0'\nauth.enabled = true"),
        Signup::Closed
    );
    assert_eq!(
        signup("api.ip = '0.0.0.0'\napi.allow_insecure = true\naccounts.signup = 'INVITE'"),
        Signup::Invite
    );
    let port = |tls: &str| load_toml(&format!("smtp.tls = '{tls}'")).config.smtp.port;
    assert_eq!(
        [port("starttls"), port("tls"), port("none")],
        [587, 465, 25]
    );
}

#[test]
fn keys_are_not_shown() {
    let loaded = load_toml("cluster.key = 'an-unguessable-key-of-32-characters'");
    assert!(loaded.config.cluster.key.is_some());
    assert!(!format!("{loaded:?}{}", loaded.render()).contains("unguessable"));
}

/// A value with what the registry keeps beside it is one value of the registry.
#[test]
fn stores_have_limits() {
    let given = load_toml(
        "[state]\nbytes_max = \"1 GiB\"\nkeys_max = 7\nvalue_bytes_max = \"1020 KiB\"\nwrites_per_second = 0\nwrite_bytes_per_second = \"3 MiB\"",
    );
    let expected = StateConfig {
        bytes_max: 1 << 30,
        keys_max: 7,
        value_bytes_max: VALUE_BYTES_MAX - 4096,
        writes_per_second: 0,
        write_bytes_per_second: 3 << 20,
    };
    assert_eq!(given.config.state, expected);
    let default = defaults().config.state;
    assert_eq!(
        (default.bytes_max, default.value_bytes_max),
        (64 << 20, 256 << 10)
    );
}
