//! Calls over gRPC, one at a time.

use super::NAME;
use super::messages::{Answer, Status};
use crate::error::excerpt;
use crate::place::HttpAddress;
use crate::{Access, Error, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use prost::Message;
use std::time::Duration;
use tokio::runtime::Runtime;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};
use tonic::{Code, Request};
use tonic_prost::ProstCodec;
use ureq::http::uri::PathAndQuery;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const ANSWER_TIMEOUT: Duration = Duration::from_secs(300);
/// Larger answers are not read.
const MAX_ANSWER_BYTES: usize = 64 << 20;
const SERVICE: &str = "/milvus.proto.milvus.MilvusService/";

/// A server. The library below is asynchronous; nothing else here is: each call runs to its end.
pub(super) struct Client {
    runtime: Runtime,
    channel: Channel,
    base: String,
    authorization: Option<MetadataValue<Ascii>>,
}

impl Client {
    /// Connects with the first call. The key is a token, or `user:password`.
    pub fn new(address: &HttpAddress, access: &Access) -> Result<Self> {
        let invalid = |what: String| Error::Invalid(format!("{NAME}: {what}"));
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|e| Error::unavailable(NAME, e.to_string()))?;
        let endpoint = Endpoint::from_shared(address.base.clone())
            .map_err(|e| invalid(format!("{}: {e}", address.base)))?
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(ANSWER_TIMEOUT)
            .user_agent(concat!("dream/", env!("CARGO_PKG_VERSION")))
            .map_err(|e| invalid(e.to_string()))?;
        let endpoint = if address.base.starts_with("https") {
            let tls = match &access.authorities {
                Some(pem) => {
                    ClientTlsConfig::new().ca_certificate(Certificate::from_pem(pem.as_slice()))
                }
                None => ClientTlsConfig::new().with_webpki_roots(),
            };
            endpoint
                .tls_config(tls)
                .map_err(|e| invalid(e.to_string()))?
        } else {
            endpoint
        };
        let login = match (&access.key, &address.password) {
            (Some(key), _) => Some(key.reveal().to_owned()),
            (None, Some(password)) => Some(format!("{}:{}", address.user, password.reveal())),
            (None, None) => None,
        };
        let authorization = login.map(|login| {
            let value = STANDARD.encode(login);
            let mut value =
                MetadataValue::try_from(value).expect("Base64 is ASCII. This is a bug.");
            value.set_sensitive(true);
            value
        });
        // Making a channel starts a task, so it must know the runtime.
        let channel = {
            let _guard = runtime.enter();
            endpoint.connect_lazy()
        };
        Ok(Self {
            runtime,
            channel,
            base: address.base.clone(),
            authorization,
        })
    }

    /// Calls a method by its name; the answer's status is a success.
    pub fn call<Q, A>(&self, method: &'static str, message: Q) -> Result<A>
    where
        Q: Message + 'static,
        A: Message + Default + Answer + 'static,
    {
        self.try_call(method, message, |_| false)?
            .ok_or_else(|| unreachable!("no status was called absent. This is a bug."))
    }

    /// The same; nothing where the status says what `is_absent` knows as "there is none".
    pub fn try_call<Q, A>(
        &self,
        method: &'static str,
        message: Q,
        is_absent: impl Fn(&Status) -> bool,
    ) -> Result<Option<A>>
    where
        Q: Message + 'static,
        A: Message + Default + Answer + 'static,
    {
        let answer: A = self.ask(method, message)?;
        match answer.status() {
            Some(status) if is_absent(status) => Ok(None),
            Some(status) if status.code != 0 || status.error_code != 0 => {
                Err(self.failed(method, status))
            }
            _ => Ok(Some(answer)),
        }
    }

    fn ask<Q, A>(&self, method: &'static str, message: Q) -> Result<A>
    where
        Q: Message + 'static,
        A: Message + Default + 'static,
    {
        let path = PathAndQuery::try_from(format!("{SERVICE}{method}"))
            .expect("names of methods are paths. This is a bug.");
        let mut request = Request::new(message);
        if let Some(value) = &self.authorization {
            request
                .metadata_mut()
                .insert("authorization", value.clone());
        }
        let answer = self.runtime.block_on(async {
            let mut grpc = tonic::client::Grpc::new(self.channel.clone())
                .max_decoding_message_size(MAX_ANSWER_BYTES);
            let ready = grpc.ready().await;
            ready.map_err(|e| tonic::Status::unavailable(chain(&e)))?;
            grpc.unary(request, path, ProstCodec::<Q, A>::default())
                .await
        });
        let answer = answer.map_err(|status| {
            let said = excerpt(status.message());
            let what = format!("{} at {}: {said} ({:?})", method, self.base, status.code());
            match status.code() {
                Code::Unavailable
                | Code::ResourceExhausted
                | Code::DeadlineExceeded
                | Code::Aborted
                | Code::Internal
                | Code::Unknown
                | Code::Cancelled => Error::unavailable(NAME, what),
                Code::Unauthenticated | Code::PermissionDenied => {
                    Error::Invalid(format!("{NAME}: {what}"))
                }
                _ => Error::refused(NAME, what),
            }
        })?;
        Ok(answer.into_inner())
    }

    fn failed(&self, method: &str, status: &Status) -> Error {
        /// `RateLimit` of the older codes.
        const RATE_LIMIT: i32 = 49;
        let (code, reason) = (status.code, excerpt(&status.reason));
        let what = format!("{method} at {}: {reason} (code {code})", self.base);
        if status.retriable || status.error_code == RATE_LIMIT {
            Error::unavailable(NAME, what)
        } else {
            Error::refused(NAME, what)
        }
    }
}

/// An error with its causes: the library's own message does not have them.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}
