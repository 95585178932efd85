//! The baseline of `scripts/bench/http.sh`: axum alone, with a handler that takes the same request and answers a
//! constant of the same length. Prints its address; stops with its stdin.

use std::io::Read;

use axum::Router;
use axum::routing::post;
use bytes::Bytes;

#[tokio::main]
#[expect(
    clippy::print_stdout,
    reason = "the benchmark reads the address from stdout"
)]
async fn main() -> std::io::Result<()> {
    let length = std::env::args()
        .nth(1)
        .and_then(|length| length.parse().ok())
        .unwrap_or(256);
    let answer = Bytes::from(vec![b'x'; length]);
    let app = Router::new().route(
        "/invoke/{function}",
        post(move |body: Bytes| {
            let answer = answer.clone();
            async move {
                std::hint::black_box(&body);
                ([("content-type", "application/json")], answer)
            }
        }),
    );
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    println!("listening on http://{}", listener.local_addr()?);
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    std::thread::spawn(move || {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        drop(stop);
    });
    axum::serve(listener, app)
        .with_graceful_shutdown(async { stopped.await.unwrap_or(()) })
        .await
}
