//! A connection to one member of etcd: the calls of its gRPC services that the registry makes.

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::stream::{self, Stream, StreamExt};
use http::uri::PathAndQuery;
use prost::Message;
use tokio::sync::mpsc;
use tonic::client::Grpc;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use tonic::{Code, Request, Streaming};
use tonic_prost::ProstCodec;

use super::messages::{
    AuthenticateRequest, AuthenticateResponse, CompactionRequest, Empty, LeaseGrantRequest,
    LeaseRequest, LeaseResponse, RangeRequest, RangeResponse, StatusResponse, TxnRequest,
    TxnResponse, WatchCreateRequest, WatchRequest, WatchResponse,
};
use super::options::{EtcdTls, EtcdUser};
use super::translate::unsigned;

/// The header that names the user, and the one that asks for a member with a leader.
const TOKEN: &str = "token";
const REQUIRE_LEADER: &str = "hasleader";
/// Questions on a keep-alive stream that are not yet sent; there is one at a time.
const KEEP_ALIVE_QUESTIONS_MAX: usize = 1;

/// The reason why a call has no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum CallError {
    /// No connection came about.
    #[error("no connection to etcd")]
    Connect(#[source] tonic::transport::Error),
    /// A part that the connection needs is not usable: an address, a certificate, a token.
    #[error("the {what} cannot be used")]
    Unusable {
        what: &'static str,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// etcd refused, or the connection broke.
    #[error(transparent)]
    Status(Box<tonic::Status>),
    /// A stream said something that does not belong there, or ended.
    #[error("{0}")]
    Stream(String),
}

/// The options of a connection.
pub(super) struct ConnectionOptions<'a> {
    /// `http://host:port` or `https://host:port`.
    pub(super) endpoint: &'a str,
    pub(super) connect_timeout: Duration,
    /// After how long a silent connection in use is asked for a sign of life, and how long that may take.
    pub(super) ping: (Duration, Duration),
    pub(super) user: Option<&'a EtcdUser>,
    pub(super) tls: Option<&'a EtcdTls>,
    /// Ends streams on a member that lost its leader.
    pub(super) require_leader: bool,
    /// Largest answer.
    pub(super) reply_bytes_max: usize,
}

/// A connection. Cloning is cheap; it ends with the last clone.
#[derive(Clone)]
pub(super) struct Connection {
    channel: Channel,
    require_leader: bool,
    reply_bytes_max: usize,
    login: Option<Arc<Login>>,
}

/// A user, and the token that etcd gave for it.
struct Login {
    user: EtcdUser,
    token: Mutex<MetadataValue<Ascii>>,
    /// Held while logging in again: a burst of calls does it once.
    renewing: tokio::sync::Mutex<()>,
}

/// A stream on which leases are kept alive.
pub(super) struct KeepAliveStream {
    questions: mpsc::Sender<LeaseRequest>,
    answers: Streaming<LeaseResponse>,
}

/// A stream of a watch's events.
pub(super) type WatchStream = Streaming<WatchResponse>;

// === impl Connection ===

impl Connection {
    /// Connects, and logs in if there is a user.
    pub(super) async fn open(options: ConnectionOptions<'_>) -> Result<Self, CallError> {
        let channel = endpoint(&options)?
            .connect()
            .await
            .map_err(CallError::Connect)?;
        let require_leader = options.require_leader;
        let reply_bytes_max = options.reply_bytes_max;
        let mut connection = Self {
            channel,
            require_leader,
            reply_bytes_max,
            login: None,
        };
        if let Some(user) = options.user {
            let token = Mutex::new(connection.authenticate(user).await?);
            let user = user.clone();
            let renewing = tokio::sync::Mutex::default();
            connection.login = Some(Arc::new(Login {
                user,
                token,
                renewing,
            }));
        }
        Ok(connection)
    }

    /// Reads keys.
    pub(super) async fn range(&self, request: RangeRequest) -> Result<RangeResponse, CallError> {
        self.unary("/etcdserverpb.KV/Range", request).await
    }

    /// Runs a transaction.
    pub(super) async fn txn(&self, request: TxnRequest) -> Result<TxnResponse, CallError> {
        self.unary("/etcdserverpb.KV/Txn", request).await
    }

    /// Forgets what is older than a revision.
    pub(super) async fn compact(&self, revision: i64) -> Result<Empty, CallError> {
        self.unary("/etcdserverpb.KV/Compact", CompactionRequest { revision })
            .await
    }

