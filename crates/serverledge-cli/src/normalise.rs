//! Brings every accepted spelling of the command line to the one that clap knows.
//!
//! Serverledge's oldest client used Go's `flag` package (`-function f -cmd invoke`), its later one pflag
//! (`invoke --function f`). Here, long options take one dash or two, `_` and `-` in their names are equal, switches take
//! `=true` and `=false`, `-cmd X` is the command X, and options may stand before the command.

use std::collections::{HashMap, HashSet};
use std::ffi::OsString;

/// The options that exist, and whether each takes a value; read off clap's own definition.
#[derive(Debug)]
pub(crate) struct Grammar {
    /// By name with hyphens: clap's spelling, and whether a value follows.
    longs: HashMap<String, (String, bool)>,
    /// Short options by command, the global ones in each; the empty command has those of all.
    shorts: HashMap<String, HashMap<char, bool>>,
    /// Short options that take a value in one command and none in another.
    ambiguous: HashSet<char>,
    /// The commands below a command; their short options are in its own.
    nested: HashMap<String, HashSet<String>>,
}

impl Grammar {
    /// Reads a definition.
    pub(crate) fn of(mut definition: clap::Command) -> Self {
        definition.build();
        let mut grammar = Self {
            longs: HashMap::new(),
            shorts: HashMap::new(),
            ambiguous: HashSet::new(),
            nested: HashMap::new(),
        };
        grammar.add("", &definition);
        for command in definition.get_subcommands() {
            grammar.add(command.get_name(), command);
            for nested in command.get_subcommands() {
                grammar.add(command.get_name(), nested);
                grammar
                    .nested
                    .entry(command.get_name().to_owned())
                    .or_default()
                    .insert(nested.get_name().to_owned());
            }
        }
        grammar
    }

    fn add(&mut self, command: &str, definition: &clap::Command) {
        self.shorts.entry(command.to_owned()).or_default();
        for option in definition.get_arguments() {
            let takes_value = takes_value(option);
            for name in option
                .get_long()
                .into_iter()
                .chain(option.get_all_aliases().unwrap_or_default())
            {
                self.longs
                    .insert(name.replace('_', "-"), (name.to_owned(), takes_value));
            }
            let Some(short) = option.get_short() else {
                continue;
            };
            self.shorts
                .entry(command.to_owned())
                .or_default()
                .insert(short, takes_value);
            let seen = self
                .shorts
                .entry(String::new())
                .or_default()
                .entry(short)
                .or_insert(takes_value);
            if *seen != takes_value {
                self.ambiguous.insert(short);
            }
        }
    }

    /// The commands below this one; `None` if it has none.
    fn nested(&self, command: Option<&OsString>) -> Option<&HashSet<String>> {
        self.nested.get(command?.to_str()?)
    }

    fn is_command(&self, word: &OsString) -> bool {
        word.to_str()
            .is_some_and(|word| !word.is_empty() && self.shorts.contains_key(word))
    }
}

/// Whether a value follows an option. One that has its value behind `=` or none at all is a switch.
fn takes_value(option: &clap::Arg) -> bool {
    let is_optional = option
        .get_num_args()
        .is_some_and(|range| range.min_values() == 0);
    option.get_action().takes_values() && !(is_optional && option.is_require_equals_set())
}

/// One argument by its form.
#[derive(Debug)]
enum ArgumentForm<'a> {
    /// A known long option in clap's spelling.
    Long {
        name: &'a str,
        takes_value: bool,
        inline: Option<&'a str>,
    },
    /// Known short options in one; whether the last of them takes the next argument.
    Short { takes_next: bool },
    /// `--`.
    End,
    /// An operand, or something for clap to complain about.
    Other,
}

