//! One keep-alive HTTP/1.1 connection to a container, driven by the task that uses it: no task of its own, so that nothing is
//! woken but the caller, and dropping the caller's future closes the connection.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::FutureExt as _;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::coop::{has_budget_remaining, unconstrained};

/// Largest head of an answer: agents send a hundred bytes, custom images what they like.
const HEAD_BYTES_MAX: usize = 16 * 1024;

type Driver = Pin<Box<dyn Future<Output = hyper::Result<()>> + Send>>;

/// See the module.
pub(crate) struct Exchange {
    sender: http1::SendRequest<Full<Bytes>>,
    driver: Driver,
    ended: bool,
}

/// The reason why an exchange gave no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ExchangeError {
    /// The connection was closed before anything of the request was written.
    #[error("the connection was closed before the request")]
    Closed,
    /// The other side closed the connection, or broke the protocol, before its answer was whole.
    #[error("the connection ended before the answer")]
    Broken(#[source] Option<hyper::Error>),
    #[error("the answer has more than {0} bytes")]
    TooLarge(usize),
}

impl Exchange {
    pub(crate) async fn new<S>(stream: S) -> Result<Self, ExchangeError>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let made = http1::Builder::new()
            .max_buf_size(HEAD_BYTES_MAX)
            .handshake(TokioIo::new(stream))
            .await;
        let (sender, connection) = made.map_err(|error| ExchangeError::Broken(Some(error)))?;
        Ok(Self {
            sender,
            driver: Box::pin(connection),
            ended: false,
        })
    }

    /// Sends a request and hands the pieces of the answer's body to `piece`, which may refuse; the answer's head.
    /// After an error the connection is of no use.
    pub(crate) async fn send(
        &mut self,
        request: Request<Full<Bytes>>,
        mut piece: impl FnMut(Bytes) -> Result<(), ExchangeError>,
    ) -> Result<http::response::Parts, ExchangeError> {
        if !self.is_open() {
            return Err(ExchangeError::Closed);
        }
        let answer = std::pin::pin!(self.sender.send_request(request));
        let response = Driven {
            driver: &mut self.driver,
            ended: &mut self.ended,
            work: answer,
        }
        .await;
        let response: Response<Incoming> = response
            .ok_or(ExchangeError::Broken(None))?
            .map_err(broken)?;
        let (parts, mut body) = response.into_parts();
        loop {
            let frame = Driven {
                driver: &mut self.driver,
                ended: &mut self.ended,
                work: body.frame(),
            }
            .await;
            let Some(frame) = frame else {
                return Err(ExchangeError::Broken(None));
            };
            let Some(frame) = frame else { return Ok(parts) };
            if let Ok(data) = frame.map_err(broken)?.into_data() {
                piece(data)?;
            }
        }
    }

    /// Sends a request; the answer's head and its body, which may have so many bytes.
    pub(crate) async fn collect(
        &mut self,
        request: Request<Full<Bytes>>,
        bytes_max: usize,
    ) -> Result<(http::response::Parts, Vec<u8>), ExchangeError> {
        let mut answer = Vec::new();
        let collect = |piece: Bytes| {
            if answer.len() + piece.len() > bytes_max {
                return Err(ExchangeError::TooLarge(bytes_max));
            }
            answer.extend_from_slice(&piece);
            Ok(())
        };
        let parts = self.send(request, collect).await?;
        Ok((parts, answer))
    }

    /// Whether the other side has not closed it, as far as can be known without asking: an end that has arrived is seen.
    fn is_open(&mut self) -> bool {
        if !self.ended {
            self.ended = unconstrained(&mut self.driver).now_or_never().is_some();
        }
        !self.ended && self.sender.is_ready()
    }

    /// Waits until the connection takes a request.
    pub(crate) async fn ready(&mut self) -> bool {
        let Self {
            sender,
            driver,
            ended,
        } = self;
        if *ended {
            return false;
        }
        let ready = Driven {
            driver,
            ended,
            work: std::pin::pin!(sender.ready()),
        }
        .await;
        matches!(ready, Some(Ok(()))) && !self.ended
    }
}

