//! JSON over HTTP, for the engines that speak it.

use crate::error::excerpt;
use crate::place::HttpAddress;
use crate::{Access, Error, Result, Secret};
use serde::Serialize;
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;
use ureq::Agent;
use ureq::http::{Method, Request, Response};
use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};

/// To find the server and to be let in.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// For the server to store a batch or to build what it must before it answers.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(300);
/// Between two pieces of an answer.
const READ_TIMEOUT: Duration = Duration::from_secs(60);
/// Larger answers are not read: the largest that we ask for lists a batch or the best documents of a query.
const MAX_ANSWER_BYTES: u64 = 64 << 20;

/// A server, with what lets us in.
pub(crate) struct Http {
    agent: Agent,
    engine: &'static str,
    base: String,
    /// Headers of every request.
    headers: Vec<(&'static str, Secret)>,
}

/// What a server answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub status: u16,
    pub json: Value,
}

impl Http {
    /// Nothing is sent yet. The address must be without credentials: they are in `headers`.
    pub fn new(
        engine: &'static str,
        address: &HttpAddress,
        access: &Access,
        headers: Vec<(&'static str, Secret)>,
    ) -> Self {
        let mut config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0) // credentials go nowhere else
            .timeout_resolve(Some(CONNECT_TIMEOUT))
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .timeout_send_body(Some(ANSWER_TIMEOUT))
            .timeout_recv_response(Some(ANSWER_TIMEOUT))
            .timeout_per_read(Some(READ_TIMEOUT))
            .accept_encoding("identity")
            .user_agent(concat!("dream/", env!("CARGO_PKG_VERSION")));
        if address.is_local {
            config = config.proxy(None);
        }
        if let Some(pem) = &access.authorities {
            let certificates = parse_pem(pem).filter_map(|item| match item {
                Ok(PemItem::Certificate(certificate)) => Some(certificate),
                _ => None,
            });
            let roots = RootCerts::Specific(Arc::new(certificates.collect()));
            config = config.tls_config(TlsConfig::builder().root_certs(roots).build());
        }
        Self {
            agent: config.build().into(),
            engine,
            base: address.base.clone(),
            headers,
        }
    }

    /// Sends a request with a JSON body.
    pub fn json(&self, method: Method, path: &str, body: &impl Serialize) -> Result<Answer> {
        let body = serde_json::to_vec(body)
            .map_err(|e| Error::Invalid(format!("{}: {e}", self.engine)))?;
        self.send(method, path, "application/json", body)
    }

    /// Sends a request without a body.
    pub fn get(&self, path: &str) -> Result<Answer> {
        self.send(Method::GET, path, "", Vec::new())
    }

    /// Sends a request; answers that say "later" are errors that say so, all others come back.
    pub fn send(
        &self,
        method: Method,
        path: &str,
        content_type: &str,
        body: Vec<u8>,
    ) -> Result<Answer> {
        let what = format!("{method} {}{path}", self.base);
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.base));
        for (name, value) in &self.headers {
            request = request.header(*name, value.reveal());
        }
        let sent = if body.is_empty() {
            let request = request.body(());
            self.agent.run(request.map_err(|_| self.unusable(&what))?)
        } else {
            let request = request.header("content-type", content_type).body(body);
            self.agent.run(request.map_err(|_| self.unusable(&what))?)
        };
        let lost = |e: ureq::Error| match e {
            ureq::Error::BodyExceedsLimit(limit) => Error::refused(
                self.engine,
                format!("{what}: an answer of more than {limit} bytes"),
            ),
            ureq::Error::BadUri(_) => self.unusable(&what),
            other => Error::unavailable(self.engine, format!("{what}: {other}")),
        };
        let mut response = sent.map_err(lost)?;
        let status = response.status().as_u16();
        let after = retry_after(&response);
        let body = response.body_mut().with_config().limit(MAX_ANSWER_BYTES);
        let bytes = body.read_to_vec().map_err(lost)?;
        let text = String::from_utf8_lossy(&bytes);
        match status {
            408 | 425 | 429 | 500 | 502..=504 => Err(Error::Unavailable {
                engine: self.engine,
                what: format!("{what}: the server answered {status}: {}", excerpt(&text)),
                after,
            }),
            401 | 403 => Err(Error::Invalid(format!(
                "{}: {what}: access denied ({status}); {}",
                self.engine,
                excerpt(&text)
            ))),
            _ => Ok(Answer {
                status,
                json: serde_json::from_slice(&bytes).unwrap_or(Value::String(text.into_owned())),
            }),
        }
    }

    fn unusable(&self, what: &str) -> Error {
        Error::Invalid(format!(
            "{}: {what} is no request that can be sent",
            self.engine
        ))
    }

    /// The answer's JSON if it is a success.
    pub fn success(&self, what: &str, answer: Answer) -> Result<Value> {
        if (200..300).contains(&answer.status) {
            return Ok(answer.json);
        }
        Err(self.refused(what, &answer))
    }

    /// A refusal that cites the answer.
    pub fn refused(&self, what: &str, answer: &Answer) -> Error {
        let said = excerpt(&answer.json.to_string());
        Error::refused(
            self.engine,
            format!("{what}: the server answered {}: {said}", answer.status),
        )
    }
}

/// Seconds of the header `retry-after`.
fn retry_after<T>(response: &Response<T>) -> Option<Duration> {
    let value = response.headers().get("retry-after")?.to_str().ok()?;
    value.trim().parse().ok().map(Duration::from_secs)
}
