//! The list of commands, made from argh's structs: `snug --help` prints it, and a test compares the README with it.

use argh::{ArgsInfo, CommandInfoWithArgs, FlagInfo, FlagInfoKind, Optionality, PositionalInfo};

use super::Arguments;

/// One verb that can be typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// The words of the verb, such as `user add`.
    pub verb: String,
    /// How it is written, with its arguments.
    pub usage: String,
    /// What it does, in a few words.
    pub does: String,
}

/// Every verb, in the order of the help.
pub fn commands() -> Vec<Command> {
    let mut all = Vec::new();
    for group in Arguments::get_args_info().commands {
        collect(group.name, &group.command, &mut all);
    }
    all
}

/// Every verb with its usage and what it does, as the help and the README show it.
pub fn command_list() -> String {
    commands()
        .iter()
        .map(|command| format!("{}\n    {}\n", command.usage, command.does))
        .collect()
}

/// `snug --help`.
pub(super) fn overview() -> String {
    format!(
        "{} {}\n\n{}\n\
         `snug COMMAND --help` shows a command's options and examples; `snug check --print-defaults` shows every key of snug.toml.\n\
         Exit codes: 0 done, 1 failed, 2 the command line is wrong, 3 snug is not running.\n",
        "snug, an XMPP server in one small binary, version",
        env!("CARGO_PKG_VERSION"),
        command_list(),
    )
}

/// `--name=value` as two words, `--data` and `--config` from before the verb to behind it, and `-` to behind `--`: argh takes none of them.
pub(super) fn arrange(words: Vec<String>) -> Vec<String> {
    let mut split = Vec::new();
    let mut words = words.into_iter();
    for word in words.by_ref() {
        match word.split_once('=') {
            Some((name, value)) if name.starts_with("--") => {
                split.extend([name.to_owned(), value.to_owned()])
            }
            _ if word == "--" => {
                split.push(word);
                break;
            }
            _ => split.push(word),
        }
    }
    split.extend(words);
    // A lone `-`, stdin or stdout, is an option to argh unless it stands behind `--`.
    if !split.iter().any(|word| word == "--") && split.iter().any(|word| word == "-") {
        split.retain(|word| word != "-");
        split.extend(["--".to_owned(), "-".to_owned()]);
    }
    let mut early = Vec::new();
    while split.len() > 2 && (split[0] == "--data" || split[0] == "--config") {
        early.extend(split.drain(..2));
    }
    // Behind the verb's own words, before anything that could follow `--`.
    let verb = split
        .iter()
        .take_while(|word| !word.starts_with('-'))
        .count();
    let verb = (1..=verb)
        .rev()
        .find(|length| is_verb(&split[..*length]))
        .unwrap_or(verb);
    split.splice(verb..verb, early);
    split
}

/// The help of the longest verb that these words begin with.
pub(super) fn help_for(words: &[&str]) -> String {
    let words: Vec<String> = words.iter().map(|word| word.to_string()).collect();
    match (1..=words.len())
        .rev()
        .find(|length| is_verb(&words[..*length]))
    {
        Some(length) => format!("snug {} --help", words[..length].join(" ")),
        None => "snug --help".to_owned(),
    }
}

fn is_verb(words: &[String]) -> bool {
    let words = words.join(" ");
    commands()
        .iter()
        .any(|command| command.verb == words || command.verb.split(' ').next() == Some(&words))
}

fn collect(verb: &str, info: &CommandInfoWithArgs, all: &mut Vec<Command>) {
    if info.commands.is_empty() {
        let mut usage = format!("snug {verb}");
        for positional in info.positionals {
            usage.push_str(&positional_usage(positional));
        }
        // argh lists its own --help for every command.
        for flag in info
            .flags
            .iter()
            .filter(|flag| !flag.hidden && flag.long != "--help")
        {
            usage.push_str(&flag_usage(flag));
        }
        all.push(Command {
            verb: verb.to_owned(),
            usage,
            does: info.description.to_owned(),
        });
    }
    for inner in &info.commands {
        collect(&format!("{verb} {}", inner.name), &inner.command, all);
    }
}

fn positional_usage(positional: &PositionalInfo<'_>) -> String {
    let name = positional.name.to_uppercase();
    match positional.optionality {
        Optionality::Required => format!(" {name}"),
        _ => format!(" [{name}]"),
    }
}

fn flag_usage(flag: &FlagInfo<'_>) -> String {
    match flag.kind {
        FlagInfoKind::Switch => format!(" [{}]", flag.long),
        FlagInfoKind::Option { arg_name } => {
            format!(" [{} {}]", flag.long, arg_name.to_uppercase())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arranged(line: &str) -> String {
        arrange(line.split(' ').map(str::to_owned).collect()).join(" ")
    }

    #[test]
    fn the_place_of_the_data_directory_does_not_matter() {
        assert_eq!(arranged("--data D user add anna"), "user add --data D anna");
        assert_eq!(
            arranged("--config F --data=D run --trace"),
            "run --config F --data D --trace"
        );
        assert_eq!(arranged("user add anna --data=D"), "user add anna --data D");
        assert_eq!(arranged("--data D status"), "status --data D");
        assert_eq!(arranged("user add -- --a=b"), "user add -- --a=b");
        assert_eq!(arranged("--data"), "--data");
        assert_eq!(arranged("export - --data D"), "export --data D -- -");
        assert_eq!(arranged("--data D export -"), "export --data D -- -");
    }

    #[test]
    fn help_is_named_by_the_longest_verb() {
        assert_eq!(help_for(&["user", "add"]), "snug user add --help");
        assert_eq!(help_for(&["user", "ad", "anna"]), "snug user --help");
        assert_eq!(help_for(&["usr"]), "snug --help");
    }
}
