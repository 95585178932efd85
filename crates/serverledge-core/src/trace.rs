//! W3C Trace Context (Recommendation of 2021-11-23): reading `traceparent` and `tracestate`, and the ids of an
//! invocation's span.

use std::fmt;
use std::sync::Arc;

use crate::call::PropagatedContext;
use crate::id::InvocationId;

/// Multiplied by the number of hops and mixed into a span's id: the run on another node has the invocation's id, and
/// needs a span of its own. 2⁶⁴ divided by the golden ratio: no two small multiples are equal.
const HOP_STEP: u64 = 0x9E37_79B9_7F4A_7C15;

/// Most members of a `tracestate` (§3.3.1.1); with more, all of it is dropped.
const STATE_MEMBERS_MAX: usize = 32;
/// Bytes of a `tracestate` that are passed on: as many as everybody has to pass on (§3.3.1.5).
const STATE_BYTES_MAX: usize = 512;
/// The flag that says that the caller may have recorded its span.
pub const SAMPLED: u8 = 1;

/// The id of a trace: 16 bytes that are not all zero, written as 32 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TraceId(pub [u8; 16]);

/// The id of a span: 8 bytes that are not all zero, written as 16 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SpanId(pub [u8; 8]);

/// The content of a `traceparent` header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceParent {
    /// The trace.
    pub trace: TraceId,
    /// The caller's span.
    pub span: SpanId,
    /// The flags; bit 0: the caller may have recorded its span.
    pub flags: u8,
}

/// The place of an invocation's span in its trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceIds {
    /// The trace: the caller's, or one of the invocation at the root.
    pub trace: TraceId,
    /// The invocation's own span.
    pub span: SpanId,
    /// The span that it is part of; `None` at the root of a trace.
    pub parent: Option<SpanId>,
    /// The flags of the caller; `None` if it gave none.
    pub flags: Option<u8>,
}

/// The trace context of whatever a run calls: its function, which passes it on, and the receiver of its callback.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceContext {
    /// The trace, and the span of the function's run in it.
    pub parent: TraceParent,
    /// The context with the `tracestate`, if there is one.
    state: Option<Arc<PropagatedContext>>,
}

impl TraceContext {
    /// The trace context of a run, with the `tracestate` of its caller.
    #[must_use]
    pub fn new(parent: TraceParent, caller: Option<&Arc<PropagatedContext>>) -> Self {
        Self {
            parent,
            state: caller
                .filter(|known| !known.trace_state.is_empty())
                .cloned(),
        }
    }

    /// The `tracestate`, if there is one.
    #[must_use]
    pub fn state(&self) -> Option<&str> {
        self.state
            .as_deref()
            .map(|known| known.trace_state.as_str())
    }
}

impl TraceParent {
    /// Reads a header: `version-trace-span-flags` in lower-case hexadecimal digits (§3.2.2). Of a later version what
    /// follows the flags is passed over (§3.2.4). `None` for anything malformed: a new trace begins then.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.splitn(5, '-');
        let [version] = hex_bytes::<1>(parts.next()?)?;
        let trace = TraceId(hex_bytes(parts.next()?)?);
        let span = SpanId(hex_bytes(parts.next()?)?);
        let [flags] = hex_bytes::<1>(parts.next()?)?;
        let has_more = parts.next().is_some();
        let known = version != 0xff && (version != 0 || !has_more);
        (known && trace.0 != [0; 16] && span.0 != [0; 8]).then_some(Self { trace, span, flags })
    }
}

impl fmt::Display for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{}-{}-{:02x}", self.trace, self.span, self.flags)
    }
}

impl TraceIds {
    /// The place of an invocation: within its caller's trace, or else in one whose id is that of the invocation at the
    /// root. `parent` is the invocation that made it, if that ran on this node.
    #[must_use]
    pub fn of(
        id: InvocationId,
        root: InvocationId,
        parent: Option<InvocationId>,
        propagated: Option<&PropagatedContext>,
    ) -> Self {
        let given = propagated.and_then(|known| TraceParent::parse(&known.trace));
        let hops = propagated.map_or(0, |known| known.hops);
        let of_parent = parent.map(|parent| span_of(parent, hops));
        Self {
            trace: given.map_or(TraceId(*root.as_bytes()), |given| given.trace),
            span: span_of(id, hops),
            parent: of_parent.or(given.map(|given| given.span)),
            flags: given.map(|given| given.flags),
        }
    }

