//! Which engine, and where it is.

use crate::{Error, Result};
use std::fmt;
use std::str::FromStr;

/// The engines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// Qdrant.
    Qdrant,
    /// PostgreSQL with the extension `vector`.
    Pgvector,
    /// Milvus.
    Milvus,
    /// Elasticsearch.
    Elasticsearch,
    /// A folder of Parquet files.
    Parquet,
    /// A folder with one `.npy`.
    Npy,
}

impl Engine {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Qdrant,
        Self::Pgvector,
        Self::Milvus,
        Self::Elasticsearch,
        Self::Parquet,
        Self::Npy,
    ];

    /// Its name, as `--to` takes it and as messages say it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Qdrant => "qdrant",
            Self::Pgvector => "pgvector",
            Self::Milvus => "milvus",
            Self::Elasticsearch => "elasticsearch",
            Self::Parquet => "parquet",
            Self::Npy => "npy",
        }
    }

    /// Whether it writes files here instead of talking to a server.
    pub fn is_files(self) -> bool {
        matches!(self, Self::Parquet | Self::Npy)
    }

    /// Where it listens unless told otherwise.
    pub fn default_url(self) -> Option<&'static str> {
        match self {
            Self::Qdrant => Some("http://localhost:6333"),
            Self::Pgvector => Some("postgres://postgres@localhost:5432/postgres"),
            Self::Milvus => Some("http://localhost:19530"),
            Self::Elasticsearch => Some("http://localhost:9200"),
            Self::Parquet | Self::Npy => None,
        }
    }
}

/// An engine, and its address if one was given.
///
/// Written `qdrant` (the usual address) or `qdrant://host:6333` (`qdrant+https://host` with TLS); likewise
/// `milvus` and `elasticsearch`; `pgvector`, or PostgreSQL's own `postgres://user@host/database`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The engine.
    pub engine: Engine,
    /// Its address with the scheme that it speaks, `http`, `https` or `postgres`; it may hold a password.
    pub url: Option<Secret>,
}

impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let engines = || Engine::ALL.map(Engine::name).join(", ");
        let of_name = |name: &str| Engine::ALL.into_iter().find(|e| e.name() == name);
        let Some((scheme, rest)) = text.split_once("://") else {
            let engine = of_name(text)
                .ok_or_else(|| format!("an engine must be one of {}, not {text:?}", engines()))?;
            return Ok(Self { engine, url: None });
        };
        if matches!(scheme, "postgres" | "postgresql") {
            return Ok(Self {
                engine: Engine::Pgvector,
                url: Some(Secret::new(text)),
            });
        }
        let (name, http) = match scheme.split_once('+') {
            None => (scheme, "http"),
            Some((name, http @ ("http" | "https"))) => (name, http),
            Some((name, _)) => (name, ""),
        };
        match of_name(name) {
            // The rest may hold a password: it is not said again.
            Some(engine)
                if !engine.is_files() && engine != Engine::Pgvector && !http.is_empty() =>
            {
                Ok(Self {
                    engine,
                    url: Some(Secret::new(format!("{http}://{rest}"))),
                })
            }
            _ => Err(format!(
                "an address must begin with qdrant://, milvus://, elasticsearch:// (or qdrant+https:// and so on) \
                 or postgres://, not {scheme}://"
            )),
        }
    }
}

/// What must not be printed.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps it.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The thing itself.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// How a server is reached.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Access {
    /// Its address: `http`, `https` or `postgres`.
    pub url: Secret,
    /// API key, token or password, if it is not in the address.
    pub key: Option<Secret>,
    /// Certificate authorities to trust instead of the built-in ones, in PEM.
    pub authorities: Option<Vec<u8>>,
}

impl Access {
    /// The address without credentials, for messages and journals.
    ///
    /// # Errors
    /// It is none.
    pub fn place(&self, engine: Engine) -> Result<String> {
        match engine {
            Engine::Pgvector => crate::pgvector::place(self),
            _ => Ok(HttpAddress::parse(engine.name(), &self.url)?.base),
        }
    }
}

