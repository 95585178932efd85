//! `serverledge-simulator`: the real schedulers and policies on many nodes under virtual time, policies compared on the
//! same calls. How to read what it prints is in `docs/simulation.md`.

mod burst;
mod plot;
mod random;
mod report;
mod scenario;
mod simulation;
mod timing;

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use clap::builder::PossibleValuesParser;
use serverledge_scheduler::POLICY_NAMES;

use crate::scenario::{Scenario, World};

/// Compares offloading policies on simulated nodes: the same calls for each.
#[derive(Debug, Parser)]
#[command(name = "serverledge-simulator", version)]
struct Arguments {
    /// Number of nodes; one in 25 is a cloud node.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(2..=20_000))]
    nodes: u32,
    /// Time for which calls arrive, in seconds of virtual time; also the length of a day.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=3_600))]
    seconds: u32,
    /// Seed of all random choices.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The share of the edge's processors that calls need on average, bursts not counted.
    #[arg(long, default_value_t = 0.5, value_parser = load)]
    load: f64,
    /// The policies, separated by commas.
    #[arg(long, value_delimiter = ',', value_parser = PossibleValuesParser::new(POLICY_NAMES),
        default_values = &POLICY_NAMES[1..])]
    policies: Vec<String>,
    /// Shows instead how calls fare that find the sandboxes of their function busy.
    #[arg(long)]
    burst: bool,
    /// Draws the results into this file.
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
}

fn load(text: &str) -> Result<f64, String> {
    let load: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    if (0.01..=2.0).contains(&load) {
        Ok(load)
    } else {
        Err("not between 0.01 and 2".to_owned())
    }
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            // Nobody is left to tell when the terminal is gone.
            let _ = writeln!(std::io::stderr(), "error: {message}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), String> {
    if arguments.burst {
        return print(&burst::table());
    }
    let Arguments {
        nodes,
        seconds,
        seed,
        load,
        ..
    } = *arguments;
    let world = World::new(Scenario {
        nodes,
        seconds,
        seed,
        load,
    });
    let mut reports = Vec::new();
    for policy in &arguments.policies {
        reports.push(simulation::run(&world, policy).map_err(|error| error.to_string())?);
    }
    let text = report::table(&world, &reports);
    print(&text)?;
    if let Some(file) = &arguments.svg {
        let reports: Vec<_> = reports.into_iter().map(|(report, _)| report).collect();
        let picture = plot::svg(&reports);
        std::fs::write(file, picture)
            .map_err(|error| format!("failed to write {}: {error}", file.display()))?;
    }
    Ok(())
}

fn print(text: &str) -> Result<(), String> {
    std::io::stdout()
        .write_all(text.as_bytes())
        .map_err(|error| format!("failed to print: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_checked() {
        let parse =
            |arguments: &[&str]| Arguments::try_parse_from([&["simulator"], arguments].concat());
        assert_eq!(
            parse(&[]).expect("the defaults").policies,
            POLICY_NAMES[1..]
        );
        assert_eq!(
            parse(&["--policies", "qosaware,edgeonly"])
                .expect("two")
                .policies,
            ["qosaware", "edgeonly"]
        );
        for bad in [
            ["--nodes", "1"],
            ["--load", "NaN"],
            ["--load", "3"],
            ["--policies", "best"],
            ["--seconds", "0"],
        ] {
            assert!(parse(&bad).is_err(), "{bad:?}");
        }
    }
}
