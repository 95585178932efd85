//! Keys, and the kinds of their values: for each, the allowed values, parsing, and display.

use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use serverledge_core::{CpuMilli, IpNet, Isolation, MemoryMib};
use serverledge_platform::{Signup, SmtpTls};
use tracing_subscriber::EnvFilter;

use super::machine::Machine;
use super::parts::{Config, LogFormat, PolicyName, RegistryUrl, Secret};
use super::raw::{RawValue, quoted};
use super::units;

/// An accessor of a value in the configuration: one function both to write and to show it.
pub(super) type Accessor<T> = fn(&mut Config) -> &mut T;

/// The word that requests the derived default.
pub(super) const AUTO: &str = "auto";
/// Longest name: it is a registry key segment and a header value, and short enough for both.
const NAME_CHARS_MAX: usize = 64;
/// Longest DNS name.
const HOST_CHARS_MAX: usize = 253;
/// Most elements of a list: far more proxies or names than one node has.
const LIST_MAX: usize = 64;
/// Longest path or address.
const TEXT_CHARS_MAX: usize = 1024;
/// The word for an absent limit.
const NONE: &str = "none";
const MIB: u64 = 1024 * 1024;

const ISOLATIONS: [(&str, Isolation); 2] = [
    (Isolation::Kept.name(), Isolation::Kept),
    (Isolation::Fresh.name(), Isolation::Fresh),
];
const FORMATS: [(&str, LogFormat); 2] = [("text", LogFormat::Text), ("json", LogFormat::Json)];
const SIGNUPS: [(&str, Signup); 3] = [
    ("open", Signup::Open),
    ("invite", Signup::Invite),
    ("closed", Signup::Closed),
];
const SMTP_TLS: [(&str, SmtpTls); 3] = [
    ("starttls", SmtpTls::StartTls),
    ("tls", SmtpTls::Tls),
    ("none", SmtpTls::None),
];

/// A key.
pub(super) struct Key {
    /// Name, in lower case.
    pub(super) name: &'static str,
    /// Former or wrong names, which are refused with this one as the answer.
    pub(super) was: &'static [&'static str],
    /// The kind of its value, and its place in the configuration.
    pub(super) kind: ValueKind,
    /// The derived default, if it has one. It may then be requested as `"auto"`.
    pub(super) auto: Option<Auto>,
    /// The description, on one line.
    pub(super) doc: &'static str,
}

/// A derived default.
pub(super) struct Auto {
    /// The rule, in words.
    pub(super) said: &'static str,
    /// Writes it. Keys above in the table have their final values by then.
    pub(super) fill: fn(&mut Config, &Facts),
}

/// The facts that derived defaults depend on beside the configuration.
pub(super) struct Facts {
    pub(super) machine: Machine,
    pub(super) data_dir: PathBuf,
    pub(super) docker_socket: PathBuf,
}

/// The kind of a key's value, and its place in the configuration.
pub(super) enum ValueKind {
    Switch(Accessor<bool>),
    Port(Accessor<u16>),
    Count(RangeInclusive<usize>, Accessor<usize>),
    Slots(RangeInclusive<u32>, Accessor<u32>),
    Bytes(RangeInclusive<usize>, Accessor<usize>),
    Memory(RangeInclusive<MemoryMib>, Accessor<MemoryMib>),
    Cores(Accessor<CpuMilli>),
    /// A number that may have decimals.
    Ratio(RangeInclusive<f64>, Accessor<f64>),
    Duration(RangeInclusive<Duration>, Accessor<Duration>),
    DurationOrNone(RangeInclusive<Duration>, Accessor<Option<Duration>>),
    Address(Accessor<IpAddr>),
    Hosts(Accessor<Vec<String>>),
    Host(Accessor<String>),
    Networks(Accessor<Vec<IpNet>>),
    /// Networks, addresses and host names.
    Receivers(Accessor<Vec<String>>),
    Directory(Accessor<PathBuf>),
    /// A path, address or image; may be empty where that means none.
    Text(Accessor<String>),
    Name(Accessor<String>),
    NameIfAny(Accessor<Option<String>>),
    Policy(Accessor<PolicyName>),
    Isolation(Accessor<Isolation>),
    Registry(Accessor<RegistryUrl>),
    /// etcd's address in Serverledge's form; it sets the same value as the registry's URL.
    EtcdAddress(Accessor<RegistryUrl>),
    /// Host and port.
    Authority(Accessor<Option<String>>),
    /// A secret; never shown.
    Secret(Accessor<Option<Secret>>),
    Filter(Accessor<String>),
    Format(Accessor<LogFormat>),
    Signup(Accessor<Signup>),
    SmtpTls(Accessor<SmtpTls>),
    /// A key of Serverledge's that has no effect in this version: its shape is checked, its default (as TOML) shown.
    Inert(Shape, &'static str),
}

/// The shape of an inert key's value.
#[derive(Debug, Clone, Copy)]
pub(super) enum Shape {
    Switch,
    Whole,
    Number,
    Duration,
    Text,
    Table,
}

// === impl Key ===

impl Key {
    pub(super) const fn new(name: &'static str, kind: ValueKind, doc: &'static str) -> Self {
        Self {
            name,
            was: &[],
            kind,
            auto: None,
            doc,
        }
    }

