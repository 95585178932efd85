//! Passwords that others would guess first. A password is taken apart into what guessers put together: common words, words
//! that everybody knows of the account, rows of the keyboard or the alphabet, years, repetitions. What is left over counts as
//! it is. Few parts are guessed soon, however long they are: `Summer2024!!` is a word, a year and two signs.
//!
//! NIST SP 800-63B asks to compare with lists of leaked passwords, dictionary words, repetitions and the context. Lists hardly have
//! passwords of twelve characters that are not put together so.

/// Least worth of a password, in characters that cannot be foreseen.
const WORTH_MIN: usize = 7;
/// A word of a list, a row, a year: as hard to guess as so many such characters.
const PART: usize = 2;
/// To go on as before: `abab…`.
const AGAIN: usize = 1;
/// Shortest row that is one: two characters follow each other by chance.
const ROW_MIN: usize = 3;
/// Shortest word of the context; `ada` is in many words.
const CONTEXT_MIN: usize = 4;

/// Common words of leaked passwords, and phrases; lower case.
const WORDS: &str = "\
    abc access account admin administrator adobe alexander always amanda america andrea andrew angel animal anthony \
    apple april arsenal ashley august austin autumn baby backup bailey banana barcelona baseball basketball batman \
    berlin birthday bismillah buster butterfly carlos change changeit changeme charlie cheese chelsea chicken \
    chocolate christ christian christopher cisco coffee company computer confidential construction cookie cowboy \
    dallas daniel december default demo dennis diamond dolphin donald dragon elephant england experimental facebook \
    family father february ferrari firstname flower football forever freedom friday friend friends gateway george \
    ginger golden google guest guitar hallo hannah happy harley heaven hello hockey home hunter iloveyou inlove \
    intelligence internet january jasmine jennifer jessica jesus jordan joseph joshua july june justin killer king \
    lastname letmein linkedin linux liverpool local login london love lovely loveme loves madison maggie manchester \
    march maria martin master matrix matthew melissa mercedes michael michelle microsoft monday money monkey mother \
    mustang myname mypass mypassword naruto network newyork nicole nothing november october office oracle orange \
    pass passphrase passw passwd password passwort patrick peanut pepper phoenix please pokemon princess private \
    public purple qwerty rachel rainbow ranger rockyou root samantha samsung saturday school scooter secret secure \
    security september server serverledge service shadow silver sister skywalker slipknot soccer softball somuch \
    spiderman spring starwars student summer sunday sunshine superman support system taylor teacher temp temporary \
    test tester thisis thomas thunder thursday tigger tinkerbell trustno tuesday unbelievable united unknown user \
    victoria website wednesday welcome whatever william windows winter world";
/// Ways over keyboards, in either direction, and the rows of alphabets.
const ROWS: [&str; 17] = [
    "abcdefghijklmnopqrstuvwxyz",
    "012345678901234567890",
    "1234567890-=",
    "qwertyuiop[]",
    "asdfghjkl;'",
    "zxcvbnm,./",
    "qwertzuiopü",
    "yxcvbnm,.-",
    "azertyuiop",
    "qsdfghjklm",
    "1qaz2wsx3edc4rfv5tgb6yhn7ujm8ik,9ol.0p;/",
    "qazwsxedcrfvtgbyhnujm",
    "1q2w3e4r5t6y7u8i9o0p",
    "12qwaszx34erdfcv",
    "123qweasdzxc",
    "a1b2c3d4e5f6g7h8i9j0",
    "1a2b3c4d5e6f7g8h9i0j",
];
/// Signs that stand for letters.
const STANDS_FOR: [(char, char); 14] = [
    ('0', 'o'),
    ('1', 'i'),
    ('1', 'l'),
    ('!', 'i'),
    ('|', 'l'),
    ('3', 'e'),
    ('4', 'a'),
    ('@', 'a'),
    ('5', 's'),
    ('$', 's'),
    ('7', 't'),
    ('+', 't'),
    ('8', 'b'),
    ('9', 'g'),
];

/// Whether others would guess it, who know these words of the account.
pub(super) fn is_common(password: &str, context: &[&str]) -> bool {
    worth(password, context) < WORTH_MIN
}

