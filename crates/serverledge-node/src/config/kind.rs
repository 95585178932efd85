//! The kinds of values: for each, what is allowed, how it is read into its place, and how it is shown.

use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use serverledge_core::{CpuMilli, IpNet, MemoryMib};
use serverledge_platform::{Signup, SmtpTls};
use tracing_subscriber::EnvFilter;

use super::parts::{Config, LogFormat, PolicyName, RegistryUrl, Secret};
use super::raw::{Raw, quoted};
use super::units;

/// The place of a value in the configuration: one function both to write and to show it.
pub(super) type Lens<T> = fn(&mut Config) -> &mut T;

/// A registry key segment and a header value; short enough for both.
const NAME_CHARS_MAX: usize = 64;
/// A DNS name.
const HOST_CHARS_MAX: usize = 253;
/// Elements of a list: far more proxies or names than one node has.
const LIST_MAX: usize = 64;
/// A path or an address.
const TEXT_CHARS_MAX: usize = 1024;
/// The word for an absent limit.
const NONE: &str = "none";
const MIB: u64 = 1024 * 1024;

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

/// What a key's value is, and where it goes.
pub(super) enum Kind {
    Switch(Lens<bool>),
    Port(Lens<u16>),
    Count(RangeInclusive<usize>, Lens<usize>),
    Slots(RangeInclusive<u32>, Lens<u32>),
    Bytes(RangeInclusive<usize>, Lens<usize>),
    Memory(RangeInclusive<MemoryMib>, Lens<MemoryMib>),
    Cores(Lens<CpuMilli>),
    /// A number that may have decimals.
    Ratio(RangeInclusive<f64>, Lens<f64>),
    Duration(RangeInclusive<Duration>, Lens<Duration>),
    DurationOrNone(RangeInclusive<Duration>, Lens<Option<Duration>>),
    Address(Lens<IpAddr>),
    Hosts(Lens<Vec<String>>),
    Host(Lens<String>),
    Networks(Lens<Vec<IpNet>>),
    /// Networks, addresses and host names.
    Receivers(Lens<Vec<String>>),
    Directory(Lens<PathBuf>),
    /// A path, address or image; may be empty where that means none.
    Text(Lens<String>),
    Name(Lens<String>),
    NameIfAny(Lens<Option<String>>),
    Policy(Lens<PolicyName>),
    Registry(Lens<RegistryUrl>),
    /// etcd's address in Serverledge's form; the same place as the registry.
    EtcdAddress(Lens<RegistryUrl>),
    /// Host and port.
    Authority(Lens<Option<String>>),
    /// Never shown.
    Secret(Lens<Option<Secret>>),
    Filter(Lens<String>),
    Format(Lens<LogFormat>),
    Signup(Lens<Signup>),
    SmtpTls(Lens<SmtpTls>),
    /// A key of Serverledge's that does nothing in this version: its shape is checked, its default (as TOML) shown.
    Inert(Shape, &'static str),
}

/// What an inert key's value looks like.
#[derive(Debug, Clone, Copy)]
pub(super) enum Shape {
    Switch,
    Whole,
    Number,
    Duration,
    Text,
    Table,
}

// === impl Kind ===

impl Kind {
    /// Reads the value into its place; if that fails, says what is allowed and changes nothing.
    pub(super) fn set(&self, config: &mut Config, raw: &Raw) -> Result<(), String> {
        self.try_set(config, raw).ok_or_else(|| self.allowed())
    }

