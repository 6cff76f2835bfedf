//! The folder of real data sets, which is no part of the project.

use std::path::PathBuf;

/// `DREAM_SHARED/data/<name>`, the former by default beside the repository; `None`, said aloud,
/// where it is missing.
pub fn data(name: &str) -> Option<PathBuf> {
    let beside = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    let shared = std::env::var_os("DREAM_SHARED").map_or_else(beside, PathBuf::from);
    let path = shared.join("data").join(name);
    if path.is_dir() {
        return Some(path);
    }
    #[expect(clippy::print_stderr, reason = "a skipped test must be seen")]
    {
        eprintln!("SKIPPED: no folder {}; set DREAM_SHARED", path.display());
    }
    None
}