    /// A key of Serverledge's that has no effect here. `default` is TOML.
    pub(super) const fn inert(
        name: &'static str,
        shape: Shape,
        default: &'static str,
        doc: &'static str,
    ) -> Self {
        Self::new(name, ValueKind::Inert(shape, default), doc)
    }

    pub(super) const fn auto(mut self, said: &'static str, fill: fn(&mut Config, &Facts)) -> Self {
        self.auto = Some(Auto { said, fill });
        self
    }

    pub(super) const fn was(mut self, names: &'static [&'static str]) -> Self {
        self.was = names;
        self
    }

    /// The description, where it is not that of the field.
    pub(super) const fn doc(mut self, doc: &'static str) -> Self {
        self.doc = doc;
        self
    }

    pub(super) const fn has_effect(&self) -> bool {
        !matches!(self.kind, ValueKind::Inert(..))
    }

    /// Whether the key's value is a table, so that the names below it are not keys.
    pub(super) const fn is_table(&self) -> bool {
        matches!(self.kind, ValueKind::Inert(Shape::Table, _))
    }
}

// === impl ValueKind ===

impl ValueKind {
    /// Parses the value into its place; on error returns the allowed values and changes nothing.
    pub(super) fn set(&self, config: &mut Config, raw: &RawValue) -> Result<(), String> {
        self.try_set(config, raw).ok_or_else(|| self.allowed())
    }

    fn try_set(&self, config: &mut Config, raw: &RawValue) -> Option<()> {
        match self {
            Self::Switch(accessor) => *accessor(config) = raw.as_switch()?,
            Self::Port(accessor) => *accessor(config) = raw.as_integer()?.try_into().ok()?,
            Self::Count(range, accessor) => {
                *accessor(config) = within(range, raw.as_integer()?.try_into().ok()?)?
            }
            Self::Slots(range, accessor) => {
                *accessor(config) = within(range, raw.as_integer()?.try_into().ok()?)?
            }
            Self::Bytes(range, accessor) => {
                *accessor(config) = within(range, units::bytes(raw, 1)?.try_into().ok()?)?
            }
            Self::Memory(range, accessor) => *accessor(config) = within(range, memory(raw)?)?,
            Self::Cores(accessor) => *accessor(config) = cores(raw)?,
            Self::Ratio(range, accessor) => {
                *accessor(config) = raw.as_number().filter(|ratio| range.contains(ratio))?
            }
            Self::Duration(range, accessor) => {
                *accessor(config) = within(range, units::duration(raw)?)?
            }
            Self::DurationOrNone(range, accessor) => {
                *accessor(config) = duration_or_none(range, raw)?
            }
            Self::Address(accessor) => *accessor(config) = raw.as_text()?.parse().ok()?,
            Self::Hosts(accessor) => *accessor(config) = list(raw, host)?,
            Self::Host(accessor) => *accessor(config) = host(raw.as_text()?)?,
            Self::Networks(accessor) => *accessor(config) = list(raw, |text| text.parse().ok())?,
            Self::Receivers(accessor) => *accessor(config) = list(raw, receiver)?,
            Self::Directory(accessor) => *accessor(config) = directory(raw)?,
            Self::Text(accessor) => *accessor(config) = text(raw)?,
            Self::Name(accessor) => *accessor(config) = name(raw)?,
            Self::NameIfAny(accessor) => *accessor(config) = Some(name(raw)?),
            Self::Policy(accessor) => *accessor(config) = named(&PolicyName::NAMES, raw)?,
            Self::Isolation(accessor) => *accessor(config) = named(&ISOLATIONS, raw)?,
            Self::Registry(accessor) => *accessor(config) = registry(raw)?,
            Self::EtcdAddress(accessor) => return etcd_address(accessor(config), raw),
            Self::Authority(accessor) => *accessor(config) = Some(authority(raw)?),
            Self::Secret(accessor) => *accessor(config) = secret(raw)?,
            Self::Filter(accessor) => *accessor(config) = filter(raw)?,
            Self::Format(accessor) => *accessor(config) = named(&FORMATS, raw)?,
            Self::Signup(accessor) => *accessor(config) = named(&SIGNUPS, raw)?,
            Self::SmtpTls(accessor) => *accessor(config) = named(&SMTP_TLS, raw)?,
            Self::Inert(shape, _) => return shape.fits(raw).then_some(()),
        }
        Some(())
    }