/// Rewrites arguments (without the program's name). What is not understood passes unchanged.
pub(crate) fn normalise(mut arguments: Vec<OsString>, grammar: &Grammar) -> Vec<OsString> {
    let all = &grammar.shorts[""];
    let ambiguous = &grammar.ambiguous;
    let command = take_cmd_option(&mut arguments).or_else(|| {
        take_word(&mut arguments, grammar, all, ambiguous, |word| {
            grammar.is_command(word)
        })
    });
    let shorts = command
        .as_ref()
        .and_then(|command| grammar.shorts.get(command.to_str()?))
        .unwrap_or(all);
    let nested = grammar.nested(command.as_ref());
    let nested = nested.and_then(|names| {
        let is_name = |word: &OsString| word.to_str().is_some_and(|word| names.contains(word));
        take_word(&mut arguments, grammar, shorts, &HashSet::new(), is_name)
    });
    let mut out: Vec<OsString> = command.into_iter().chain(nested).collect();
    let mut rest = arguments.into_iter().peekable();
    while let Some(argument) = rest.next() {
        let mut value = || rest.next_if(|next| is_value(next, grammar, shorts));
        match form(&argument, grammar, shorts) {
            ArgumentForm::Long {
                name,
                takes_value: true,
                inline: None,
            } => out.push(joined(&format!("--{name}"), value())),
            ArgumentForm::Long {
                name,
                takes_value: true,
                inline,
            } => out.push(joined(&format!("--{name}"), inline.map(OsString::from))),
            ArgumentForm::Long {
                name,
                takes_value: false,
                inline,
            } => out.extend(switch(name, inline)),
            ArgumentForm::Short { takes_next: true } => {
                let value = value();
                out.push(joined(&argument.to_string_lossy(), value));
            }
            ArgumentForm::Short { takes_next: false } | ArgumentForm::Other => out.push(argument),
            ArgumentForm::End => {
                out.push(argument);
                out.extend(rest);
                return out;
            }
        }
    }
    out
}

/// Takes `-cmd X` or `-cmd=X` out, wherever it stands before `--`.
fn take_cmd_option(arguments: &mut Vec<OsString>) -> Option<OsString> {
    let end = arguments
        .iter()
        .position(|argument| argument == "--")
        .unwrap_or(arguments.len());
    let is_cmd = |argument: &OsString| argument.to_str().and_then(cmd_option).is_some();
    let at = arguments[..end].iter().position(is_cmd)?;
    let inline = arguments[at]
        .to_str()
        .and_then(cmd_option)
        .flatten()
        .map(OsString::from);
    match inline {
        Some(command) => {
            arguments.remove(at);
            Some(command)
        }
        None if at + 1 < end => arguments.drain(at..at + 2).next_back(),
        None => None,
    }
}

/// For `-cmd` and `--cmd`: the value after `=`, if there is one.
fn cmd_option(argument: &str) -> Option<Option<&str>> {
    let rest = argument
        .strip_prefix("--")
        .or_else(|| argument.strip_prefix('-'))?
        .strip_prefix("cmd")?;
    if rest.is_empty() {
        Some(None)
    } else {
        rest.strip_prefix('=').map(Some)
    }
}

/// Takes the first operand out if it is one of these words. An `ambiguous` short option takes any value but such a
/// word.
fn take_word(
    arguments: &mut Vec<OsString>,
    grammar: &Grammar,
    shorts: &HashMap<char, bool>,
    ambiguous: &HashSet<char>,
    is_wanted: impl Fn(&OsString) -> bool,
) -> Option<OsString> {
    let mut at = 0;
    while at < arguments.len() {
        let next = arguments.get(at + 1);
        let takes_next = match form(&arguments[at], grammar, shorts) {
            ArgumentForm::Long {
                takes_value,
                inline,
                ..
            } => takes_value && inline.is_none(),
            ArgumentForm::Short { takes_next } => match ends_in(&arguments[at], ambiguous) {
                true => !next.is_some_and(&is_wanted),
                false => takes_next,
            },
            ArgumentForm::End => return None,
            ArgumentForm::Other => return is_wanted(&arguments[at]).then(|| arguments.remove(at)),
        };
        let has_value = takes_next && next.is_some_and(|next| is_value(next, grammar, shorts));
        at += if has_value { 2 } else { 1 };
    }
    None
}

/// Whether the last of the short options in an argument is one of these.
fn ends_in(argument: &OsString, shorts: &HashSet<char>) -> bool {
    argument
        .to_str()
        .and_then(|text| text.chars().next_back())
        .is_some_and(|last| shorts.contains(&last))
}

