//! The environment, read once at start. No other file of the project reads environment variables.
//!
//! The `HF_*` names and their precedence are those of `huggingface_hub`, so that a machine set up for it needs no
//! second set-up; `DREAM_CACHE` is ours.

pub mod launch;
mod stores;

pub use stores::Stores;

use launch::{Rank, rank};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What the environment says.
#[derive(Debug, Clone, PartialEq)]
pub struct Env {
    /// Our cache: `$DREAM_CACHE`, else `$XDG_CACHE_HOME/dream`, else `~/.cache/dream`.
    pub cache: PathBuf,
    /// The cache of `huggingface_hub`, which is only read: `$HF_HUB_CACHE`, else `$HF_HOME/hub`.
    pub hub_cache: PathBuf,
    /// `HF_ENDPOINT`, without a slash at the end.
    pub hub_endpoint: String,
    /// `HF_TOKEN`, else the contents of the token file.
    pub hub_token: Option<String>,
    /// The variable that forbids the network (`HF_HUB_OFFLINE` or `TRANSFORMERS_OFFLINE`), if one does.
    pub offline: Option<&'static str>,
    /// How long a hub may take to answer a request (`HF_HUB_ETAG_TIMEOUT`).
    pub answer_timeout: Duration,
    /// How long a download may stand still (`HF_HUB_DOWNLOAD_TIMEOUT`).
    pub read_timeout: Duration,
    /// A file of certificate authorities to trust instead of the built-in ones
    /// (`REQUESTS_CA_BUNDLE`, `CURL_CA_BUNDLE`, `SSL_CERT_FILE`).
    pub ca_bundle: Option<PathBuf>,
    /// `HF_HUB_DISABLE_PROGRESS_BARS`.
    pub hide_progress: bool,
    /// Which process of how many this is, if a launcher said so, or what is wrong with what it said.
    pub rank: Result<Option<Rank>, String>,
    /// `RUST_LOG`.
    pub log_filter: Option<String>,
    /// `NO_COLOR` is set, or the terminal is `dumb`.
    pub no_color: bool,
    /// `CLICOLOR_FORCE` asks for colour even where the output is no terminal.
    pub force_color: bool,
    /// Addresses of vector stores, and what lets us in.
    pub stores: Stores,
}

impl Env {
    /// Reads the process's environment.
    pub fn from_process() -> Self {
        Self::from_lookup(|name| std::env::var_os(name), std::env::home_dir())
    }

    /// Reads an environment given as a function of the variable's name. Empty values count as unset.
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<OsString>, home: Option<PathBuf>) -> Self {
        let raw = |name: &str| lookup(name).filter(|value| !value.is_empty());
        let text = |name: &str| raw(name).and_then(|value| value.into_string().ok());
        let is_true = |name: &str| {
            text(name).is_some_and(|v| {
                matches!(v.to_ascii_lowercase().as_str(), "1" | "on" | "yes" | "true")
            })
        };
        let home = home.unwrap_or_else(|| PathBuf::from("."));
        let path = |name: &str| raw(name).map(|value| expand(Path::new(&value), &home));
        let seconds = |name: &str, default: u64| {
            let given = text(name).and_then(|v| v.parse().ok()).filter(|s| *s > 0);
            Duration::from_secs(given.unwrap_or(default))
        };

        let caches = path("XDG_CACHE_HOME").unwrap_or_else(|| home.join(".cache"));
        let hub_home = path("HF_HOME").unwrap_or_else(|| caches.join("huggingface"));
        let token_file = path("HF_TOKEN_PATH").unwrap_or_else(|| hub_home.join("token"));
        let endpoint = text("HF_ENDPOINT").unwrap_or_else(|| "https://huggingface.co".into());
        let offline = ["HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"]
            .into_iter()
            .find(|name| is_true(name));
        Self {
            cache: path("DREAM_CACHE").unwrap_or_else(|| caches.join("dream")),
            hub_cache: path("HF_HUB_CACHE")
                .or_else(|| path("HUGGINGFACE_HUB_CACHE"))
                .unwrap_or_else(|| hub_home.join("hub")),
            hub_endpoint: endpoint.trim_end_matches('/').to_owned(),
            hub_token: text("HF_TOKEN").or_else(|| token_from(&token_file)),
            offline,
            answer_timeout: seconds("HF_HUB_ETAG_TIMEOUT", 10),
            read_timeout: seconds("HF_HUB_DOWNLOAD_TIMEOUT", 30),
            ca_bundle: ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"]
                .into_iter()
                .filter_map(path)
                .find(|p| p.is_file()),
            hide_progress: is_true("HF_HUB_DISABLE_PROGRESS_BARS"),
            rank: rank(&lookup),
            log_filter: text("RUST_LOG"),
            no_color: raw("NO_COLOR").is_some() || text("TERM").as_deref() == Some("dumb"),
            force_color: text("CLICOLOR_FORCE").is_some_and(|value| value != "0"),
            stores: Stores::from_lookup(text),
        }
    }

    /// Where our own models lie.
    pub fn models(&self) -> PathBuf {
        self.cache.join("models")
    }

    /// Where our own data sets lie, in the layout of the hub's cache.
    pub fn datasets(&self) -> PathBuf {
        self.cache.join("datasets")
    }
}