    /// The header for whatever this span calls.
    #[must_use]
    pub fn traceparent(&self, default_flags: u8) -> TraceParent {
        TraceParent {
            trace: self.trace,
            span: self.span,
            // Whoever writes version 00 sets the others to zero (§3.2.2.5.2).
            flags: self.flags.unwrap_or(default_flags) & SAMPLED,
        }
    }

    /// The span of a part of this span, by its number: the wait, the start, the execution.
    #[must_use]
    pub fn part(&self, number: u8) -> SpanId {
        let own = u64::from_be_bytes(self.span.0);
        let step = HOP_STEP.rotate_left(17).wrapping_mul(u64::from(number) + 1);
        SpanId((own.wrapping_add(step) | 1).to_be_bytes())
    }

    /// The span of the way to another node, part of this span; the span of the run there is part of it.
    #[must_use]
    pub fn hop(&self) -> SpanId {
        SpanId((u64::from_be_bytes(self.span.0).rotate_left(32) | 1).to_be_bytes())
    }
}

/// Combines the values of `tracestate` headers (§3.3): a list of members in the order of the headers, without spaces
/// around them. Empty if there is none, or if a member is malformed, is there twice, or is one too many. Members at the
/// end are left out where all together are longer than what is passed on.
#[must_use]
pub fn trace_state<'a>(headers: impl Iterator<Item = &'a str>) -> String {
    let members: Vec<&str> = headers
        .flat_map(|header| header.split(','))
        .map(|member| member.trim_matches([' ', '\t']))
        .filter(|member| !member.is_empty())
        .collect();
    let known = |key: &str, before: &[&str]| before.iter().any(|one| state_key(one) == Some(key));
    let is_whole = members.len() <= STATE_MEMBERS_MAX
        && members
            .iter()
            .enumerate()
            .all(|(at, member)| state_key(member).is_some_and(|key| !known(key, &members[..at])));
    let mut state = String::new();
    for member in members.into_iter().filter(|_| is_whole) {
        if state.len() + usize::from(!state.is_empty()) + member.len() > STATE_BYTES_MAX {
            break;
        }
        if !state.is_empty() {
            state.push(',');
        }
        state.push_str(member);
    }
    state
}

/// The key of a member `key=value` (§3.3.1.3); `None` if it is malformed.
fn state_key(member: &str) -> Option<&str> {
    let (key, value) = member.split_once('=')?;
    let is_plain = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-' | b'*' | b'/');
    let is_name = |text: &str, bytes_max: usize, may_begin_with_digit: bool| {
        (1..=bytes_max).contains(&text.len())
            && text.bytes().all(is_plain)
            && text.starts_with(|first: char| {
                first.is_ascii_lowercase() || may_begin_with_digit && first.is_ascii_digit()
            })
    };
    let is_key = match key.split_once('@') {
        Some((tenant, system)) => is_name(tenant, 241, true) && is_name(system, 14, false),
        None => is_name(key, 256, false),
    };
    let is_value = (1..=256).contains(&value.len())
        && value
            .bytes()
            .all(|byte| matches!(byte, 0x20..=0x7e) && !matches!(byte, b',' | b'='));
    (is_key && is_value).then_some(key)
}

/// The span of an invocation after this many hops. Its last bytes are random (UUID version 7), and never all zero, since
/// the first of them has the variant's bit.
fn span_of(id: InvocationId, hops: u32) -> SpanId {
    let [.., a, b, c, d, e, f, g, h] = *id.as_bytes();
    let own = u64::from_be_bytes([a, b, c, d, e, f, g, h]);
    SpanId(match own ^ HOP_STEP.wrapping_mul(u64::from(hops)) {
        0 => own.to_be_bytes(),
        mixed => mixed.to_be_bytes(),
    })
}

/// The bytes of so many lower-case hexadecimal digits.
fn hex_bytes<const N: usize>(text: &str) -> Option<[u8; N]> {
    let is_lower = text
        .bytes()
        .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let mut bytes = [0; N];
    (is_lower && hex::decode_to_slice(text, &mut bytes).is_ok()).then_some(bytes)
}

macro_rules! as_hex {
    ($name:ident) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    };
}

as_hex!(TraceId);
as_hex!(SpanId);

#[cfg(test)]
mod tests {
    use super::*;

    const GIVEN: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn propagated(trace: &str, hops: u32) -> PropagatedContext {
        PropagatedContext {
            hops,
            trace: trace.to_owned(),
            ..PropagatedContext::default()
        }
    }

