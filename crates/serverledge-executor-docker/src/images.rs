//! Errors of images that cannot be fetched: whose fault that is, and the way out.

use serverledge_core::PrepareError;

/// Longest words of an engine or registry that are passed on.
const WORDS_CHARS_MAX: usize = 500;

/// The reason why an image could not be fetched, as far as the words of engine and registry tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PullFault {
    /// It is not there, or not for everybody: public registries do not say which.
    MissingOrPrivate,
    /// It is not for this kind of processor.
    Platform,
    /// It has no possible name.
    Name,
    /// The registry turned the node away for now.
    Busy,
    /// The engine has no room for it.
    Disk,
    /// The registry does not answer, or anything else that may be otherwise later.
    Registry,
}

/// Words in which engines and registries say so, in lower case; the first that fits counts.
const WORDS: [(&str, PullFault); 20] = [
    ("no matching manifest", PullFault::Platform),
    ("no image found in manifest list", PullFault::Platform),
    ("no image found in image index", PullFault::Platform),
    ("does not match the specified platform", PullFault::Platform),
    ("invalid reference format", PullFault::Name),
    ("repository name must be", PullFault::Name),
    ("toomanyrequests", PullFault::Busy),
    ("too many requests", PullFault::Busy),
    ("rate limit", PullFault::Busy),
    ("no space left", PullFault::Disk),
    ("dial tcp", PullFault::Registry),
    ("no such host", PullFault::Registry),
    ("timeout", PullFault::Registry),
    ("denied", PullFault::MissingOrPrivate),
    ("unauthorized", PullFault::MissingOrPrivate),
    ("authentication required", PullFault::MissingOrPrivate),
    ("no basic auth", PullFault::MissingOrPrivate),
    ("forbidden", PullFault::MissingOrPrivate),
    ("not found", PullFault::MissingOrPrivate),
    ("manifest unknown", PullFault::MissingOrPrivate),
];

impl PullFault {
    fn of(said: &str) -> Self {
        let said = said.to_ascii_lowercase();
        WORDS
            .iter()
            .find(|(words, _)| said.contains(words))
            .map_or(Self::Registry, |(_, fault)| *fault)
    }
}

/// An image that the engine did not fetch, in its words.
pub(crate) fn pull_refused(image: &str, said: &str) -> PrepareError {
    let said: String = said.trim().chars().take(WORDS_CHARS_MAX).collect();
    let invalid = |code, message| PrepareError::Invalid { code, message };
    match PullFault::of(&said) {
        PullFault::MissingOrPrivate => invalid(
            "image_missing",
            format!(
                "image {image} is not on the node's machine and cannot be fetched: it does not exist, or it is private, and the \
                 node has no account at its registry ({said}); check the name, or bring it there with docker pull or docker load"
            ),
        ),
        PullFault::Platform => invalid(
            "image_platform",
            format!("image {image} is not made for the processor of this node ({said})"),
        ),
        PullFault::Name => invalid(
            "invalid_image",
            format!("{image:?} is no name of an image ({said})"),
        ),
        PullFault::Busy => unavailable(
            image,
            "its registry takes no more requests from here for now",
            &said,
        ),
        PullFault::Disk => unavailable(image, "the machine's disk is full", &said),
        PullFault::Registry => {
            unavailable(image, "its registry does not answer as it should", &said)
        }
    }
}

fn unavailable(image: &str, why: &str, said: &str) -> PrepareError {
    let what = format!(
        "image {image} is not on the node's machine and cannot be fetched: {why}; bring it there with docker pull or docker load"
    );
    PrepareError::Unavailable {
        code: "image_missing",
        what,
        source: said.into(),
    }
}

/// Whether an engine refuses a name that cannot be an image's.
pub(crate) fn is_no_name(said: &str) -> bool {
    PullFault::of(said) == PullFault::Name
}

/// An image that is not there though the node relies on it.
pub(crate) fn image_missing(image: &str, why: &str) -> PrepareError {
    let what = format!("image {image} is missing: {why}");
    PrepareError::Unavailable {
        code: "image_missing",
        what,
        source: "not found".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// In the words of Docker Engine 20.10 to 28, Podman 4 and registries.
    #[test]
    fn it_is_told_whose_fault_it_is() {
        for (said, expected) in [
            (
                "pull access denied for nobody/nothing, repository does not exist or may require 'docker login': denied: \
                 requested access to the resource is denied",
                PullFault::MissingOrPrivate,
            ),
            (
                "manifest for alpine:nope not found: manifest unknown: manifest unknown",
                PullFault::MissingOrPrivate,
            ),
            (
                "Head \"https://ghcr.io/v2/a/b/manifests/latest\": unauthorized",
                PullFault::MissingOrPrivate,
            ),
            (
                "unable to retrieve auth token: invalid username/password: unauthorized",
                PullFault::MissingOrPrivate,
            ),
            (
                "Get \"https://r.example/v2/\": no basic auth credentials",
                PullFault::MissingOrPrivate,
            ),
            (
                "no matching manifest for linux/arm64/v8 in the manifest list entries",
                PullFault::Platform,
            ),
            (
                "invalid reference format: repository name must be lowercase",
                PullFault::Name,
            ),
            (
                "toomanyrequests: You have reached your pull rate limit.",
                PullFault::Busy,
            ),
            (
                "Get \"https://r.example/v2/\": dial tcp: lookup r.example: no such host",
                PullFault::Registry,
            ),
            (
                "Get \"https://r.example/v2/\": net/http: TLS handshake timeout",
                PullFault::Registry,
            ),
            (
                "write /var/lib/docker: no space left on device",
                PullFault::Disk,
            ),
        ] {
            assert_eq!(PullFault::of(said), expected, "{said}");
        }
    }

    #[test]
    fn the_sentence_names_image_cause_and_way_out() {
        let PrepareError::Invalid { code, message } = pull_refused("r.example/a:1", "denied")
        else {
            panic!("a private image is not the node's fault")
        };
        assert_eq!(code, "image_missing");
        for part in ["r.example/a:1", "private", "(denied)", "docker pull"] {
            assert!(message.contains(part), "{message}");
        }
    }
}
