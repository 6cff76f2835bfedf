//! Exit codes: 0 done, 1 failure, 2 the command line or its input cannot be used.

/// The command line, or something it names, cannot be used; the message says what was wanted.
#[derive(Debug)]
pub struct UsageError(pub String);

impl std::fmt::Display for UsageError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for UsageError {}

/// A [`UsageError`] as an [`anyhow::Error`].
pub fn usage(message: impl Into<String>) -> anyhow::Error {
    UsageError(message.into()).into()
}

/// The exit code for an error that reached `main`: 2 where the user's input is at fault, 130
/// where the user stopped it, else 1.
pub fn exit_code(error: &anyhow::Error) -> i32 {
    let stopped = |cause: &(dyn std::error::Error + 'static)| {
        matches!(cause.downcast_ref(), Some(dream::Error::Stopped))
            || matches!(cause.downcast_ref(), Some(dream_stores::Error::Stopped))
    };
    if error.chain().any(stopped) {
        return crate::interrupt::EXIT_CODE;
    }
    let input_is_at_fault = error.chain().any(|cause| {
        if let Some(error) = cause.downcast_ref::<dream::Error>() {
            return match error {
                dream::Error::Io { source, .. } => is_absent(source),
                dream::Error::Data(error) => of_data(error),
                dream::Error::Weights(error) => of_weights(error),
                dream::Error::Invalid(_)
                | dream::Error::Malformed { .. }
                | dream::Error::UnsupportedModel { .. } => true,
                _ => false,
            };
        }
        cause.is::<UsageError>()
            || cause.downcast_ref().is_some_and(of_data)
            || cause.downcast_ref().is_some_and(of_weights)
            || cause.downcast_ref().is_some_and(of_stores)
            || cause.downcast_ref().is_some_and(is_absent)
    });
    if input_is_at_fault { 2 } else { 1 }
}

/// The message of an error and of its causes, without what an outer message says already.
pub fn describe(error: &anyhow::Error) -> String {
    let mut text = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !text.contains(&cause) {
            text.push_str(": ");
            text.push_str(&cause);
        }
    }
    text
}

fn of_data(error: &dream_ir::Error) -> bool {
    match error {
        dream_ir::Error::Io { source, .. } => is_absent(source),
        _ => true,
    }
}

fn of_weights(error: &dream_nn::Error) -> bool {
    match error {
        dream_nn::Error::Io { source, .. } | dream_nn::Error::Write { source, .. } => {
            is_absent(source)
        }
        _ => true,
    }
}

/// A server that refuses or stays away is a failure; what it was asked for wrongly is not.
fn of_stores(error: &dream_stores::Error) -> bool {
    match error {
        dream_stores::Error::Io { source, .. } => is_absent(source),
        dream_stores::Error::Invalid(_) => true,
        _ => false,
    }
}

/// A path that is not there, or not of the kind wanted, is bad input; a full disk or a lost mount is a failure.
fn is_absent(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{IsADirectory, NotADirectory, NotFound};
    matches!(error.kind(), NotFound | IsADirectory | NotADirectory)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use anyhow::Context as _;
    use std::io::{Error as IoError, ErrorKind};

    #[test]
    fn a_cause_that_the_message_holds_already_is_not_said_twice() {
        let absent = dream::Error::io("x", IoError::from(ErrorKind::NotFound));
        let error = Err::<(), _>(absent).context("cannot start").unwrap_err();
        assert_eq!(describe(&error), "cannot start: x: entity not found");
    }

    #[test]
    fn bad_input_exits_2_and_a_failing_machine_exits_1() {
        let invalid = || anyhow::Error::from(dream::Error::Invalid("no".into()));
        let line = dream_ir::Error::Line {
            path: "x".into(),
            line: 3,
            what: "not JSON".into(),
        };
        let absent = dream::Error::io("x", IoError::from(ErrorKind::NotFound));
        let full = dream::Error::io("x", IoError::from(ErrorKind::StorageFull));
        let full_data = dream_ir::Error::Io {
            path: "x".into(),
            source: ErrorKind::StorageFull.into(),
        };
        assert_eq!(exit_code(&usage("no such flag")), 2);
        assert_eq!(exit_code(&invalid()), 2);
        assert_eq!(
            exit_code(
                &Err::<(), _>(invalid())
                    .context("while training")
                    .unwrap_err()
            ),
            2
        );
        assert_eq!(exit_code(&line.into()), 2);
        assert_eq!(exit_code(&absent.into()), 2);
        assert_eq!(exit_code(&full.into()), 1);
        assert_eq!(exit_code(&dream::Error::Data(full_data).into()), 1);
        assert_eq!(exit_code(&IoError::from(ErrorKind::NotFound).into()), 2);
        assert_eq!(
            exit_code(&anyhow::anyhow!("the server closed the connection")),
            1
        );
    }
}
