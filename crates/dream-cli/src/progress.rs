//! Progress on the standard error: a bar on a terminal, a line now and then elsewhere.

use crate::cli::App;
use indicatif::{HumanBytes, HumanDuration, ProgressBar, ProgressStyle};
use std::io::{IsTerminal as _, Write as _};
use std::ops::Range;
use std::time::{Duration, Instant};

/// Between two lines where there is no terminal.
const LINE_INTERVAL: Duration = Duration::from_secs(10);

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Texts, steps, files: a plain number with this word.
    Of(&'static str),
    /// Bytes.
    Bytes,
}

/// Shows how far some work is.
pub struct Progress {
    what: String,
    unit: Unit,
    shown: Shown,
    started: Instant,
    before: u64,
    note: String,
}

enum Shown {
    Nothing,
    Bar(ProgressBar),
    Lines { last: Instant },
}

impl Progress {
    /// Nothing done yet of `what`.
    pub fn new(what: impl Into<String>, unit: Unit, app: &App) -> Self {
        let what = what.into();
        let is_hidden = app.quiet || (unit == Unit::Bytes && app.env.hide_progress);
        let started = Instant::now();
        let shown = if is_hidden {
            Shown::Nothing
        } else if std::io::stderr().is_terminal() {
            Shown::Bar(bar(&what, unit))
        } else {
            Shown::Lines { last: started }
        };
        Self {
            what,
            unit,
            shown,
            started,
            before: 0,
            note: String::new(),
        }
    }

    /// `done` of `total`, which is 0 while unknown.
    pub fn update(&mut self, done: u64, total: u64) {
        match &mut self.shown {
            Shown::Nothing => {}
            Shown::Bar(bar) => {
                if total > 0 {
                    bar.set_length(total);
                } else {
                    bar.unset_length();
                }
                bar.set_position(done);
            }
            Shown::Lines { last } => {
                if last.elapsed() >= LINE_INTERVAL {
                    *last = Instant::now();
                    let (from, note) = (self.before, &self.note);
                    let elapsed = self.started.elapsed();
                    let mut line = line(&self.what, self.unit, from..done, total, elapsed);
                    if !note.is_empty() {
                        line = format!("{line}; {note}");
                    }
                    // Progress is not worth an error.
                    let _ = writeln!(std::io::stderr(), "{line}");
                }
            }
        }
    }

    /// Work that was done before: it counts as done, but not for the rate.
    pub fn start_at(&mut self, done: u64) {
        if let Shown::Bar(bar) = &self.shown {
            bar.set_position(done);
            bar.reset_eta();
        }
        self.before = done;
    }

    /// Time spent on something else in between, which the rate leaves out.
    pub fn was_away(&mut self, time: Duration) {
        self.started += time;
        if let Shown::Bar(bar) = &self.shown {
            bar.reset_eta();
        }
    }

    /// What the work found last, shown beside how far it is.
    pub fn note(&mut self, text: &str) {
        if let Shown::Bar(bar) = &self.shown {
            bar.set_message(format!("{}: {text}", self.what));
        }
        text.clone_into(&mut self.note);
    }

    /// Takes the bar away.
    pub fn finish(self) {
        if let Shown::Bar(bar) = self.shown {
            bar.finish_and_clear();
        }
    }
}

fn bar(what: &str, unit: Unit) -> ProgressBar {
    let template = match unit {
        Unit::Bytes => {
            "{msg} {wide_bar} {bytes}/{total_bytes}, {binary_bytes_per_sec}, {eta} left".to_owned()
        }
        Unit::Of(word) => {
            format!("{{msg}} {{wide_bar}} {{pos}}/{{len}} {word}, {{per_sec}}, {{eta}} left")
        }
    };
    let style = ProgressStyle::with_template(&template)
        .expect("the template is fixed and well-formed. This is a bug.");
    ProgressBar::new(0)
        .with_style(style)
        .with_message(what.to_owned())
}

fn line(what: &str, unit: Unit, done: Range<u64>, total: u64, elapsed: Duration) -> String {
    let Range { start, end: done } = done;
    let per_second = (done - start) as f64 / elapsed.as_secs_f64().max(1e-9);
    let (count, rate) = match unit {
        Unit::Bytes => (
            format!("{} of {}", HumanBytes(done), HumanBytes(total)),
            format!("{}/s", HumanBytes(per_second as u64)),
        ),
        Unit::Of(word) => (
            if total == 0 {
                format!("{done} {word}")
            } else {
                format!("{done} of {total} {word}")
            },
            if done > start && per_second < 0.5 {
                format!("{:.1} s each", 1.0 / per_second)
            } else {
                format!("{per_second:.1}/s")
            },
        ),
    };
    if done == start || total <= done {
        return format!("{what}: {count}, {rate}");
    }
    let left = Duration::from_secs_f64((total - done) as f64 / per_second);
    format!("{what}: {count}, {rate}, {} left", HumanDuration(left))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_how_far_how_fast_and_how_long_still() {
        // 50 texts in 10 s are 5 a second; the other 150 need 30 s.
        assert_eq!(
            line(
                "encoding",
                Unit::Of("texts"),
                0..50,
                200,
                Duration::from_secs(10)
            ),
            "encoding: 50 of 200 texts, 5.0/s, 30 seconds left"
        );
        assert_eq!(
            line(
                "encoding",
                Unit::Of("texts"),
                0..50,
                0,
                Duration::from_secs(10)
            ),
            "encoding: 50 texts, 5.0/s"
        );
        assert_eq!(
            line("fetching", Unit::Bytes, 0..2048, 0, Duration::from_secs(2)),
            "fetching: 2.00 KiB of 0 B, 1.00 KiB/s"
        );
    }
}
