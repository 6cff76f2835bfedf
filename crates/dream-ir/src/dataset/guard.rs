//! Reading with libraries that may panic on damaged input: the panic becomes an error.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::path::Path;
use std::sync::Once;

use crate::error::{Error, Result};

thread_local! {
    /// Whether this thread's panics are caught, so that nobody needs to read about them.
    static IS_GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// Does `work` on the file at `path`; a panic in it is an error that names the file.
///
/// The process's panic hook is wrapped at the first call: it stays silent on a thread that is inside this function,
/// and does what it did everywhere else.
pub(super) fn guarded<T>(path: &Path, work: impl FnOnce() -> Result<T>) -> Result<T> {
    static WRAP_HOOK: Once = Once::new();
    WRAP_HOOK.call_once(|| {
        let before = take_hook();
        set_hook(Box::new(move |info| {
            if !IS_GUARDED.get() {
                before(info);
            }
        }));
    });
    let was_guarded = IS_GUARDED.replace(true);
    // What the work changed before it panicked is dropped with it.
    let result = catch_unwind(AssertUnwindSafe(work));
    IS_GUARDED.set(was_guarded);
    result.unwrap_or_else(|panic| {
        let said = panic
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| panic.downcast_ref::<&str>().copied())
            .unwrap_or("no reason given");
        let path = path.display();
        Err(Error::Invalid(format!("{path}: damaged: {said}")))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_an_error_that_names_the_file() {
        let result: Result<()> = guarded(Path::new("x.parquet"), || panic!("index 3 of 2"));
        let text = result.map_err(|error| error.to_string());
        assert_eq!(text, Err("x.parquet: damaged: index 3 of 2".to_owned()));
        assert!(matches!(guarded(Path::new("x"), || Ok(5)), Ok(5)));
    }
}
