//! Verification of requests from nodes of this cluster: a proof must be of this request, recent, and new.

use std::collections::HashSet;

use parking_lot::Mutex;
use serverledge_api::PeerRefused;
use serverledge_wire::peer::{ClusterKey, PREFIX, Proof, Proved};

use crate::clock::unix_ms;

/// Largest difference between the clocks of two nodes, including the time that a request is on its way.
const CLOCK_DIFFERENCE_MAX_MS: u64 = 30_000;
/// Most nonces that a set remembers in one generation: more requests than two nodes exchange in its time, in 40 MB at
/// most.
const NONCES_MAX: usize = 1_000_000;

/// The verifier; see the module.
pub(crate) struct Proofs {
    key: ClusterKey,
    me: String,
    peers: Mutex<Seen>,
    /// The nonces of requests that balancers forward for the cluster's clients. They have a set of their own, so that
    /// peers are heard however many there are. The path says which set a nonce is of, and is covered by the proof.
    passed: Mutex<Seen>,
}

/// Nonces of the time in which their proofs are accepted. A proof is at most the clock difference old, or ahead, so one
/// that was seen twice that time ago is not accepted any more.
#[derive(Default)]
struct Seen {
    current: HashSet<[u8; 12]>,
    previous: HashSet<[u8; 12]>,
    began_unix_ms: u64,
}

impl Proofs {
    pub(crate) fn new(key: ClusterKey, me: String) -> Self {
        Self {
            key,
            me,
            peers: Mutex::default(),
            passed: Mutex::default(),
        }
    }

    pub(crate) fn check(
        &self,
        proof: &Proof,
        path: &str,
        call: &[u8],
        body: &[u8],
    ) -> Result<(), PeerRefused> {
        self.check_at(
            unix_ms(),
            proof,
            &Proved {
                to: &self.me,
                path,
                call,
                body,
            },
        )
    }

    fn check_at(&self, now: u64, proof: &Proof, what: &Proved<'_>) -> Result<(), PeerRefused> {
        if !self.key.holds(proof, what) {
            return Err(PeerRefused::Proof);
        }
        let difference = now.abs_diff(proof.unix_ms);
        if difference > CLOCK_DIFFERENCE_MAX_MS {
            return Err(PeerRefused::Clock {
                seconds: difference / 1000,
                max: CLOCK_DIFFERENCE_MAX_MS / 1000,
            });
        }
        let seen = if what.path.starts_with(PREFIX) {
            &self.peers
        } else {
            &self.passed
        };
        seen.lock().take(now, proof.nonce)
    }
}

impl Seen {
    fn take(&mut self, now: u64, nonce: [u8; 12]) -> Result<(), PeerRefused> {
        if now.abs_diff(self.began_unix_ms) > 2 * CLOCK_DIFFERENCE_MAX_MS {
            self.previous = std::mem::take(&mut self.current);
            self.began_unix_ms = now;
        }
        if self.current.len() >= NONCES_MAX {
            return Err(PeerRefused::TooMany);
        }
        if self.previous.contains(&nonce) || !self.current.insert(nonce) {
            return Err(PeerRefused::Replayed);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_700_000_000_000;

    #[test]
    fn a_proof_counts_once_and_for_a_while() {
        let key = ClusterKey::derive("0123456789abcdef0123456789abcdef");
        let proofs = Proofs::new(key.clone(), "ROME/n1".to_owned());
        let what = Proved {
            to: "ROME/n1",
            path: "/peer/load",
            call: b"",
            body: b"",
        };
        let proof = |ms, nonce| key.prove(ms, [nonce; 12], &what);
        assert_eq!(proofs.check_at(NOW, &proof(NOW, 1), &what), Ok(()));
        assert_eq!(
            proofs.check_at(NOW, &proof(NOW, 1), &what),
            Err(PeerRefused::Replayed)
        );
        assert_eq!(proofs.check_at(NOW, &proof(NOW, 2), &what), Ok(()));
        let other = Proved {
            to: "ROME/n2",
            ..what
        };
        assert_eq!(
            proofs.check_at(NOW, &key.prove(NOW, [3; 12], &other), &what),
            Err(PeerRefused::Proof)
        );
        for (at, refused) in [
            (NOW - 30_000, false),
            (NOW + 30_000, false),
            (NOW - 31_000, true),
            (NOW + 31_000, true),
        ] {
            let nonce = u8::try_from(at % 251).unwrap();
            assert_eq!(
                proofs.check_at(NOW, &proof(at, nonce), &what).is_err(),
                refused,
                "{at}"
            );
        }
    }

    #[test]
    fn what_balancers_pass_on_shuts_out_no_peer() {
        let key = ClusterKey::derive("0123456789abcdef0123456789abcdef");
        let proofs = Proofs::new(key.clone(), "ROME/n1".to_owned());
        let peers = Proved {
            to: "ROME/n1",
            path: "/peer/load",
            call: b"",
            body: b"",
        };
        let passed = Proved {
            path: "/function",
            ..peers
        };
        let check = |nonce: u32, what: &Proved<'_>| {
            let mut bytes = [0; 12];
            bytes[..4].copy_from_slice(&nonce.to_le_bytes());
            proofs.check_at(NOW, &key.prove(NOW, bytes, what), what)
        };
        let nonces = 0..u32::try_from(NONCES_MAX).unwrap();
        assert_eq!(check(0, &passed), Ok(()));
        assert_eq!(check(0, &passed), Err(PeerRefused::Replayed));
        proofs.passed.lock().current.extend(nonces.map(|nonce| {
            let mut bytes = [1; 12];
            bytes[..4].copy_from_slice(&nonce.to_le_bytes());
            bytes
        }));
        assert_eq!(check(1, &passed), Err(PeerRefused::TooMany));
        assert_eq!(check(1, &peers), Ok(()));
    }

    #[test]
    fn nothing_is_believed_again_after_nonces_are_forgotten() {
        let key = ClusterKey::derive("0123456789abcdef0123456789abcdef");
        let proofs = Proofs::new(key.clone(), "ROME/n1".to_owned());
        let what = Proved {
            to: "ROME/n1",
            path: "/peer/load",
            call: b"",
            body: b"",
        };
        let old = key.prove(NOW + CLOCK_DIFFERENCE_MAX_MS, [1; 12], &what);
        assert_eq!(proofs.check_at(NOW, &old, &what), Ok(()));
        for (step, later) in (0..40).map(|step| (step, NOW + step * 5_000)) {
            let fresh = key.prove(later, [2 + u8::try_from(step).unwrap(); 12], &what);
            assert_eq!(proofs.check_at(later, &fresh, &what), Ok(()));
            assert!(proofs.check_at(later, &old, &what).is_err(), "{step}");
        }
    }
}