fn broken(error: hyper::Error) -> ExchangeError {
    // hyper gives a request back that it never began to write.
    if error.is_canceled() {
        ExchangeError::Closed
    } else {
        ExchangeError::Broken(Some(error))
    }
}

/// Work on a connection together with the connection itself; `None` if the connection ended and the work cannot.
struct Driven<'a, W> {
    driver: &'a mut Driver,
    ended: &'a mut bool,
    work: W,
}

impl<W: Future + Unpin> Future for Driven<'_, W> {
    type Output = Option<W::Output>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        if !*this.ended && this.driver.as_mut().poll(cx).is_ready() {
            *this.ended = true;
        }
        match this.work.poll_unpin(cx) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            // A channel of a task whose budget is spent says nothing, even where the answer is in it.
            Poll::Pending if *this.ended && has_budget_remaining() => Poll::Ready(None),
            Poll::Pending => {
                // The work may have handed the connection something to write.
                if !*this.ended && this.driver.as_mut().poll(cx).is_ready() {
                    *this.ended = true;
                    return this.work.poll_unpin(cx).map(Some);
                }
                Poll::Pending
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serverledge_testing::budgeted::Budgeted;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    use super::*;

    fn request() -> Request<Full<Bytes>> {
        Request::post("/invoke")
            .header("host", "agent")
            .body(Full::new(Bytes::from_static(b"1")))
            .unwrap()
    }

    #[tokio::test]
    async fn answers_come_in_order_on_one_connection() {
        let (ours, mut theirs) = duplex(4096);
        let mut exchange = Exchange::new(ours).await.unwrap();
        for _ in 0..3 {
            let mut body = Vec::new();
            let collect = |piece: Bytes| {
                body.extend_from_slice(&piece);
                Ok(())
            };
            assert!(exchange.ready().await);
            let server = async {
                let mut bytes = vec![0; 4096];
                let _ = theirs.read(&mut bytes).await.unwrap();
                theirs
                    .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
                    .await
                    .unwrap();
            };
            let (sent, ()) = tokio::join!(exchange.send(request(), collect), server);
            assert_eq!(sent.unwrap().status, 200);
            assert_eq!(body, b"ok");
        }
    }

    /// A connection that ends with its answer has answered, however little of its budget the task has left.
    #[tokio::test]
    async fn a_spent_budget_loses_no_answer() {
        for units in 1..=16 {
            let (ours, mut theirs) = duplex(4096);
            let server = async move {
                let mut bytes = vec![0; 4096];
                let _ = theirs.read(&mut bytes).await.unwrap();
                theirs
                    .write_all(
                        b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok",
                    )
                    .await
                    .unwrap();
            };
            let mut exchange = Exchange::new(ours).await.unwrap();
            let work = exchange.collect(request(), 100);
            // The server first: it has the whole budget.
            let both = futures_util::future::join(server, Budgeted::new(units, work));
            let ((), answered) = both.await;
            let (parts, answer) = answered.expect("an answer");
            assert_eq!(
                (parts.status.as_u16(), answer.as_slice()),
                (200, &b"ok"[..])
            );
        }
    }

    #[tokio::test]
    async fn an_end_before_the_request_is_told_from_one_after_it() {
        let (ours, theirs) = duplex(4096);
        let mut exchange = Exchange::new(ours).await.unwrap();
        drop(theirs);
        assert!(matches!(
            exchange.send(request(), |_| Ok(())).await,
            Err(ExchangeError::Closed)
        ));

        let (ours, mut theirs) = duplex(4096);
        let mut exchange = Exchange::new(ours).await.unwrap();
        let server = async move {
            let mut bytes = vec![0; 4096];
            let _ = theirs.read(&mut bytes).await.unwrap();
        };
        let (sent, ()) = tokio::join!(exchange.send(request(), |_| Ok(())), server);
        assert!(matches!(sent, Err(ExchangeError::Broken(_))), "{sent:?}");
    }
}