/// Of all ways to put the password together, what the cheapest takes.
fn worth(password: &str, context: &[&str]) -> usize {
    let text = folded(password);
    let known = words_of(context);
    let listed: Vec<Vec<char>> = WORDS.split_whitespace().map(folded).collect();
    let words = || listed.iter().chain(&known);
    // The cheapest way to each place.
    let mut cheapest: Vec<usize> = (0..=text.len()).collect();
    for at in 0..text.len() {
        let so_far = cheapest[at];
        let mut reach = |length: usize, price: usize| {
            let there = &mut cheapest[at + length];
            *there = (*there).min(so_far + price);
        };
        reach(1, 1);
        let rest = &text[at..];
        words()
            .filter(|word| begins(rest, word))
            .for_each(|word| reach(word.len(), PART));
        (ROW_MIN..=row(rest)).for_each(|length| reach(length, PART));
        if is_year(rest) {
            reach(4, PART);
        }
        for unit in 1..=at {
            let again = rest
                .iter()
                .zip(&text[at - unit..])
                .take_while(|(one, before)| one == before)
                .count();
            (unit.max(2)..=again).for_each(|length| reach(length, AGAIN));
        }
    }
    cheapest[text.len()]
}

/// Upper and lower case are one to a guesser.
fn folded(text: &str) -> Vec<char> {
    text.to_lowercase().chars().collect()
}

/// The words themselves, and the parts of them between signs: of `grace.hopper@example.org` each name as well.
fn words_of(context: &[&str]) -> Vec<Vec<char>> {
    let parts = |text: &&str| -> Vec<String> {
        text.split(|c: char| !c.is_alphanumeric())
            .map(str::to_owned)
            .collect()
    };
    let whole = context.iter().map(|text| folded(text));
    let parts = context.iter().flat_map(parts).map(|part| folded(&part));
    whole
        .chain(parts)
        .filter(|word| word.len() >= CONTEXT_MIN)
        .collect()
}

/// Whether the text begins with the word, perhaps in signs that stand for its letters.
fn begins(text: &[char], word: &[char]) -> bool {
    let alike = |sign: char, letter: char| sign == letter || STANDS_FOR.contains(&(sign, letter));
    text.len() >= word.len()
        && text
            .iter()
            .zip(word)
            .all(|(sign, letter)| alike(*sign, *letter))
}

/// The length of the longest row that the text begins with, in either direction.
fn row(text: &[char]) -> usize {
    let along = |row: &[char]| {
        (0..row.len())
            .map(|from| {
                text.iter()
                    .zip(&row[from..])
                    .take_while(|(a, b)| a == b)
                    .count()
            })
            .max()
            .unwrap_or(0)
    };
    let of = |row: &&str| {
        let forth: Vec<char> = row.chars().collect();
        let back: Vec<char> = row.chars().rev().collect();
        along(&forth).max(along(&back))
    };
    ROWS.iter().map(of).max().unwrap_or(0)
}

/// Of the last and of this century: of births, and of the day on which somebody had to change it.
fn is_year(text: &[char]) -> bool {
    matches!(text, ['1', '9', c, d, ..] | ['2', '0', c, d, ..] if c.is_ascii_digit() && d.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONTEXT: [&str; 2] = ["Grace.Hopper@example.org", "Grace.Hopper"];

    #[test]
    fn the_lists_are_in_lower_case_and_in_order() {
        assert!(WORDS.to_lowercase() == WORDS && WORDS.split_whitespace().is_sorted());
        assert!(ROWS.iter().all(|one| one.to_lowercase() == *one));
    }

    #[test]
    fn what_guessers_put_together_is_common() {
        for common in [
            "password1234",
            "P@ssw0rd1234",
            "Passw0rd2024!",
            "Summer2024!!",
            "iloveyousomuch",
            "trustno1trustno1",
            "manchesterunited",
            "letmeinplease",
            "thisisapassword",
            "1qaz2wsx3edc",
            "zaq12wsxCDE3",
            "1q2w3e4r5t6y",
            "a1b2c3d4e5f6",
            "qwer1234asdf",
            "asdfasdfasdf",
            "poiuytrewqaz",
            "abcabcabcabc",
            "98765432109876",
            "aaaaaaaaaaaaaaaaaaaaaaaa",
            "xy7 xy7 xy7 xy7 ",
            "hopper19061992",
            "grace2024hopper",
            "example123456",
            "serverledge123",
        ] {
            assert!(
                is_common(common, &CONTEXT),
                "{common} is worth {}",
                worth(common, &CONTEXT)
            );
        }
    }

    #[test]
    fn what_cannot_be_foreseen_is_not() {
        for (good, least) in [
            ("correct horse battery", 12),
            ("grace.hopper and the moth", 12),
            ("tr7$mQ2vLp9x", 12),
            ("hunter2hunter2 and a fox", 8),
            ("Summer rains on tin roofs", 12),
        ] {
            assert!(
                worth(good, &CONTEXT) >= least,
                "{good} is worth {}",
                worth(good, &CONTEXT)
            );
        }
        assert!(
            worth("hopperhopper!", &[]) > worth("hopperhopper!", &CONTEXT),
            "what is known of an account counts"
        );
    }

    #[test]
    fn the_longest_passwords_are_taken_apart_too() {
        let long = "aé".repeat(64);
        assert_eq!(worth(&long, &[]), 3);
    }
}
