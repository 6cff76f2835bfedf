//! What mining found, as text or JSON.

use super::place::Place;
use crate::cli::App;
use crate::output::{print_json, print_lines};
use anyhow::Result;
use dream::mine::Mining;
use serde_json::json;

/// Prints the summary.
pub fn print(mining: &Mining, place: &Place, app: &App) -> Result<()> {
    let found = mining.summary();
    if found.left_out > 0 {
        let n = found.left_out;
        tracing::warn!("{n} rows had no candidate left and were not written");
    }
    if app.json {
        return print_json(&json!({
            "rows": found.rows,
            "written": found.written(),
            "left_out": found.left_out,
            "candidates": found.candidates,
            "filled": found.filled,
            "known_passage": {
                "rows": found.known_rows,
                "found": found.known_found,
                "share": found.known_share(),
                "mean_rank": found.known_mean_rank(),
            },
            "dropped": found.dropped,
            "given": { "rows": found.given_rows, "mean_overlap": found.mean_overlap() },
            "out": place.rows,
            "corpus": place.corpus,
        }));
    }
    let out = place.rows.display();
    let mut lines = vec![format!(
        "{out}: {} of {} rows, {} candidates, {} of them drawn to fill up",
        found.written(),
        found.rows,
        found.candidates,
        found.filled
    )];
    if let Some(share) = found.known_share() {
        let (n, rows) = (found.known_found, found.known_rows);
        let rank = found.known_mean_rank();
        let rank = rank.map_or(String::new(), |rank| {
            format!(", at rank {rank:.1} on average")
        });
        lines.push(format!(
            "known passages: found for {n} of {rows} rows ({share:.3}){rank}"
        ));
    }
    let dropped = found.dropped.named();
    let dropped: Vec<String> = dropped
        .iter()
        .filter(|(_, n)| *n > 0)
        .map(|(name, n)| format!("{name} {n}"))
        .collect();
    if !dropped.is_empty() {
        lines.push(format!("kept out: {}", dropped.join(", ")));
    }
    if let Some(overlap) = found.mean_overlap() {
        let rows = found.given_rows;
        lines.push(format!(
            "candidates that were given: {overlap:.3} of them found again, mean of {rows} rows"
        ));
    }
    print_lines(lines)
}
