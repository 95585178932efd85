//! Passwords that others would guess first: the commonest that are long enough, and patterns.

/// From public lists of leaked passwords, those with at least twelve characters; lower case.
const COMMON: [&str; 96] = [
    "1q2w3e4r5t6y",
    "1qaz2wsx3edc",
    "1qazxsw23edc",
    "1234qwerasdf",
    "1234567890qwertyuiop",
    "123456789qwerty",
    "123qweasdzxc",
    "123456qwerty",
    "12qwaszx34er",
    "a1b2c3d4e5f6",
    "abc123abc123",
    "abcd1234abcd",
    "access123456",
    "adminadmin12",
    "admin1234567",
    "administrator",
    "administrator1",
    "asdfghjkl123",
    "asdfghjkl;'",
    "asdfasdfasdf",
    "baseball1234",
    "basketball12",
    "bismillah123",
    "bismillah786",
    "butterfly123",
    "changeme1234",
    "changemenow1",
    "chocolate123",
    "christopher1",
    "computer1234",
    "confidential",
    "construction",
    "default12345",
    "dragon123456",
    "elephant1234",
    "experimental",
    "firstname1234",
    "football1234",
    "football12345",
    "hello1234567",
    "helloworld12",
    "helloworld123",
    "iloveyou1234",
    "iloveyou12345",
    "iloveyoubaby",
    "iloveyousomuch",
    "intelligence",
    "internet1234",
    "jesuschrist1",
    "jesuslovesme",
    "letmein12345",
    "letmeinplease",
    "liverpoolfc1",
    "login1234567",
    "lovelovelove",
    "manchesterunited",
    "master123456",
    "michaeljordan",
    "monkey123456",
    "mypassword12",
    "mypassword123",
    "password0000",
    "password1111",
    "password1234",
    "password12345",
    "password123456",
    "password123456789",
    "password1234!",
    "password123!",
    "passw0rd1234",
    "p@ssw0rd1234",
    "p@ssword1234",
    "princess1234",
    "qazwsxedcrfv",
    "qwertyuiop12",
    "qwertyuiop123",
    "qwertyuiop[]",
    "qwertyuiopas",
    "qwerty123456",
    "qwerty1234567",
    "qwer1234asdf",
    "qwertyqwerty",
    "rockyou12345",
    "secretsecret",
    "serverledge1",
    "serverledge123",
    "starwars1234",
    "sunshine1234",
    "superman1234",
    "test12345678",
    "thisisapassword",
    "trustno1trustno1",
    "unbelievable",
    "welcome12345",
    "welcometothe",
    "zaq12wsxcde3",
];

/// Whether others would guess it.
pub(super) fn is_common(password: &str) -> bool {
    let lower = password.to_lowercase();
    let chars: Vec<char> = lower.chars().collect();
    COMMON.contains(&lower.as_str()) || is_repeated(&chars) || is_row(&chars)
}

/// Whether it is a word that everybody knows of the account, with a few characters around it.
pub(super) fn is_like(password: &str, known: &str) -> bool {
    let (password, known) = (password.to_lowercase(), known.to_lowercase());
    known.len() >= 8 && password.contains(&known) && password.len() <= known.len() + 4
}

/// A part of at most half its length, over and over: `passwordpassword`, `aaaaaaaaaaaa`.
fn is_repeated(chars: &[char]) -> bool {
    (1..=chars.len() / 2).any(|unit| chars.iter().zip(chars.iter().skip(unit)).all(|(one, next)| one == next))
}

/// Each character is the one after (or before) the last: `abcdefghijkl`, `123456789012`.
fn is_row(chars: &[char]) -> bool {
    let follows = |a: char, b: char| u32::from(a) + 1 == u32::from(b) || (a, b) == ('9', '0');
    let pairs = || chars.iter().zip(chars.iter().skip(1));
    pairs().all(|(a, b)| follows(*a, *b)) || pairs().all(|(a, b)| follows(*b, *a))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_in_lower_case() {
        assert!(COMMON.iter().all(|one| one.to_lowercase() == *one));
        assert!(COMMON.iter().all(|one| is_common(&one.to_uppercase())));
    }

    #[test]
    fn patterns_are_told_from_words() {
        assert!(!is_common("correct horse battery"));
        assert!(!is_common("abcabcabcabd"));
        assert!(is_common("abcabcabcabc") && is_common("98765432109876"));
        assert!(!is_like("grace.hopper and the moth", "grace.hopper"));
    }
}
