//! The other end of `scripts/bench/http.sh --only outgoing`: reqwest alone, which posts one body to one URL, each request after the
//! other over a kept connection. Prints the microseconds of each, one in a line.
//!
//! ```text
//! bare_reqwest http://127.0.0.1:8080/invoke/x 1000
//! ```

use tokio::time::Instant;

#[tokio::main]
#[expect(
    clippy::print_stdout,
    reason = "the benchmark reads the times from stdout"
)]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let url = arguments.next().ok_or("the URL is missing")?;
    let requests: u32 = arguments.next().ok_or("the number is missing")?.parse()?;
    // It wants to have TLS, also where it is not used.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::new();
    for _ in 0..requests {
        let began = Instant::now();
        let response = client.post(&url).body("{}").send().await?;
        let body = response.error_for_status()?.bytes().await?;
        std::hint::black_box(&body);
        println!("{}", began.elapsed().as_micros());
    }
    Ok(())
}
