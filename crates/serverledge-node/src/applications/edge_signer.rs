//! Signs the manifests of functions that run in browsers. A cluster has one key, derived from `cluster.key`; a single node
//! has its own, in a file under the data folder.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest::{SHA256, digest};
use ring::signature::{Ed25519KeyPair, KeyPair};
use serverledge_registry::create_private;
use serverledge_wire::edge::{EdgeKey, EdgeKeys, EdgeManifest, SIGNED_PREFIX, SignedManifest};
use serverledge_wire::peer::ClusterKey;

/// Separates this use of the cluster's key from all others.
const SEED_DOMAIN: &str = "serverledge 2026 edge manifests 1 seed of ed25519";
/// The file with the seed of a node without a cluster.
const FILE: &str = "edge-manifest.key";
/// Bytes of a seed of Ed25519.
const SEED_BYTES: usize = 32;
/// Bytes of the public key's digest that name it.
const KEY_ID_BYTES: usize = 8;

/// A key pair of Ed25519 (RFC 8032), and its name.
pub(crate) struct EdgeSigner {
    pair: Ed25519KeyPair,
    key_id: String,
}

impl EdgeSigner {
    /// The key of a cluster: every node with its key has the same.
    pub(crate) fn of_cluster(key: &ClusterKey) -> io::Result<Self> {
        Self::of_seed(&key.secret_for(SEED_DOMAIN))
    }

    /// The key of a single node, made at its first start.
    ///
    /// # Errors
    /// The file cannot be read or made, or holds something else.
    pub(crate) fn of_node(dir: &Path) -> io::Result<Self> {
        let path = dir.join(FILE);
        let mut seed = [0; SEED_BYTES];
        getrandom::fill(&mut seed).map_err(|fault| io::Error::other(fault.to_string()))?;
        create_private(&path, &seed)?;
        let mut held = Vec::new();
        // One byte more than a seed has shows that it is none.
        let limit = SEED_BYTES as u64 + 1;
        File::open(&path)?.take(limit).read_to_end(&mut held)?;
        let seed = <[u8; SEED_BYTES]>::try_from(held).map_err(|_| {
            let fault = format!("{} holds no seed of {SEED_BYTES} bytes", path.display());
            io::Error::new(io::ErrorKind::InvalidData, fault)
        })?;
        Self::of_seed(&seed)
    }

    fn of_seed(seed: &[u8; SEED_BYTES]) -> io::Result<Self> {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed)
            .map_err(|fault| io::Error::other(fault.to_string()))?;
        let named = digest(&SHA256, pair.public_key().as_ref());
        let key_id = URL_SAFE_NO_PAD.encode(&named.as_ref()[..KEY_ID_BYTES]);
        Ok(Self { pair, key_id })
    }

    /// The manifest with its signature.
    pub(crate) fn sign(&self, manifest: &EdgeManifest) -> SignedManifest {
        // A manifest has string keys and no failing serializers.
        let manifest = serde_json::to_string(manifest).unwrap_or_default();
        let signature = self
            .pair
            .sign(format!("{SIGNED_PREFIX}{manifest}").as_bytes());
        SignedManifest {
            manifest,
            key_id: self.key_id.clone(),
            key: self.public_key(),
            signature: URL_SAFE_NO_PAD.encode(signature),
        }
    }

    /// The public key.
    pub(crate) fn keys(&self) -> EdgeKeys {
        EdgeKeys {
            keys: vec![EdgeKey::ed25519(self.key_id.clone(), self.public_key())],
        }
    }

    fn public_key(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.pair.public_key())
    }
}

impl std::fmt::Debug for EdgeSigner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EdgeSigner")
            .field("key_id", &self.key_id)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use ring::signature::{ED25519, UnparsedPublicKey};
    use serverledge_wire::edge::MANIFEST_FORMAT;

    use super::*;

    fn manifest(app: &str) -> EdgeManifest {
        EdgeManifest {
            format: MANIFEST_FORMAT,
            app: app.to_owned(),
            issued: 1,
            expires: 2,
            functions: Vec::new(),
            components: Vec::new(),
        }
    }

    fn holds(keys: &EdgeKeys, signed: &SignedManifest) -> bool {
        let key = &keys.keys[0];
        let public = UnparsedPublicKey::new(&ED25519, URL_SAFE_NO_PAD.decode(&key.x).unwrap());
        let text = format!("{SIGNED_PREFIX}{}", signed.manifest);
        let signature = URL_SAFE_NO_PAD.decode(&signed.signature).unwrap();
        key.kid == signed.key_id
            && key.x == signed.key
            && public.verify(text.as_bytes(), &signature).is_ok()
    }

    #[test]
    fn a_signature_is_of_one_manifest_and_one_key() {
        let key = ClusterKey::derive;
        let one = EdgeSigner::of_cluster(&key("0123456789abcdef0123456789abcdef")).unwrap();
        let same = EdgeSigner::of_cluster(&key("0123456789abcdef0123456789abcdef")).unwrap();
        let other = EdgeSigner::of_cluster(&key("another key of more than 32 characters")).unwrap();
        let signed = one.sign(&manifest("shop"));
        assert!(holds(&one.keys(), &signed));
        assert!(
            holds(&same.keys(), &signed),
            "nodes of a cluster sign alike"
        );
        assert!(!holds(&other.keys(), &signed));
        let grown = SignedManifest {
            manifest: signed.manifest.replace("\"expires\":2", "\"expires\":3"),
            ..signed
        };
        assert!(!holds(&one.keys(), &grown));
    }

    #[test]
    fn a_node_keeps_its_key() {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("data");
        let first = EdgeSigner::of_node(&data).unwrap().keys();
        let mode = std::fs::metadata(data.join(FILE)).unwrap().permissions();
        assert_eq!(mode.mode() & 0o777, 0o600);
        assert_eq!(EdgeSigner::of_node(&data).unwrap().keys(), first);
        for other in [&b""[..], b"short", &[7; SEED_BYTES + 1]] {
            std::fs::write(data.join(FILE), other).unwrap();
            let refused = EdgeSigner::of_node(&data).unwrap_err();
            assert_eq!(refused.kind(), io::ErrorKind::InvalidData, "{other:?}");
        }
    }
}
