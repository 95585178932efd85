//! Whether an address has an account is told by no text, status or header. What clocks tell is measured:
//! `scripts/bench/enumeration.py`.

use anyhow::Result;
use serde_json::{Value, json};

use crate::e2e::Response;
use crate::support::lab::{Kept, Lab, PASSWORD, Person};

const KNOWN: &str = "ada@example.org";
const UNKNOWN: &str = "eve@example.org";

/// A request's body for an address.
type Body = fn(&str) -> Value;

/// All that a client sees, but for what differs from request to request.
fn seen(answer: &Response) -> String {
    let mut headers: Vec<String> = answer
        .headers
        .iter()
        .filter(|(name, _)| !["x-request-id", "date"].contains(&name.as_str()))
        .map(|(name, value)| format!("{name}: {value}"))
        .collect();
    headers.sort();
    let body = match answer.json() {
        Ok(mut problem) => {
            problem
                .as_object_mut()
                .map(|members| members.remove("request_id"));
            problem.to_string()
        }
        Err(_) => answer.text(),
    };
    format!("{} {headers:?} {body}", answer.status)
}

#[test]
fn answers_do_not_tell_who_has_an_account() -> Result<()> {
    let lab = Lab::start(Kept::Embedded)?;
    let ada = lab.sign_up(KNOWN)?;
    let nobody = Person::default();
    let asked: [(&str, Body, u16); 6] = [
        (
            "/account/log-in",
            |email| json!({"email": email, "password": "not the password"}),
            403,
        ),
        (
            "/account/log-in",
            |email| json!({"email": email, "password": "x".repeat(200)}),
            403,
        ),
        (
            "/account/log-in",
            |email| json!({"email": email, "password": ""}),
            403,
        ),
        (
            "/account/sign-up",
            |email| json!({"email": email, "password": PASSWORD}),
            202,
        ),
        (
            "/account/sign-up",
            |email| json!({"email": email, "password": "short"}),
            422,
        ),
        (
            "/account/request-reset",
            |email| json!({ "email": email }),
            202,
        ),
    ];
    for (path, body, status) in asked {
        let known = lab.post(&nobody, path, &body(KNOWN))?;
        let unknown = lab.post(&nobody, path, &body(UNKNOWN))?;
        assert_eq!(known.status, status, "{path}: {}", known.text());
        assert_eq!(seen(&known), seen(&unknown), "{path}");
    }
    // A change to a taken address is confirmed by nobody, and says so no more than one to a free one.
    // Two of the sign-ups and one reset have sent a mail.
    for _ in 0..3 {
        lab.mail.next()?;
    }
    lab.sign_up("bob@example.org")?;
    let change = |email: &str| json!({"email": email, "password": PASSWORD});
    let taken = lab.post(&ada, "/account/email", &change("bob@example.org"))?;
    let free = lab.post(&ada, "/account/email", &change("new@example.org"))?;
    assert_eq!(taken.status, 202, "{}", taken.text());
    assert_eq!(seen(&taken), seen(&free));
    lab.stop()
}

/// Tries are counted for addresses without an account as well: that one is locked tells nothing.
#[test]
fn limits_do_not_tell_either() -> Result<()> {
    let lab = Lab::start(Kept::Embedded)?;
    lab.sign_up(KNOWN)?;
    let nobody = Person::default();
    let tries = |email: &str| -> Result<usize> {
        for count in 0..10 {
            let answer = lab.post(
                &nobody,
                "/account/request-reset",
                &json!({ "email": email }),
            )?;
            if answer.status != 202 {
                answer.assert_problem(429, "too_many_tries");
                return Ok(count);
            }
        }
        Ok(10)
    };
    // The mail that confirmed the address was one of four.
    assert_eq!((tries(KNOWN)?, tries(UNKNOWN)?), (3, 4));
    lab.stop()
}
