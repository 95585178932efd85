//! Prime numbers up to `n` by the sieve of Eratosthenes: a function that is all computation.

use std::io::{read_to_string, stdin};
use std::process::ExitCode;

use serde::{Deserialize, Serialize};

/// The sieve takes a byte a number, so this is also about how many bytes the largest run needs.
const N_MAX: usize = 50_000_000;
/// The answer lists this many primes at most; `count` tells about all of them.
const LISTED_MAX: usize = 100;

#[derive(Deserialize)]
struct Params {
    n: i64,
}

#[derive(Serialize)]
struct Answer {
    n: usize,
    count: usize,
    largest: Option<usize>,
    primes: Vec<usize>,
}

fn main() -> ExitCode {
    match answer() {
        Ok(answer) => println!("{answer}"),
        Err(message) => {
            eprintln!("sieve: {message}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

fn answer() -> Result<String, String> {
    let input =
        read_to_string(stdin()).map_err(|error| format!("failed to read the params: {error}"))?;
    let Params { n } = serde_json::from_str(&input).map_err(|error| format!("params: {error}"))?;
    let n = usize::try_from(n)
        .ok()
        .filter(|n| *n <= N_MAX)
        .ok_or_else(|| format!("n is {n}, but must be between 0 and {N_MAX}"))?;
    serde_json::to_string(&primes_up_to(n)).map_err(|error| error.to_string())
}

fn primes_up_to(n: usize) -> Answer {
    let composite = sieve(n);
    let primes = || (2..=n).filter(|&number| !composite[number]);
    Answer {
        n,
        count: primes().count(),
        largest: primes().next_back(),
        primes: primes().take(LISTED_MAX).collect(),
    }
}

/// For each number from 0 to `n`, whether a smaller prime divides it.
fn sieve(n: usize) -> Vec<bool> {
    let mut composite = vec![false; n + 1];
    for number in (2..).take_while(|number| number * number <= n) {
        if !composite[number] {
            for multiple in (number * number..=n).step_by(number) {
                composite[multiple] = true;
            }
        }
    }
    composite
}
