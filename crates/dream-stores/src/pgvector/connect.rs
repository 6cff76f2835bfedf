//! Connecting, and what an error means for another attempt.

use super::NAME;
use crate::error::excerpt;
use crate::{Access, Error, Result};
use postgres::error::SqlState;
use postgres::{Client, Config};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use std::str::FromStr as _;
use std::sync::Arc;
use std::time::Duration;
use tokio_postgres_rustls::MakeRustlsConnect;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Data sent and not acknowledged for so long: the connection is lost.
const USER_TIMEOUT: Duration = Duration::from_secs(120);
/// A batch that takes longer will not end.
const STATEMENT_TIMEOUT: &str = "SET statement_timeout = '10min'";

/// The address as the client takes it. Its messages cite no password.
pub(super) fn config(access: &Access) -> Result<Config> {
    let parsed = Config::from_str(access.url.reveal());
    let mut config = parsed.map_err(|_| {
        let what = "the address cannot be read; wanted postgres://user:password@host:5432/database";
        Error::Invalid(format!("{NAME}: {what}"))
    })?;
    if let (Some(key), None) = (&access.key, config.get_password()) {
        config.password(key.reveal());
    }
    if config.get_user().is_none() {
        config.user("postgres");
    }
    config.application_name("dream");
    config.connect_timeout(CONNECT_TIMEOUT);
    config.tcp_user_timeout(USER_TIMEOUT);
    Ok(config)
}

/// Connects, with TLS where the server has it (`sslmode=require` or `disable` in the address says it must
/// or must not).
pub(super) fn connect(access: &Access) -> Result<Client> {
    let config = config(access)?;
    let what = || format!("connecting to {}", place(&config));
    let connected = config.connect(tls(access)?);
    let mut client = connected.map_err(|error| of_client(&what(), &error, true))?;
    let set = client.batch_execute(STATEMENT_TIMEOUT);
    set.map_err(|error| of_client(&what(), &error, true))?;
    Ok(client)
}

/// Hosts and database, without the password.
pub(super) fn place(config: &Config) -> String {
    let hosts: Vec<String> = config
        .get_hosts()
        .iter()
        .map(|host| match host {
            postgres::config::Host::Tcp(name) => name.clone(),
            #[cfg(unix)]
            postgres::config::Host::Unix(path) => path.display().to_string(),
        })
        .collect();
    let ports: Vec<String> = config.get_ports().iter().map(u16::to_string).collect();
    let database = config
        .get_dbname()
        .or(config.get_user())
        .unwrap_or_default();
    format!("{}:{}/{database}", hosts.join(","), ports.join(","))
}

fn tls(access: &Access) -> Result<MakeRustlsConnect> {
    let mut roots = RootCertStore::empty();
    match &access.authorities {
        None => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
        Some(pem) => {
            let read = CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>();
            let read = read.map_err(|e| Error::Invalid(format!("certificate authorities: {e}")))?;
            roots.add_parsable_certificates(read);
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the provider has ciphers for them. This is a bug.")
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(MakeRustlsConnect::new(config))
}

/// How work on a connection fails.
pub(super) enum Failure {
    /// The client says so.
    Client(postgres::Error),
    /// Bytes of a `COPY` could not be sent; the client's own error is inside.
    Pipe(std::io::Error),
}

impl From<postgres::Error> for Failure {
    fn from(error: postgres::Error) -> Self {
        Self::Client(error)
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::Pipe(error)
    }
}

/// What a failure means.
pub(super) fn classify(what: &str, failure: &Failure, is_closed: bool) -> Error {
    match failure {
        Failure::Client(error) => of_client(what, error, is_closed),
        Failure::Pipe(error) => match error.get_ref().and_then(|inner| inner.downcast_ref()) {
            Some(error) => of_client(what, error, is_closed),
            None => Error::unavailable(NAME, format!("{what}: {error}")),
        },
    }
}

/// What an error means. The server's message comes along, the statement and its values do not.
fn of_client(what: &str, error: &postgres::Error, is_closed: bool) -> Error {
    if let Some(said) = error.as_db_error() {
        let code = said.code();
        let message = format!("{what}: {} ({})", excerpt(said.message()), code.code());
        let wrong_login = [
            SqlState::INVALID_PASSWORD,
            SqlState::INVALID_AUTHORIZATION_SPECIFICATION,
            SqlState::INVALID_CATALOG_NAME,
            SqlState::INSUFFICIENT_PRIVILEGE,
        ];
        // Lost connections, no room, a server that stops or starts, and transactions in each other's way.
        let may_pass = ["08", "53", "57P", "40"]
            .iter()
            .any(|class| code.code().starts_with(class));
        return if wrong_login.contains(code) {
            Error::Invalid(format!("{NAME}: {message}"))
        } else if may_pass {
            Error::unavailable(NAME, message)
        } else {
            Error::refused(NAME, message)
        };
    }
    let mut message = format!("{what}: {error}");
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        let said = inner.to_string();
        if !message.contains(&said) {
            message = format!("{message}: {said}");
        }
        cause = inner.source();
    }
    if is_closed {
        Error::unavailable(NAME, message)
    } else {
        Error::refused(NAME, message)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::Secret;

    fn access(url: &str, key: Option<&str>) -> Access {
        Access {
            url: Secret::new(url),
            key: key.map(Secret::new),
            authorities: None,
        }
    }

    #[test]
    fn the_address_wins_over_the_key_and_neither_is_said() {
        let config = |url: &str, key| config(&access(url, key));
        let with = config("postgres://u:inside@h:5433/d", Some("outside")).unwrap();
        assert_eq!(with.get_password(), Some(&b"inside"[..]));
        assert_eq!(place(&with), "h:5433/d");
        let without = config("postgres://u@h/d", Some("outside")).unwrap();
        assert_eq!(without.get_password(), Some(&b"outside"[..]));
        let refused = config("postgres://u:inside@h:x/d", None)
            .unwrap_err()
            .to_string();
        assert!(!refused.contains("inside"), "{refused}");
    }

    #[test]
    fn a_server_that_is_not_there_may_come() {
        // A port of this machine where nothing listens.
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let Err(error) = connect(&access(
            &format!("postgres://u:pw@127.0.0.1:{port}/d"),
            None,
        )) else {
            panic!("nothing listens there");
        };
        assert!(error.is_transient(), "{error}");
        let said = error.to_string();
        assert!(said.contains("127.0.0.1") && !said.contains("pw"), "{said}");
    }
}
