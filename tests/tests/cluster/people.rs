//! People and applications behind the load balancer: it knows who asks as its nodes do, and any of them answers.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::e2e::{Node, Setup, example};
use crate::support::{Cluster, EDGE, Request, Response, wait_for};

const PASSWORD: &str = "correct horse battery staple";
const NODES: [&str; 2] = ["edge1", "edge2"];
/// Asked so often, each node is asked.
const ROUNDS: usize = 6;
/// More mails than two nodes grant one address at once.
const MAILS: usize = 21;

/// Two nodes that ask everybody who they are, and a load balancer that believes this machine of whom it speaks for.
fn pair() -> Result<(Cluster, Node)> {
    let guarded = |setup: Setup| {
        setup
            .with("auth.enabled", true)
            .with("accounts.signup", "open")
    };
    let mut cluster = Cluster::on_loopback()?;
    for name in NODES {
        cluster.join(name, EDGE, 4, guarded)?;
    }
    let balancer = cluster.start_balancer(EDGE, |setup| {
        guarded(setup).with("api.trusted_proxies", "127.0.0.1")
    })?;
    wait_for("a node behind the balancer", || {
        Ok((balancer.get("/readyz")?.status == 200).then_some(()))
    })?;
    Ok((cluster, balancer))
}

fn done(node: &Node, request: &Request) -> Result<Response> {
    let response = node.ask(request)?;
    ensure!(
        (200..300).contains(&response.status),
        "{request:?}: {} {}",
        response.status,
        response.text()
    );
    Ok(response)
}

/// Signs up and logs in; gives the cookie.
fn sign_up(balancer: &Node, email: &str) -> Result<String> {
    let who = json!({"email": email, "password": PASSWORD});
    done(balancer, &Request::json("/account/sign-up", &who))?;
    let answer = done(balancer, &Request::json("/account/log-in", &who))?;
    let cookie = answer
        .header("set-cookie")
        .context("log-in sets a cookie")?;
    let cookie = cookie.split(';').next().unwrap_or_default().to_owned();
    wait_until_known(balancer, "cookie", &cookie)?;
    Ok(cookie)
}

/// Waits until a credential is known to every node: a slow one may refuse it at first.
fn wait_until_known(balancer: &Node, header: &str, credential: &str) -> Result<()> {
    wait_for("a credential that every node knows", || {
        let ask = || balancer.ask(&Request::get("/account").header(header, credential));
        let known = (0..ROUNDS)
            .map(|_| Ok(ask()?.status == 200))
            .collect::<Result<Vec<bool>>>()?;
        Ok(known.into_iter().all(|known| known).then_some(()))
    })
}

fn with_token(balancer: &Node, cookie: &str) -> Result<String> {
    let body = json!({"name": "test", "scopes": ["invoke", "deploy"]});
    let made = done(
        balancer,
        &Request::json("/account/tokens", &body).header("cookie", cookie),
    )?;
    let token = format!(
        "Bearer {}",
        made.json()?["token"]
            .as_str()
            .context("the token is shown once")?
    );
    wait_until_known(balancer, "authorization", &token)?;
    Ok(token)
}

fn deployment(name: &str) -> Result<Value> {
    Ok(crate::e2e::node::deployment(
        name,
        &example("add")?,
        &json!({}),
    ))
}

#[test]
fn who_logs_in_through_the_balancer_is_known_to_every_node() -> Result<()> {
    let (_cluster, balancer) = pair()?;
    for target in ["/functions", "/account", "/status", "/peers"] {
        balancer
            .get(target)?
            .assert_problem(401, "authentication_required");
    }
    let cookie = sign_up(&balancer, "ada@example.org")?;
    for _ in 0..ROUNDS {
        let shown = done(
            &balancer,
            &Request::get("/account").header("cookie", &cookie),
        )?;
        assert_eq!(shown.json()?["email"], "ada@example.org");
    }
    let ada = with_token(&balancer, &cookie)?;
    done(
        &balancer,
        &Request::json("/create", &deployment("mine")?).header("authorization", &ada),
    )?;
    let call = || Request::json("/invoke/mine", &json!({"Params": {"a": 2, "b": 3}}));
    wait_for("the function on the nodes", || {
        let answer = balancer.ask(&call().header("authorization", &ada))?;
        Ok((answer.status == 200).then_some(()))
    })?;
    let plain = Request::json("/fn/mine", &json!({"a": 2, "b": 3})).header("authorization", &ada);
    let sum = wait_for("the function on the node that it is passed to", || {
        let answer = balancer.ask(&plain)?;
        // The node may still be preparing what another one deployed.
        Ok((answer.code() != "function_not_prepared").then_some(answer))
    })?;
    assert_eq!(sum.json()?, json!({"sum": 5}), "{}", sum.text());
    balancer
        .ask(&call())?
        .assert_problem(401, "authentication_required");
    balancer
        .ask(&call().header("authorization", "Bearer slt_nonsense"))?
        .assert_problem(401, "credential_invalid");
    balancer
        .ask(&Request::get("/status").header("authorization", &ada))?
        .assert_problem(403, "forbidden");
    let bob = sign_up(&balancer, "bob@example.org")?;
    balancer
        .ask(&call().header("cookie", &bob))?
        .assert_problem(404, "function_unknown");
    let page = call()
        .header("cookie", &cookie)
        .header("sec-fetch-site", "cross-site");
    balancer.ask(&page)?.assert_problem(403, "cross_origin");
    done(
        &balancer,
        &Request::post("/account/log-out", "").header("cookie", &cookie),
    )?;
    wait_for("the end of the session everywhere", || {
        let answers =
            (0..ROUNDS).map(|_| balancer.ask(&Request::get("/account").header("cookie", &cookie)));
        let over = answers
            .map(|answer| Ok(answer?.status == 401))
            .collect::<Result<Vec<bool>>>()?;
        Ok(over.into_iter().all(|over| over).then_some(()))
    })?;
    balancer.stop()?;
    Ok(())
}