    /// Grants a lease.
    pub(super) async fn lease_grant(&self, ttl: i64) -> Result<LeaseResponse, CallError> {
        self.unary("/etcdserverpb.Lease/LeaseGrant", LeaseGrantRequest { ttl })
            .await
    }

    /// Ends a lease.
    pub(super) async fn lease_revoke(&self, id: i64) -> Result<Empty, CallError> {
        self.unary("/etcdserverpb.Lease/LeaseRevoke", LeaseRequest { id })
            .await
    }

    /// Asks for a lease's time.
    pub(super) async fn lease_time_to_live(&self, id: i64) -> Result<LeaseResponse, CallError> {
        self.unary("/etcdserverpb.Lease/LeaseTimeToLive", LeaseRequest { id })
            .await
    }

    /// Asks the member for its state.
    pub(super) async fn status(&self) -> Result<StatusResponse, CallError> {
        self.unary("/etcdserverpb.Maintenance/Status", Empty {})
            .await
    }

    /// Opens a stream for keep-alives with a first question; etcd answers nothing before one. Returns the lease's time in
    /// seconds as well; 0: there is no such lease.
    pub(super) async fn keep_alive(&self, id: i64) -> Result<(KeepAliveStream, u64), CallError> {
        let (questions, receiver) = mpsc::channel(KEEP_ALIVE_QUESTIONS_MAX);
        let asked = stream::unfold(receiver, |mut receiver| async move {
            let question = receiver.recv().await?;
            Some((question, receiver))
        });
        let first = stream::iter([LeaseRequest { id }]).chain(asked);
        let answers = self
            .streaming("/etcdserverpb.Lease/LeaseKeepAlive", first)
            .await?;
        let mut opened = KeepAliveStream { questions, answers };
        let seconds = opened.answer(id).await?;
        Ok((opened, seconds))
    }

    /// Opens a stream for one watch; etcd's first answer confirms it.
    pub(super) async fn watch(&self, create: WatchCreateRequest) -> Result<WatchStream, CallError> {
        let request = WatchRequest {
            create: Some(create),
        };
        // The stream of requests stays open as long as that of answers.
        let requests = stream::iter([request]).chain(stream::pending());
        self.streaming("/etcdserverpb.Watch/Watch", requests).await
    }

    async fn authenticate(&self, user: &EtcdUser) -> Result<MetadataValue<Ascii>, CallError> {
        let request = AuthenticateRequest {
            name: user.name.clone(),
            password: user.password.clone(),
        };
        let path = PathAndQuery::from_static("/etcdserverpb.Auth/Authenticate");
        let mut grpc = self.ready().await?;
        let answer: AuthenticateResponse = grpc
            .unary(Request::new(request), path, ProstCodec::default())
            .await?
            .into_inner();
        answer.token.parse().map_err(|error| CallError::Unusable {
            what: "token of etcd",
            source: Box::new(error),
        })
    }