    fn try_set(&self, config: &mut Config, raw: &Raw) -> Option<()> {
        match self {
            Self::Switch(lens) => *lens(config) = raw.as_switch()?,
            Self::Port(lens) => *lens(config) = raw.as_integer()?.try_into().ok()?,
            Self::Count(range, lens) => {
                *lens(config) = within(range, raw.as_integer()?.try_into().ok()?)?
            }
            Self::Slots(range, lens) => {
                *lens(config) = within(range, raw.as_integer()?.try_into().ok()?)?
            }
            Self::Bytes(range, lens) => {
                *lens(config) = within(range, units::bytes(raw, 1)?.try_into().ok()?)?
            }
            Self::Memory(range, lens) => *lens(config) = within(range, memory(raw)?)?,
            Self::Cores(lens) => *lens(config) = cores(raw)?,
            Self::Ratio(range, lens) => {
                *lens(config) = raw.as_number().filter(|ratio| range.contains(ratio))?
            }
            Self::Duration(range, lens) => *lens(config) = within(range, units::duration(raw)?)?,
            Self::DurationOrNone(range, lens) => *lens(config) = duration_or_none(range, raw)?,
            Self::Address(lens) => *lens(config) = raw.as_text()?.parse().ok()?,
            Self::Hosts(lens) => *lens(config) = list(raw, host)?,
            Self::Host(lens) => *lens(config) = host(raw.as_text()?)?,
            Self::Networks(lens) => *lens(config) = list(raw, |text| text.parse().ok())?,
            Self::Receivers(lens) => *lens(config) = list(raw, receiver)?,
            Self::Directory(lens) => *lens(config) = directory(raw)?,
            Self::Text(lens) => *lens(config) = text(raw)?,
            Self::Name(lens) => *lens(config) = name(raw)?,
            Self::NameIfAny(lens) => *lens(config) = Some(name(raw)?),
            Self::Policy(lens) => *lens(config) = policy(raw)?,
            Self::Registry(lens) => *lens(config) = registry(raw)?,
            Self::EtcdAddress(lens) => return etcd_address(lens(config), raw),
            Self::Authority(lens) => *lens(config) = Some(authority(raw)?),
            Self::Secret(lens) => *lens(config) = secret(raw)?,
            Self::Filter(lens) => *lens(config) = filter(raw)?,
            Self::Format(lens) => *lens(config) = format(raw)?,
            Self::Signup(lens) => *lens(config) = named(&SIGNUPS, raw)?,
            Self::SmtpTls(lens) => *lens(config) = named(&SMTP_TLS, raw)?,
            Self::Inert(shape, _) => return shape.fits(raw).then_some(()),
        }
        Some(())
    }

    /// The value in its place, as TOML. Takes the configuration mutably because lenses do; changes nothing.
    pub(super) fn show(&self, config: &mut Config) -> String {
        match self {
            Self::Switch(lens) => lens(config).to_string(),
            Self::Port(lens) => lens(config).to_string(),
            Self::Count(_, lens) => lens(config).to_string(),
            Self::Slots(_, lens) => lens(config).to_string(),
            Self::Bytes(_, lens) => quoted(&units::show_bytes(*lens(config) as u64)),
            Self::Memory(_, lens) => quoted(&units::show_bytes(lens(config).bytes())),
            Self::Cores(lens) => lens(config).cores().to_string(),
            Self::Ratio(_, lens) => format!("{:?}", lens(config)),
            Self::Duration(_, lens) => quoted(&units::show_duration(*lens(config))),
            Self::DurationOrNone(_, lens) => {
                quoted(&lens(config).map_or_else(|| String::from(NONE), units::show_duration))
            }
            Self::Address(lens) => quoted(&lens(config).to_string()),
            Self::Receivers(lens) => show_list(lens(config).iter().map(|one| quoted(one))),
            Self::Hosts(lens) => show_list(lens(config).iter().map(|host| quoted(host))),
            Self::Networks(lens) => {
                show_list(lens(config).iter().map(|net| quoted(&net.to_string())))
            }
            Self::Directory(lens) => quoted(&lens(config).to_string_lossy()),
            Self::Name(lens) | Self::Filter(lens) | Self::Text(lens) | Self::Host(lens) => {
                quoted(lens(config))
            }
            Self::NameIfAny(lens) => quoted(lens(config).as_deref().unwrap_or(super::keys::AUTO)),
            Self::Policy(lens) => quoted(lens(config).as_str()),
            Self::Registry(lens) => match lens(config) {
                RegistryUrl::Embedded => quoted(EMBEDDED),
                RegistryUrl::Etcd(url) => quoted(url),
            },
            // What it says is shown as the registry's address.
            Self::EtcdAddress(_) => quoted(""),
            Self::Authority(lens) => quoted(lens(config).as_deref().unwrap_or(super::keys::AUTO)),
            Self::Secret(lens) => quoted(if lens(config).is_some() { HIDDEN } else { "" }),
            Self::Format(lens) => quoted(lens(config).as_str()),
            Self::Signup(lens) => quoted(name_of(&SIGNUPS, *lens(config))),
            Self::SmtpTls(lens) => quoted(name_of(&SMTP_TLS, *lens(config))),
            Self::Inert(_, default) => String::from(*default),
        }
    }

    /// A refused value as messages show it: without what might be a secret.
    pub(super) fn told(&self, raw: &Raw) -> String {
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

    /// What is allowed, as a phrase that follows "expected".
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
                format!("a list of at most {LIST_MAX} networks, addresses and host names")
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
            Self::Policy(_) => choice(PolicyName::ALL.map(PolicyName::as_str)),
            Self::Registry(_) => {
                format!(
                    "\"{EMBEDDED}\", \"etcd://host:port[,host:port…][/prefix/]\" or \"etcds://…\", without a user in it"
                )
            }
            Self::EtcdAddress(_) => String::from("host:port"),
            Self::Authority(_) => String::from("host:port"),
            Self::Secret(_) => {
                format!("a text of {SECRET_CHARS_MIN} to {TEXT_CHARS_MAX} characters")
            }
            Self::Filter(_) => String::from(
                "off, error, warn, info, debug, trace, or directives such as \"info,serverledge_node=debug\"",
            ),
            Self::Format(_) => choice(LogFormat::ALL.map(LogFormat::as_str)),
            Self::Signup(_) => choice(SIGNUPS.map(|(name, _)| name)),
            Self::SmtpTls(_) => choice(SMTP_TLS.map(|(name, _)| name)),
            Self::Inert(shape, _) => String::from(shape.allowed()),
        }
    }
}