    /// The value in its place, as TOML. Takes the configuration mutably because accessors do; changes nothing.
    pub(super) fn show(&self, config: &mut Config) -> String {
        match self {
            Self::Switch(accessor) => accessor(config).to_string(),
            Self::Port(accessor) => accessor(config).to_string(),
            Self::Count(_, accessor) => accessor(config).to_string(),
            Self::Slots(_, accessor) => accessor(config).to_string(),
            Self::Bytes(_, accessor) => quoted(&units::show_bytes(*accessor(config) as u64)),
            Self::Memory(_, accessor) => quoted(&units::show_bytes(accessor(config).bytes())),
            Self::Cores(accessor) => accessor(config).cores().to_string(),
            Self::Ratio(_, accessor) => format!("{:?}", accessor(config)),
            Self::Duration(_, accessor) => quoted(&units::show_duration(*accessor(config))),
            Self::DurationOrNone(_, accessor) => {
                quoted(&accessor(config).map_or_else(|| String::from(NONE), units::show_duration))
            }
            Self::Address(accessor) => quoted(&accessor(config).to_string()),
            Self::Hosts(accessor) | Self::Receivers(accessor) => {
                show_list(accessor(config).iter().map(|one| quoted(one)))
            }
            Self::Networks(accessor) => {
                show_list(accessor(config).iter().map(|net| quoted(&net.to_string())))
            }
            Self::Directory(accessor) => quoted(&accessor(config).to_string_lossy()),
            Self::Name(accessor)
            | Self::Filter(accessor)
            | Self::Text(accessor)
            | Self::Host(accessor) => quoted(accessor(config)),
            Self::NameIfAny(accessor) | Self::Authority(accessor) => {
                quoted(accessor(config).as_deref().unwrap_or(AUTO))
            }
            Self::Policy(accessor) => quoted(accessor(config).as_str()),
            Self::Isolation(accessor) => quoted(accessor(config).name()),
            Self::Registry(accessor) => match accessor(config) {
                RegistryUrl::Embedded => quoted(EMBEDDED),
                RegistryUrl::Etcd(url) => quoted(url),
            },
            // What it says is shown as the registry's address.
            Self::EtcdAddress(_) => quoted(""),
            Self::Secret(accessor) => quoted(if accessor(config).is_some() {
                HIDDEN
            } else {
                ""
            }),
            Self::Format(accessor) => quoted(name_of(&FORMATS, *accessor(config))),
            Self::Signup(accessor) => quoted(name_of(&SIGNUPS, *accessor(config))),
            Self::SmtpTls(accessor) => quoted(name_of(&SMTP_TLS, *accessor(config))),
            Self::Inert(_, default) => String::from(*default),
        }
    }

    /// A refused value as messages show it: without anything that might be a secret.
    pub(super) fn told(&self, raw: &RawValue) -> String {
        let secret = match self {
            Self::Secret(_) => true,
            Self::Registry(_) | Self::EtcdAddress(_) => {
                raw.as_text().is_some_and(|text| text.contains('@'))
            }
            _ => false,
        };
        if secret {
            String::from(HIDDEN)
        } else {
            raw.to_string()
        }
    }