#[test]
fn applications_answer_by_path_and_by_host_through_the_balancer() -> Result<()> {
    let (cluster, balancer) = pair()?;
    let ada = with_token(&balancer, &sign_up(&balancer, "ada@example.org")?)?;
    let as_ada = |request: Request| done(&balancer, &request.header("authorization", &ada));
    as_ada(Request::json("/apps", &json!({"name": "shop"})))?;
    wait_for("the application on both nodes", || {
        let known = |_| {
            Ok(balancer
                .ask(&Request::get("/apps/shop").header("authorization", &ada))?
                .status
                == 200)
        };
        let known = (0..ROUNDS).map(known).collect::<Result<Vec<bool>>>()?;
        Ok(known.into_iter().all(|known| known).then_some(()))
    })?;
    let create =
        Request::json("/apps/shop/create", &deployment("add")?).header("authorization", &ada);
    wait_for("the function, once its node knows the application", || {
        Ok((balancer.ask(&create)?.status < 300).then_some(()))
    })?;
    wait_for("the endpoint, once its node knows the function", || {
        let endpoint = json!({"path": "sum", "function": "add"}).to_string();
        let bound = balancer.ask(
            &Request::new("PUT", "/apps/shop/endpoints")
                .body(endpoint)
                .header("authorization", &ada),
        )?;
        Ok((bound.status < 300).then_some(()))
    })?;
    as_ada(Request::post("/apps/shop/start", ""))?;
    wait_for("the application to run on both nodes", || {
        let up = (0..ROUNDS)
            .map(|_| Ok(balancer.get("/app/shop/up")?.status == 200))
            .collect::<Result<Vec<bool>>>()?;
        Ok(up.into_iter().all(|up| up).then_some(()))
    })?;
    let sum = |target: &str| Request::json(target, &json!({"args": {"a": 4, "b": 5}}));
    let at_home = |request: Request| request.header("host", "shop.localhost");
    for _ in 0..ROUNDS {
        assert_eq!(
            done(&balancer, &sum("/app/shop/sum"))?.json()?["result"],
            json!({"sum": 9})
        );
        assert_eq!(
            done(&balancer, &at_home(sum("/sum")))?.json()?["result"],
            json!({"sum": 9})
        );
    }
    // On its own host there is nothing of the node's or the balancer's, and its pages are its own.
    for target in ["/functions", "/status", "/account"] {
        balancer
            .ask(&at_home(Request::get(target)))?
            .assert_problem(404, "endpoint_unknown");
    }
    let page = |origin: &str| at_home(sum("/sum")).header("origin", origin);
    assert_eq!(done(&balancer, &page("http://shop.localhost"))?.status, 200);
    balancer
        .ask(&page("http://evil.example"))?
        .assert_problem(403, "cross_origin");
    balancer
        .ask(&sum("/app/shop/sum").header("host", "evil.example"))?
        .assert_problem(421, "host_unknown");
    let answer = balancer.ask(&sum("/app/nobody/sum"))?;
    answer.assert_problem(404, "application_not_running");
    assert!(
        answer
            .header("content-security-policy")
            .is_some_and(|policy| policy.contains("sandbox")),
        "{answer:?}"
    );
    // Only the balancer is believed, and only it says who its clients are.
    let forged =
        json!({"method": "GET", "target": "/up", "host": "shop.localhost", "application": "shop"})
            .to_string();
    let forged = Request::get("/up").header("serverledge-peer-passed", &forged);
    cluster
        .node(NODES[0])
        .ask(&forged)?
        .assert_problem(401, "peer_proof_false");
    assert_eq!(
        done(&balancer, &at_home(forged))?.json()?,
        json!({"status": "up"}),
        "what a client says is replaced"
    );
    balancer.stop()?;
    Ok(())
}

#[test]
fn limits_count_the_balancers_clients_and_not_the_balancer() -> Result<()> {
    let (_cluster, balancer) = pair()?;
    let ask = |number: usize, address: &str| {
        let body = json!({"email": format!("nobody{number}@example.org")});
        balancer
            .ask(&Request::json("/account/request-reset", &body).header("x-forwarded-for", address))
    };
    let asked = (0..MAILS)
        .map(|number| Ok(ask(number, "198.51.100.1")?.status))
        .collect::<Result<Vec<u16>>>()?;
    assert_eq!((asked[0], asked[MAILS - 1]), (202, 429), "{asked:?}");
    assert_eq!(
        ask(MAILS, "198.51.100.2")?.status,
        202,
        "another client of the same balancer"
    );
    balancer.stop()?;
    Ok(())
}