// === impl Shape ===

impl Shape {
    fn fits(self, raw: &Raw) -> bool {
        match self {
            Self::Switch => raw.as_switch().is_some(),
            Self::Whole => raw.as_integer().is_some(),
            Self::Number => raw.as_number().is_some(),
            Self::Duration => units::duration(raw).is_some(),
            Self::Text => raw.as_text().is_some(),
            Self::Table => matches!(raw, Raw::Table(_)),
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
/// What is shown of a secret.
const HIDDEN: &str = "(hidden)";
/// Below this, a key can be guessed.
const SECRET_CHARS_MIN: usize = 32;

fn within<T: PartialOrd>(range: &RangeInclusive<T>, value: T) -> Option<T> {
    range.contains(&value).then_some(value)
}

fn memory(raw: &Raw) -> Option<MemoryMib> {
    let bytes = units::bytes(raw, MIB)?;
    bytes
        .is_multiple_of(MIB)
        .then(|| MemoryMib::new(bytes / MIB))
}

fn cores(raw: &Raw) -> Option<CpuMilli> {
    CpuMilli::from_cores(raw.as_number()?).filter(|cpus| cpus.get() > 0)
}

fn duration_or_none(range: &RangeInclusive<Duration>, raw: &Raw) -> Option<Option<Duration>> {
    if raw
        .as_text()
        .is_some_and(|text| text.eq_ignore_ascii_case(NONE))
    {
        return Some(None);
    }
    within(range, units::duration(raw)?).map(Some)
}

fn list<T>(raw: &Raw, element: impl Fn(&str) -> Option<T>) -> Option<Vec<T>> {
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

fn directory(raw: &Raw) -> Option<PathBuf> {
    raw.as_text()
        .filter(|text| !text.is_empty() && !text.contains('\0'))
        .map(PathBuf::from)
}

fn text(raw: &Raw) -> Option<String> {
    let text = raw.as_text()?;
    (text.len() <= TEXT_CHARS_MAX && !text.chars().any(char::is_control))
        .then(|| String::from(text))
}

fn name(raw: &Raw) -> Option<String> {
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

fn policy(raw: &Raw) -> Option<PolicyName> {
    let text = raw.as_text()?;
    PolicyName::ALL
        .into_iter()
        .find(|policy| policy.as_str().eq_ignore_ascii_case(text))
}

fn format(raw: &Raw) -> Option<LogFormat> {
    let text = raw.as_text()?;
    LogFormat::ALL
        .into_iter()
        .find(|format| format.as_str().eq_ignore_ascii_case(text))
}

/// The value of this name, in any case.
fn named<T: Copy>(names: &[(&str, T)], raw: &Raw) -> Option<T> {
    let text = raw.as_text()?;
    names
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(text))
        .map(|(_, value)| *value)
}

fn name_of<T: Copy + PartialEq>(names: &[(&'static str, T)], wanted: T) -> &'static str {
    names
        .iter()
        .find(|(_, value)| *value == wanted)
        .map_or("", |(name, _)| *name)
}

fn registry(raw: &Raw) -> Option<RegistryUrl> {
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

/// An empty address asks for nothing.
fn etcd_address(url: &mut RegistryUrl, raw: &Raw) -> Option<()> {
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

fn authority(raw: &Raw) -> Option<String> {
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

fn secret(raw: &Raw) -> Option<Option<Secret>> {
    let text = raw.as_text()?;
    if text.is_empty() {
        return Some(None);
    }
    let fits = (SECRET_CHARS_MIN..=TEXT_CHARS_MAX).contains(&text.len());
    fits.then(|| Some(Secret::new(String::from(text))))
}

/// `EnvFilter` alone would take a misspelt level for the name of a module and silence everything else.
fn filter(raw: &Raw) -> Option<String> {
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
    let (least, most) = (
        units::show_duration(*range.start()),
        units::show_duration(*range.end()),
    );
    format!("a duration from {least} to {most}; a number is seconds")
}

fn choice<const N: usize>(names: [&str; N]) -> String {
    format!("one of {}", names.join(", "))
}