/// Whether an argument can be the value of the option before it: everything but a known option.
fn is_value(argument: &OsString, grammar: &Grammar, shorts: &HashMap<char, bool>) -> bool {
    matches!(form(argument, grammar, shorts), ArgumentForm::Other)
}

fn form<'a>(
    argument: &'a OsString,
    grammar: &'a Grammar,
    shorts: &HashMap<char, bool>,
) -> ArgumentForm<'a> {
    let Some(text) = argument.to_str() else {
        return ArgumentForm::Other;
    };
    if text == "--" {
        return ArgumentForm::End;
    }
    let Some(body) = text.strip_prefix("--").or_else(|| text.strip_prefix('-')) else {
        return ArgumentForm::Other;
    };
    let (name, inline) = body
        .split_once('=')
        .map_or((body, None), |(name, value)| (name, Some(value)));
    if let Some((name, takes_value)) = grammar.longs.get(&name.replace('_', "-")) {
        return ArgumentForm::Long {
            name,
            takes_value: *takes_value,
            inline,
        };
    }
    if text.starts_with("--") {
        ArgumentForm::Other
    } else {
        cluster(body, shorts)
    }
}

/// `-ao`, `-pa:2`: known short options up to the first that takes a value, whose value is the rest.
fn cluster(body: &str, shorts: &HashMap<char, bool>) -> ArgumentForm<'static> {
    for (at, short) in body.char_indices() {
        match shorts.get(&short) {
            Some(true) => {
                return ArgumentForm::Short {
                    takes_next: at + short.len_utf8() == body.len(),
                };
            }
            Some(false) => {}
            None => return ArgumentForm::Other,
        }
    }
    if body.is_empty() {
        ArgumentForm::Other
    } else {
        ArgumentForm::Short { takes_next: false }
    }
}

/// An option with its value behind `=`, so that clap cannot take the value for an option.
fn joined(option: &str, value: Option<OsString>) -> OsString {
    let mut joined = OsString::from(option);
    if let Some(value) = value {
        joined.push("=");
        joined.push(value);
    }
    joined
}