    /// Calls with the token in use; if etcd does not know it any more, once again with a new one.
    async fn unary<M, R>(&self, path: &'static str, message: M) -> Result<R, CallError>
    where
        M: Message + Clone + 'static,
        R: Message + Default + 'static,
    {
        let Some(login) = self.login.as_deref() else {
            return self.unary_as(None, path, message).await;
        };
        let token = login.token();
        match self
            .unary_as(Some(token.clone()), path, message.clone())
            .await
        {
            Err(CallError::Status(status)) if status.code() == Code::Unauthenticated => {
                let fresh = login.renew(&token, self.authenticate(&login.user)).await?;
                self.unary_as(Some(fresh), path, message).await
            }
            other => other,
        }
    }

    async fn unary_as<M, R>(
        &self,
        token: Option<MetadataValue<Ascii>>,
        path: &'static str,
        message: M,
    ) -> Result<R, CallError>
    where
        M: Message + 'static,
        R: Message + Default + 'static,
    {
        let mut grpc = self.ready().await?;
        let request = self.request(message, token);
        Ok(grpc
            .unary(
                request,
                PathAndQuery::from_static(path),
                ProstCodec::default(),
            )
            .await?
            .into_inner())
    }

    async fn streaming<M, R>(
        &self,
        path: &'static str,
        messages: impl Stream<Item = M> + Send + 'static,
    ) -> Result<Streaming<R>, CallError>
    where
        M: Message + 'static,
        R: Message + Default + 'static,
    {
        // A stream whose token is refused is opened again by its owner, over a new connection.
        let mut grpc = self.ready().await?;
        let request = self.request(messages, self.login.as_deref().map(Login::token));
        Ok(grpc
            .streaming(
                request,
                PathAndQuery::from_static(path),
                ProstCodec::default(),
            )
            .await?
            .into_inner())
    }

    async fn ready(&self) -> Result<Grpc<Channel>, CallError> {
        let mut grpc =
            Grpc::new(self.channel.clone()).max_decoding_message_size(self.reply_bytes_max);
        // The channel's own words are kept as the source of a status, as when a call breaks.
        grpc.ready()
            .await
            .map_err(|error| tonic::Status::from_error(Box::new(error)))?;
        Ok(grpc)
    }

    fn request<M>(&self, message: M, token: Option<MetadataValue<Ascii>>) -> Request<M> {
        let mut request = Request::new(message);
        if let Some(token) = token {
            request.metadata_mut().insert(TOKEN, token);
        }
        if self.require_leader {
            request
                .metadata_mut()
                .insert(REQUIRE_LEADER, MetadataValue::from_static("true"));
        }
        request
    }
}

fn endpoint(options: &ConnectionOptions<'_>) -> Result<Endpoint, CallError> {
    let unusable = |what: &'static str| {
        move |error: tonic::transport::Error| CallError::Unusable {
            what,
            source: Box::new(error),
        }
    };
    let (interval, timeout) = options.ping;
    let endpoint = Endpoint::from_shared(options.endpoint.to_owned())
        .map_err(unusable("address of etcd"))?
        .connect_timeout(options.connect_timeout)
        .http2_keep_alive_interval(interval)
        .keep_alive_timeout(timeout)
        // etcd takes pings without an open request or stream for an attack.
        .keep_alive_while_idle(false);
    match options.tls {
        None => Ok(endpoint),
        Some(tls) => endpoint
            .tls_config(tls_config(tls))
            .map_err(unusable("TLS to etcd")),
    }
}

fn tls_config(tls: &EtcdTls) -> ClientTlsConfig {
    let mut config = match &tls.authorities_pem {
        Some(authorities) => {
            ClientTlsConfig::new().ca_certificate(Certificate::from_pem(authorities))
        }
        None => ClientTlsConfig::new().with_native_roots(),
    };
    if let Some((certificate, key)) = &tls.identity_pem {
        config = config.identity(Identity::from_pem(certificate, key));
    }
    if let Some(name) = &tls.server_name {
        config = config.domain_name(name);
    }
    config
}

// === impl Login ===

impl Login {
    fn token(&self) -> MetadataValue<Ascii> {
        self.token
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// A token other than the refused one: another call's, else one of a new login.
    async fn renew(
        &self,
        refused: &MetadataValue<Ascii>,
        log_in: impl Future<Output = Result<MetadataValue<Ascii>, CallError>>,
    ) -> Result<MetadataValue<Ascii>, CallError> {
        let _alone = self.renewing.lock().await;
        let current = self.token();
        if current != *refused {
            return Ok(current);
        }
        let fresh = log_in.await?;
        self.token
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone_from(&fresh);
        Ok(fresh)
    }
}

// === impl KeepAliveStream ===

impl KeepAliveStream {
    /// Asks once, and waits for the answer: the lease's time in seconds; 0: there is none.
    pub(super) async fn renew(&mut self, id: i64) -> Result<u64, CallError> {
        self.questions
            .send(LeaseRequest { id })
            .await
            .map_err(|_| CallError::ended())?;
        self.answer(id).await
    }

    async fn answer(&mut self, id: i64) -> Result<u64, CallError> {
        let answer = self.answers.message().await?.ok_or_else(CallError::ended)?;
        if answer.id != id {
            return Err(CallError::Stream("an answer for another lease".to_owned()));
        }
        Ok(unsigned(answer.ttl))
    }
}

// === impl CallError ===

impl CallError {
    /// A stream that ended before its answer.
    pub(super) fn ended() -> Self {
        Self::Stream("the stream ended".to_owned())
    }
}

impl From<tonic::Status> for CallError {
    fn from(status: tonic::Status) -> Self {
        Self::Status(Box::new(status))
    }
}