    /// The allowed values, as a phrase that follows "expected".
    pub(super) fn allowed(&self) -> String {
        match self {
            Self::Switch(_) => String::from("true or false"),
            Self::Port(_) => String::from("a whole number from 0 to 65535"),
            Self::Count(range, _) => whole(range.start(), range.end()),
            Self::Slots(range, _) => whole(range.start(), range.end()),
            Self::Bytes(range, _) => size(*range.start() as u64, *range.end() as u64, "bytes"),
            Self::Memory(range, _) => size(range.start().bytes(), range.end().bytes(), "MiB"),
            Self::Cores(_) => String::from("a number of cores from 0.001 to 1000000"),
            Self::Ratio(range, _) => format!("a number from {} to {}", range.start(), range.end()),
            Self::Duration(range, _) => time(range),
            Self::DurationOrNone(range, _) => format!("\"{NONE}\" or {}", time(range)),
            Self::Address(_) => String::from("an IP address"),
            Self::Receivers(_) => {
                format!(
                    "a list of at most {LIST_MAX} networks, addresses and host names (outbound.allow: \"public\" too)"
                )
            }
            Self::Host(_) => String::from("a host name without port"),
            Self::Hosts(_) => format!("a list of at most {LIST_MAX} host names without port"),
            Self::Networks(_) => {
                format!(
                    "a list of at most {LIST_MAX} addresses or networks such as \"10.0.0.0/8\" (no bit set after the prefix)"
                )
            }
            Self::Directory(_) => String::from("a path"),
            Self::Text(_) => {
                format!("a text of at most {TEXT_CHARS_MAX} characters without line breaks")
            }
            Self::Name(_) | Self::NameIfAny(_) => {
                format!(
                    "1 to {NAME_CHARS_MAX} letters, digits, '-', '_' and '.', the first a letter or digit"
                )
            }
            Self::Policy(_) => choice(&PolicyName::NAMES),
            Self::Isolation(_) => choice(&ISOLATIONS),
            Self::Registry(_) => {
                format!(
                    "\"{EMBEDDED}\", \"etcd://host:port[,host:port…][/prefix/]\" or \"etcds://…\", without a user in it"
                )
            }
            Self::EtcdAddress(_) | Self::Authority(_) => String::from("host:port"),
            Self::Secret(_) => {
                format!("a text of {SECRET_CHARS_MIN} to {TEXT_CHARS_MAX} characters")
            }
            Self::Filter(_) => String::from(
                "off, error, warn, info, debug, trace, or directives such as \"info,serverledge_node=debug\"",
            ),
            Self::Format(_) => choice(&FORMATS),
            Self::Signup(_) => choice(&SIGNUPS),
            Self::SmtpTls(_) => choice(&SMTP_TLS),
            Self::Inert(shape, _) => String::from(shape.allowed()),
        }
    }
}

// === impl Shape ===

impl Shape {
    fn fits(self, raw: &RawValue) -> bool {
        match self {
            Self::Switch => raw.as_switch().is_some(),
            Self::Whole => raw.as_integer().is_some(),
            Self::Number => raw.as_number().is_some(),
            Self::Duration => units::duration(raw).is_some(),
            Self::Text => raw.as_text().is_some(),
            Self::Table => matches!(raw, RawValue::Table(_)),
        }
    }

    const fn allowed(self) -> &'static str {
        match self {
            Self::Switch => "true or false",
            Self::Whole => "a whole number",
            Self::Number => "a number",
            Self::Duration => "a duration; a number is seconds",
            Self::Text => "a text",
            Self::Table => "a table",
        }
    }
}

// === Reading ===

const EMBEDDED: &str = "embedded";
/// The text shown in place of a secret.
const HIDDEN: &str = "(hidden)";
/// Shortest secret: a shorter one can be guessed.
const SECRET_CHARS_MIN: usize = 32;

fn within<T: PartialOrd>(range: &RangeInclusive<T>, value: T) -> Option<T> {
    range.contains(&value).then_some(value)
}

fn memory(raw: &RawValue) -> Option<MemoryMib> {
    let bytes = units::bytes(raw, MIB)?;
    bytes
        .is_multiple_of(MIB)
        .then(|| MemoryMib::new(bytes / MIB))
}

fn cores(raw: &RawValue) -> Option<CpuMilli> {
    CpuMilli::from_cores(raw.as_number()?).filter(|cpus| cpus.get() > 0)
}

fn duration_or_none(range: &RangeInclusive<Duration>, raw: &RawValue) -> Option<Option<Duration>> {
    if raw
        .as_text()
        .is_some_and(|text| text.eq_ignore_ascii_case(NONE))
    {
        return Some(None);
    }
    within(range, units::duration(raw)?).map(Some)
}

fn list<T>(raw: &RawValue, element: impl Fn(&str) -> Option<T>) -> Option<Vec<T>> {
    let elements = raw
        .as_list()
        .filter(|elements| elements.len() <= LIST_MAX)?;
    elements.into_iter().map(element).collect()
}

fn host(text: &str) -> Option<String> {
    let plain = text
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.'));
    (plain && (1..=HOST_CHARS_MAX).contains(&text.len())).then(|| text.to_ascii_lowercase())
}

fn directory(raw: &RawValue) -> Option<PathBuf> {
    raw.as_text()
        .filter(|text| !text.is_empty() && !text.contains('\0'))
        .map(PathBuf::from)
}

