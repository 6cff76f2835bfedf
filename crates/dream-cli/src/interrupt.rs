//! Ctrl-C, SIGTERM, SIGHUP: the first asks the running work to stop cleanly, the second ends the
//! program at once.

#[cfg(unix)]
use nix::sys::signal::{SigHandler, Signal, signal};
use std::sync::atomic::{AtomicBool, Ordering};

static REQUESTED: AtomicBool = AtomicBool::new(false);

/// Exit code of a command that was stopped.
pub const EXIT_CODE: i32 = 130;

/// Starts listening.
pub fn listen() -> anyhow::Result<()> {
    #[cfg(unix)]
    let hang_up_was_ignored = matches!(ignore_hang_up()?, SigHandler::SigIgn);
    ctrlc::set_handler(|| {
        if REQUESTED.swap(true, Ordering::SeqCst) {
            std::process::exit(EXIT_CODE);
        }
    })?;
    #[cfg(unix)]
    if hang_up_was_ignored {
        // Started by nohup: the terminal may go away.
        ignore_hang_up()?;
    }
    Ok(())
}

/// Gives what was done about it before.
#[cfg(unix)]
fn ignore_hang_up() -> nix::Result<SigHandler> {
    // SAFETY: ignoring a signal runs no code of ours in its handler.
    unsafe { signal(Signal::SIGHUP, SigHandler::SigIgn) }
}

/// Whether a stop was asked for.
pub fn requested() -> bool {
    REQUESTED.load(Ordering::SeqCst)
}