/// `~/x` in the home folder.
fn expand(path: &Path, home: &Path) -> PathBuf {
    path.strip_prefix("~")
        .map_or_else(|_| path.to_owned(), |rest| home.join(rest))
}

/// The token in a file; anything longer than a token could be is ignored.
fn token_from(path: &Path) -> Option<String> {
    let small = std::fs::metadata(path).is_ok_and(|m| m.is_file() && m.len() <= 4096);
    let text = small
        .then(|| std::fs::read_to_string(path).ok())
        .flatten()?;
    Some(text.trim().to_owned()).filter(|token| !token.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Env {
        let find = |name: &str| {
            variables
                .iter()
                .find(|(n, _)| *n == name)
                .map(|(_, v)| OsString::from(v))
        };
        Env::from_lookup(find, Some("/home/u".into()))
    }

    #[test]
    fn an_empty_environment_gives_the_documented_defaults() {
        let env = read(&[("DREAM_CACHE", "")]);
        assert_eq!(env.models(), Path::new("/home/u/.cache/dream/models"));
        assert_eq!(env.hub_cache, Path::new("/home/u/.cache/huggingface/hub"));
        assert_eq!(env.hub_endpoint, "https://huggingface.co");
        assert_eq!((env.offline, env.hub_token), (None, None));
    }

    #[test]
    fn the_more_special_variable_wins() {
        let env = read(&[("XDG_CACHE_HOME", "/x"), ("HF_HOME", "~/hf")]);
        assert_eq!(
            (env.cache.as_path(), env.hub_cache.as_path()),
            (Path::new("/x/dream"), Path::new("/home/u/hf/hub"))
        );
        let env = read(&[
            ("DREAM_CACHE", "/d"),
            ("HF_HUB_CACHE", "/a"),
            ("HUGGINGFACE_HUB_CACHE", "/b"),
            ("HF_HOME", "/c"),
        ]);
        assert_eq!(
            (env.cache.as_path(), env.hub_cache.as_path()),
            (Path::new("/d"), Path::new("/a"))
        );
    }

    #[test]
    fn offline_takes_the_four_spellings_of_true_and_names_the_variable() {
        for value in ["1", "on", "Yes", "TRUE"] {
            assert_eq!(
                read(&[("TRANSFORMERS_OFFLINE", value)]).offline,
                Some("TRANSFORMERS_OFFLINE")
            );
        }
        assert_eq!(read(&[("HF_HUB_OFFLINE", "0")]).offline, None);
    }

    #[test]
    fn the_token_comes_from_the_variable_before_the_file() -> std::io::Result<()> {
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("token");
        std::fs::write(&file, "from-file\n")?;
        let file = file.to_string_lossy().into_owned();
        assert_eq!(
            read(&[("HF_TOKEN_PATH", &file)]).hub_token.as_deref(),
            Some("from-file")
        );
        let both = read(&[("HF_TOKEN_PATH", &file), ("HF_TOKEN", "from-variable")]);
        assert_eq!(both.hub_token.as_deref(), Some("from-variable"));
        Ok(())
    }
}