    #[test]
    fn headers_are_read_and_written() {
        assert_eq!(TraceParent::parse(GIVEN).unwrap().to_string(), GIVEN);
        let later = "cc-12345678901234567890123456789012-1234567890123456-01-what";
        assert_eq!(
            TraceParent::parse(later).unwrap().to_string(),
            "00-12345678901234567890123456789012-1234567890123456-01"
        );
    }

    #[test]
    fn malformed_headers_are_none() {
        for bad in [
            "",
            "00",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-x",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319-b7ad6b7169203331-01",
            "0-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-1",
            ".0-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        ] {
            assert_eq!(TraceParent::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn unknown_flags_are_not_passed_on() {
        let id = InvocationId::new();
        let given = GIVEN.replace("-01", "-ff");
        let ids = TraceIds::of(id, id, None, Some(&propagated(&given, 0)));
        assert_eq!(ids.traceparent(0).flags, SAMPLED);
        assert_eq!(TraceIds::of(id, id, None, None).traceparent(1).flags, 1);
    }

    #[test]
    fn states_are_combined_and_checked() {
        let key = |bytes| "k".repeat(bytes);
        let many = |count: usize| {
            let members: Vec<_> = (0..count).map(|n| format!("k{n}=1")).collect();
            members.join(",")
        };
        let whole = [
            many(32),
            "a=1".to_owned(),
            "a=1,b=2".to_owned(),
            "a_-*/0=!\"#$%&'()*+-./:;<>?@[]^_`{|}~".to_owned(),
            "0t@system=1".to_owned(),
            "a= 1 2".to_owned(),
            format!("{}=1", key(256)),
            format!("{}@{}=1", key(241), key(14)),
            format!("a={}", "v".repeat(256)),
        ];
        for state in &whole {
            assert_eq!(&trace_state([state.as_str()].into_iter()), state);
        }
        let bad = [
            many(33),
            "a".to_owned(),
            "a=".to_owned(),
            "=1".to_owned(),
            "A=1".to_owned(),
            "0=1".to_owned(),
            "a =1".to_owned(),
            "a.b=1".to_owned(),
            "a=b=c".to_owned(),
            "a=\u{e9}".to_owned(),
            "a=\t1".to_owned(),
            "a@=1".to_owned(),
            "@a=1".to_owned(),
            "a@@b=1".to_owned(),
            "a@b@c=1".to_owned(),
            "a@0=1".to_owned(),
            "a=1,a=2".to_owned(),
            "a=1,b".to_owned(),
            format!("{}=1", key(257)),
            format!("{}@{}=1", key(242), key(14)),
            format!("{}@{}=1", key(241), key(15)),
            format!("a={}", "v".repeat(257)),
        ];
        for state in &bad {
            assert_eq!(trace_state([state.as_str()].into_iter()), "", "{state}");
        }
        let several = ["a=1 \t , \t b=2", "", " , ", "c=3"];
        assert_eq!(trace_state(several.into_iter()), "a=1,b=2,c=3");
        let long = ["a", "b", "c"].map(|key| format!("{key}={}", "v".repeat(200)));
        let kept = trace_state(long.iter().map(String::as_str));
        assert_eq!(kept, format!("{},{}", long[0], long[1]));
    }

    #[test]
    fn an_invocation_has_a_span_of_its_own_in_its_callers_trace() {
        let id = InvocationId::new();
        let ids = TraceIds::of(id, id, None, Some(&propagated(GIVEN, 0)));
        assert_eq!(ids.trace.to_string(), "0af7651916cd43dd8448eb211c80319c");
        assert_eq!(ids.parent.unwrap().to_string(), "b7ad6b7169203331");
        assert_eq!(ids.flags, Some(1));
        let alone = TraceIds::of(id, id, None, None);
        assert_eq!(alone.trace.0, *id.as_bytes());
        assert_eq!(
            (alone.parent, alone.span, alone.flags),
            (None, ids.span, None)
        );
    }

    #[test]
    fn nested_calls_and_hops_are_parts_of_their_callers() {
        let (root, inner) = (InvocationId::new(), InvocationId::new());
        let outer = TraceIds::of(root, root, None, None);
        let nested = TraceIds::of(inner, root, Some(root), None);
        assert_eq!(nested.trace, outer.trace);
        assert_eq!(nested.parent, Some(outer.span));
        let there = TraceIds::of(root, root, None, Some(&propagated(GIVEN, 1)));
        let spans = [
            outer.span,
            nested.span,
            there.span,
            outer.hop(),
            outer.part(0),
            outer.part(1),
            outer.part(2),
        ];
        for (at, span) in spans.iter().enumerate() {
            assert!(!spans[..at].contains(span), "{spans:?}");
        }
    }
}
