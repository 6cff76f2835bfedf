//! When candidates are searched again, and how that is told.

use super::Trainer;
use crate::report::metrics::{Record, Refresh, RefreshRecord, Timing};
use crate::train::checkpoint;
use crate::train::observer::{Event, Observer};
use crate::train::searched::Searched;
use crate::{Error, Result};
use std::collections::BTreeSet;
use std::ops::Range;
use std::time::Instant;

impl Trainer<'_> {
    /// Whether the next step needs candidates that were not searched yet.
    pub(super) fn is_search_due(&self) -> bool {
        let is_new = |searched: &Searched| searched.step == self.period().start;
        self.data.is_searched()
            && self.step < self.config.training.steps
            && !self.searched.as_ref().is_some_and(is_new)
    }

    /// The steps from one search to the next that the next step is one of.
    fn period(&self) -> Range<u64> {
        let steps = self.config.training.steps;
        match self.config.data.refresh_every {
            0 => 0..steps,
            every => {
                let start = self.step - self.step % every;
                start..start.saturating_add(every).min(steps)
            }
        }
    }

    fn rows_to_come(&self) -> BTreeSet<usize> {
        let batch_size = self.config.training.batch_size;
        self.data.rows_of(self.step..self.period().end, batch_size)
    }

    /// Takes a checkpoint's candidates, unless the next step is the first of a period.
    pub(super) fn resume_searched(&mut self, searched: Option<Searched>) -> Result<()> {
        self.searched = searched;
        if !self.data.is_searched() || self.step == self.config.training.steps {
            self.searched = None;
        } else if self.is_search_due() && self.step != self.period().start {
            return Err(Error::Invalid(format!(
                "the checkpoint of step {} lacks the candidates of its rows",
                self.step
            )));
        } else if let Some(searched) = self.searched.as_ref().filter(|_| !self.is_search_due()) {
            searched.check(self.data, &self.rows_to_come())?;
        }
        Ok(())
    }

    /// The candidates that a checkpoint needs: none at the end of a period.
    pub(super) fn searched_to_save(&self) -> Option<&Searched> {
        let is_over = self.is_search_due() || self.step == self.config.training.steps;
        self.searched.as_ref().filter(|_| !is_over)
    }

    /// Searches now; `false` if the observer asked to stop meanwhile.
    pub(super) fn search(&mut self, observer: &mut dyn Observer) -> Result<bool> {
        let began = Instant::now();
        let mut progress =
            |done: usize, total: usize| observer.event(&Event::Searching { done, total });
        let rows = self.rows_to_come();
        let with = (&self.retriever, self.words.as_ref());
        let searched = match Searched::search(self.data, self.step, &rows, with, &mut progress) {
            Err(Error::Stopped) => return Ok(false),
            Err(Error::NotFinite(what)) if self.step > 0 => {
                // The checkpoint just saved gives no numbers either.
                checkpoint::remove(&self.config.output, self.step)?;
                let what = format!("numbers that are not finite: {what}");
                return Err(self.diverged(self.step, &what));
            }
            other => other?,
        };
        let record = RefreshRecord {
            step: self.step,
            refresh: Refresh {
                rows: searched.len(),
                documents: self.data.set.corpus.len(),
                with_known_passage: searched.with_known_passage(self.data),
            },
            timing: Timing {
                wall_secs: self.wall(),
                refresh_secs: Some(began.elapsed().as_secs_f64()),
                ..Timing::default()
            },
        };
        self.searched = Some(searched);
        self.metrics.write(&Record::Refresh(record.clone()))?;
        Ok(observer.event(&Event::Searched(&record)))
    }
}