/// An address of HTTP taken apart: what may be said, and what may not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HttpAddress {
    /// `http://host:port/path`, without a slash at the end.
    pub base: String,
    /// Whether it is this machine.
    pub is_local: bool,
    /// Name before the password.
    pub user: String,
    /// From the address.
    pub password: Option<Secret>,
}

impl HttpAddress {
    /// Takes `http[s]://[user[:password]@]host[:port][/path]` apart.
    pub fn parse(engine: &'static str, url: &Secret) -> Result<Self> {
        let wrong = |what: &str| {
            Error::Invalid(format!(
                "{engine}: {what}; wanted http[s]://[user:password@]host[:port]"
            ))
        };
        let (scheme, rest) = url
            .reveal()
            .split_once("://")
            .ok_or_else(|| wrong("the address has no scheme"))?;
        if !matches!(scheme, "http" | "https") {
            return Err(wrong("the address is of another scheme"));
        }
        // A password may hold anything but these three, unless it is percent-encoded.
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        if path.contains(['?', '#']) {
            return Err(wrong("the address has a query or a fragment"));
        }
        let (login, host) = authority.rsplit_once('@').unwrap_or(("", authority));
        let host_is_plain = |b: u8| b.is_ascii_alphanumeric() || b".-_:[]".contains(&b);
        if host.is_empty() || !host.bytes().all(host_is_plain) {
            return Err(wrong("the address has no host"));
        }
        let (user, password) = match login.split_once(':') {
            Some((user, password)) => (user, Some(password)),
            None => (login, None),
        };
        let decode = |text| decode(text).ok_or_else(|| wrong("the login is not percent-encoded"));
        let is_local = ["127.0.0.1", "localhost", "[::1]"]
            .iter()
            .any(|local| host == *local || host.starts_with(&format!("{local}:")));
        Ok(Self {
            base: format!("{scheme}://{host}{}", path.trim_end_matches('/')),
            is_local,
            user: decode(user)?,
            password: password.map(decode).transpose()?.map(Secret::new),
        })
    }
}

/// Percent-decoding.
fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || char::from(rest.next()?).to_digit(16);
        let (high, low) = (digit()?, digit()?);
        bytes.push((high * 16 + low) as u8);
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn an_engine_is_named_alone_or_by_its_address() {
        let place = |text: &str| text.parse::<Place>();
        let url = |text: &str| {
            let place = place(text).unwrap();
            (place.engine, place.url.map(|u| u.reveal().to_owned()))
        };
        assert_eq!(url("qdrant"), (Engine::Qdrant, None));
        assert_eq!(
            url("qdrant+https://a:6333"),
            (Engine::Qdrant, Some("https://a:6333".into()))
        );
        assert_eq!(url("milvus://h"), (Engine::Milvus, Some("http://h".into())));
        assert_eq!(
            url("postgresql://u:p@h/d"),
            (Engine::Pgvector, Some("postgresql://u:p@h/d".into()))
        );
        for wrong in [
            "faiss",
            "http://h",
            "parquet://x",
            "qdrant+ftp://u:secret@h",
        ] {
            let message = place(wrong).unwrap_err();
            assert!(!message.contains("secret"), "{message}");
        }
    }

    #[test]
    fn a_login_leaves_the_address() {
        let parse = |url: &str| HttpAddress::parse("qdrant", &Secret::new(url));
        let address = parse("https://me:p%40ss:x@host:6333/prefix/").unwrap();
        assert_eq!(address.base, "https://host:6333/prefix");
        assert_eq!((address.user.as_str(), address.is_local), ("me", false));
        assert_eq!(address.password.clone().unwrap().reveal(), "p@ss:x");
        assert!(!format!("{address:?}").contains("p@ss"));
        assert!(parse("http://localhost:6333").unwrap().is_local);
        assert!(!parse("http://localhost.example").unwrap().is_local);
        for wrong in [
            "host",
            "ftp://h",
            "http://",
            "http://h?a=b",
            "http://a b",
            "http://%4:x@h",
        ] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
