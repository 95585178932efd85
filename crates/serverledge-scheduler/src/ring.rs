//! A consistent-hash ring with bounded loads: a key stays with its member while members come and go, and no member gets
//! more than its share (Mirrokni, Thorup, Zadimoghaddam: Consistent Hashing with Bounded Loads, SODA 2018).
//!
//! Positions are the same in every process and version: [`hash`] is FNV-1a over 64 bits, finished with SplitMix64's
//! mixer, since FNV alone spreads short keys badly. A member of weight *w* has *w* × `replicas` points, each the hash of
//! the member's key, a zero byte and the point's number (32 bits, little endian).

use serverledge_core::SplitMix64;

/// Points per unit of weight that are usual. Without bounded loads the fullest of twenty equal members then has less
/// than 1.3 times the average of the keys.
pub const REPLICAS_DEFAULT: u32 = 160;
/// A weight above this counts as this, so that nobody's number makes the ring huge.
pub const WEIGHT_MAX: u32 = 64;

const FNV_OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x0000_0100_0000_01b3;

/// Names a member. The caller gives the numbers; they have no part in where a member is on the ring.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MemberId(pub u32);

/// See the module.
#[derive(Debug, Clone)]
pub struct Ring {
    replicas: u32,
    members: Vec<Member>,
    /// Position and member (an index), by position.
    points: Vec<(u64, u32)>,
}

#[derive(Debug, Clone, Copy)]
struct Member {
    id: MemberId,
    weight: u32,
}

/// The position of a key.
#[must_use]
pub fn hash(key: &[u8]) -> u64 {
    SplitMix64::mix(fnv(FNV_OFFSET, key))
}

fn fnv(state: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(state, |state, byte| {
        (state ^ u64::from(*byte)).wrapping_mul(FNV_PRIME)
    })
}

// === impl Ring ===

impl Ring {
    /// A ring without members; each will have this many points per unit of weight, at least one.
    #[must_use]
    pub const fn new(replicas: u32) -> Self {
        let replicas = if replicas == 0 { 1 } else { replicas };
        Self {
            replicas,
            members: Vec::new(),
            points: Vec::new(),
        }
    }

    /// From now on the members are these: name, weight, and the key that gives its positions. Weight zero is no member.
    /// Of several with one name the first counts; the order does not matter else.
    pub fn set_members(&mut self, members: &[(MemberId, u32, &str)]) {
        self.members.clear();
        self.points.clear();
        for (id, weight, key) in members.iter().filter(|(_, weight, _)| *weight > 0) {
            if self.members.iter().any(|member| member.id == *id) {
                continue;
            }
            let weight = (*weight).min(WEIGHT_MAX);
            let index = u32::try_from(self.members.len()).unwrap_or(u32::MAX);
            let prefix = fnv(fnv(FNV_OFFSET, key.as_bytes()), &[0]);
            let points = (0..self.replicas.saturating_mul(weight))
                .map(|n| SplitMix64::mix(fnv(prefix, &n.to_le_bytes())));
            self.points.extend(points.map(|position| (position, index)));
            self.members.push(Member { id: *id, weight });
        }
        // Equal positions are in the order of names, whatever order the members came in.
        self.points.sort_unstable_by_key(|(position, index)| {
            (*position, self.members[*index as usize].id)
        });
    }

    /// The number of members.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// All members, clockwise from a position, whether usable or not; each once.
    pub fn walk(&self, hash: u64) -> impl Iterator<Item = MemberId> {
        self.clockwise(hash).map(|member| member.id)
    }

    fn clockwise(&self, hash: u64) -> impl Iterator<Item = Member> {
        let (before, after) = self.points.split_at(
            self.points
                .partition_point(|(position, _)| *position < hash),
        );
        let mut met = vec![false; self.members.len()];
        let indices = after.iter().chain(before).map(|(_, index)| *index as usize);
        indices
            .filter(move |index| !std::mem::replace(&mut met[*index], true))
            .map(|index| self.members[index])
    }

    /// All usable members in the order in which a call should try them: those that `prefer` names (because the function is
    /// warm there) within their bounds, the others within theirs, then those beyond; in each group clockwise. Within its
    /// bound a member has, with one more call, at most `factor` times its share of all calls at usable members, rounded up.
    /// `load` says how many calls are at a member, and is asked now; a factor below one, or no number, counts as one.
    pub fn choices(
        &self,
        hash: u64,
        load: &dyn Fn(MemberId) -> u32,
        factor: f64,
        usable: &dyn Fn(MemberId) -> bool,
        prefer: &dyn Fn(MemberId) -> bool,
    ) -> impl Iterator<Item = MemberId> + use<> {
        let bounds = self.bounds(load, factor, usable);
        let mut choices: Vec<(u8, MemberId)> = Vec::with_capacity(self.members.len());
        for Member { id, weight } in self.clockwise(hash) {
            if usable(id) {
                let group = if load(id) >= bounds.of(weight) {
                    2
                } else {
                    u8::from(!prefer(id))
                };
                choices.push((group, id));
            }
        }
        choices.sort_by_key(|(group, _)| *group);
        choices.into_iter().map(|(_, id)| id)
    }

    fn bounds(
        &self,
        load: &dyn Fn(MemberId) -> u32,
        factor: f64,
        usable: &dyn Fn(MemberId) -> bool,
    ) -> Bounds {
        let usable = self.members.iter().filter(|member| usable(member.id));
        let (calls, weights) = usable.fold((1_u64, 0_u64), |(calls, weights), member| {
            (
                calls + u64::from(load(member.id)),
                weights + u64::from(member.weight),
            )
        });
        #[expect(
            clippy::cast_precision_loss,
            reason = "numbers of calls are far below 2^53"
        )]
        let per_weight = factor.max(1.0) * calls as f64 / weights.max(1) as f64;
        Bounds { per_weight }
    }
}

/// The load that each unit of weight may carry.
struct Bounds {
    per_weight: f64,
}

impl Bounds {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "casts of floats saturate"
    )]
    fn of(&self, weight: u32) -> u32 {
        (self.per_weight * f64::from(weight)).ceil() as u32
    }
}

#[cfg(test)]
mod tests;