/// Go's switches take a truth value; a false one is as good as absent.
fn switch(name: &str, inline: Option<&str>) -> Option<OsString> {
    match inline.map(str::to_ascii_lowercase).as_deref() {
        None | Some("true" | "t" | "1") => Some(OsString::from(format!("--{name}"))),
        Some("false" | "f" | "0") => None,
        Some(_) => Some(joined(&format!("--{name}"), inline.map(OsString::from))),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;
    use expect_test::{Expect, expect};

    use super::*;
    use crate::arguments::Cli;

    fn check(line: &str, expected: &Expect) {
        let arguments = line.split_whitespace().map(OsString::from).collect();
        let out = normalise(arguments, &Grammar::of(Cli::command()));
        let words: Vec<_> = out.iter().map(|word| word.to_string_lossy()).collect();
        expected.assert_eq(&words.join(" "));
    }

    #[test]
    fn dashes_and_underscores() {
        check("invoke -function f", &expect!["invoke --function=f"]);
        check("invoke --function f", &expect!["invoke --function=f"]);
        check("invoke -f f", &expect!["invoke -f=f"]);
        check("invoke -ff", &expect!["invoke -ff"]);
        check("invoke --params_file x", &expect!["invoke --params-file=x"]);
        check(
            "invoke -return-output -params-file=x",
            &expect!["invoke --return-output --params-file=x"],
        );
        check("invoke -param=a:b=c", &expect!["invoke --param=a:b=c"]);
        check(
            "invoke -async -json -v",
            &expect!["invoke --async --json -v"],
        );
        check(
            "invoke --qos_class 1 -qosrespt 2",
            &expect!["invoke --qos-class=1 --qosrespt=2"],
        );
        check("-help", &expect!["--help"]);
        check("-version", &expect!["--version"]);
        check("-h", &expect!["-h"]);
    }

    #[test]
    fn values_keep_their_dashes() {
        check(
            "invoke f --resptime -1.0",
            &expect!["invoke f --resptime=-1.0"],
        );
        check("invoke f -param -a:2", &expect!["invoke f --param=-a:2"]);
        check("invoke f -p -a:2 -p -1", &expect!["invoke f -p=-a:2 -p=-1"]);
        check("invoke f -j -", &expect!["invoke f -j=-"]);
        check("invoke f -pa:2 -p=b:3", &expect!["invoke f -pa:2 -p=b:3"]);
        check("create -C 4 -C5", &expect!["create -C=4 -C5"]);
        check(
            "invoke -function --param a:1",
            &expect!["invoke --function --param=a:1"],
        );
        check(
            "invoke f -- -function -x",
            &expect!["invoke f -- -function -x"],
        );
        check("invoke f -", &expect!["invoke f -"]);
    }

    #[test]
    fn commands_come_first() {
        check("-cmd invoke -function f", &expect!["invoke --function=f"]);
        check("-function f --cmd=invoke", &expect!["invoke --function=f"]);
        check(
            "-host h -port 1 invoke f",
            &expect!["invoke --host=h --port=1 f"],
        );
        check("-vH h invoke f", &expect!["invoke -vH=h f"]);
        check("-f invoke invoke", &expect!["invoke -f=invoke"]);
        check("-o invoke f", &expect!["invoke -o f"]);
        check("-o r:Int create f.wat", &expect!["create -o=r:Int f.wat"]);
        check("--json list", &expect!["list --json"]);
        check("help invoke", &expect!["help invoke"]);
        check("invocation show i -v", &expect!["invocation show i -v"]);
        check(
            "-H h -cmd invocation -v -P 1 show show",
            &expect!["invocation show -H=h -v -P=1 show"],
        );
        check("invocation i show", &expect!["invocation i show"]);
        check("invocation -- show i", &expect!["invocation -- show i"]);
        check("invoke show", &expect!["invoke show"]);
        check("fly invoke", &expect!["fly invoke"]);
        check("-cmd", &expect!["-cmd"]);
        check("", &expect![""]);
    }

    #[test]
    fn switches_take_truth_values() {
        check(
            "invoke -async=true -return_output=false",
            &expect!["invoke --async"],
        );
        check(
            "create --update=T --edge=0 --idempotent=x",
            &expect!["create --update --idempotent=x"],
        );
        check(
            "create -idempotent f.wasm",
            &expect!["create --idempotent f.wasm"],
        );
        check(
            "create -idempotent=outbound f.wasm",
            &expect!["create --idempotent=outbound f.wasm"],
        );
        check(
            "create --idempotent=1 --edge=F f.wasm",
            &expect!["create --idempotent f.wasm"],
        );
        check(
            "--idempotent create f.wasm --idempotent=false",
            &expect!["create --idempotent f.wasm"],
        );
    }

    #[test]
    fn unknown_options_pass_unchanged() {
        check("invoke --funktion f", &expect!["invoke --funktion f"]);
        check("invoke -xyz f", &expect!["invoke -xyz f"]);
    }

    #[test]
    fn long_options_take_a_value_in_every_command_or_in_none() {
        let mut definition = Cli::command();
        definition.build();
        let grammar = Grammar::of(Cli::command());
        let commands = || definition.get_subcommands();
        let nested = commands().flat_map(clap::Command::get_subcommands);
        for option in commands()
            .chain(nested)
            .flat_map(clap::Command::get_arguments)
        {
            let Some(name) = option.get_long() else {
                continue;
            };
            assert_eq!(grammar.longs[name].1, takes_value(option), "--{name}");
        }
    }

    #[test]
    #[cfg(unix)]
    fn paths_that_are_not_unicode_pass() {
        use std::os::unix::ffi::OsStringExt as _;
        let odd = OsString::from_vec(vec![b'a', 0xff]);
        let out = normalise(
            vec!["create".into(), "-src".into(), odd.clone()],
            &Grammar::of(Cli::command()),
        );
        let mut joined = OsString::from("--src=");
        joined.push(odd);
        assert_eq!(out, [OsString::from("create"), joined]);
    }
}