fn text(raw: &RawValue) -> Option<String> {
    let text = raw.as_text()?;
    (text.len() <= TEXT_CHARS_MAX && !text.chars().any(char::is_control))
        .then(|| String::from(text))
}

fn name(raw: &RawValue) -> Option<String> {
    let text = raw.as_text()?;
    let plain = text
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'));
    let begins = text
        .bytes()
        .next()
        .is_some_and(|b| b.is_ascii_alphanumeric());
    (plain && begins && text.len() <= NAME_CHARS_MAX).then(|| String::from(text))
}

/// The value of this name, in any case.
fn named<T: Copy>(names: &[(&str, T)], raw: &RawValue) -> Option<T> {
    let text = raw.as_text()?;
    names
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(text))
        .map(|(_, value)| *value)
}

pub(super) fn name_of<T: Copy + PartialEq>(names: &[(&'static str, T)], wanted: T) -> &'static str {
    names
        .iter()
        .find(|(_, value)| *value == wanted)
        .map_or("", |(name, _)| *name)
}

fn registry(raw: &RawValue) -> Option<RegistryUrl> {
    let text = raw.as_text()?;
    if text.eq_ignore_ascii_case(EMBEDDED) {
        return Some(RegistryUrl::Embedded);
    }
    let hosts = text
        .strip_prefix("etcd://")
        .or_else(|| text.strip_prefix("etcds://"))?;
    let plain = hosts.bytes().all(|b| b.is_ascii_graphic() && b != b'@');
    (plain && !hosts.is_empty() && text.len() <= TEXT_CHARS_MAX)
        .then(|| RegistryUrl::Etcd(String::from(text)))
}

/// Sets the registry's URL from etcd's address; an empty address changes nothing.
fn etcd_address(url: &mut RegistryUrl, raw: &RawValue) -> Option<()> {
    let address = raw.as_text()?;
    if !address.is_empty() {
        *url = RegistryUrl::Etcd(format!("etcd://{}", host_and_port(address)?));
    }
    Some(())
}

fn receiver(text: &str) -> Option<String> {
    let network = text.parse::<IpNet>().is_ok();
    if network {
        Some(String::from(text))
    } else {
        host(text)
    }
}

fn authority(raw: &RawValue) -> Option<String> {
    host_and_port(raw.as_text()?).map(String::from)
}

fn host_and_port(text: &str) -> Option<&str> {
    let (name, port) = text.rsplit_once(':')?;
    let bracketed = name
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    let named = match bracketed {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => host(name).is_some(),
    };
    (named && port.parse::<u16>().is_ok_and(|port| port > 0)).then_some(text)
}

fn secret(raw: &RawValue) -> Option<Option<Secret>> {
    let text = raw.as_text()?;
    if text.is_empty() {
        return Some(None);
    }
    let fits = (SECRET_CHARS_MIN..=TEXT_CHARS_MAX).contains(&text.len());
    fits.then(|| Some(Secret::new(String::from(text))))
}

/// Checks a log filter. `EnvFilter` alone would take a misspelt level for the name of a module and silence everything
/// else.
fn filter(raw: &RawValue) -> Option<String> {
    let text = raw.as_text().filter(|text| !text.is_empty())?;
    let level = |word: &str| {
        ["off", "error", "warn", "info", "debug", "trace"]
            .contains(&word.to_ascii_lowercase().as_str())
    };
    let clear = text
        .split(',')
        .all(|part| part.contains(['=', '[']) || level(part.trim()));
    (clear && EnvFilter::try_new(text).is_ok()).then(|| String::from(text))
}

// === Showing ===

fn show_list(elements: impl Iterator<Item = String>) -> String {
    format!("[{}]", elements.collect::<Vec<_>>().join(", "))
}

fn whole(least: impl std::fmt::Display, most: impl std::fmt::Display) -> String {
    format!("a whole number from {least} to {most}")
}

fn size(least: u64, most: u64, unit: &str) -> String {
    format!(
        "a size from {} to {}; a number is {unit}",
        units::show_bytes(least),
        units::show_bytes(most)
    )
}

fn time(range: &RangeInclusive<Duration>) -> String {
    let least = units::show_duration(*range.start());
    let most = units::show_duration(*range.end());
    format!("a duration from {least} to {most}; a number is seconds")
}

fn choice<T, const N: usize>(names: &[(&str, T); N]) -> String {
    format!(
        "one of {}",
        names.each_ref().map(|(name, _)| *name).join(", ")
    )
}
