//! The usual charts of a run, from its metrics.

use super::metrics::{Record, StepRecord};
use super::svg::{LineChart, Reference, Series};

/// Decay of the moving averages: the last ten steps or so.
const SMOOTHING: f64 = 0.9;

/// Training loss over optimiser steps.
pub fn loss(records: &[Record]) -> LineChart {
    LineChart {
        title: "Training loss".into(),
        x_label: "optimiser steps".into(),
        y_label: "mean loss of a step's queries".into(),
        series: vec![smoothed("loss", records, |step| Some(step.loss))],
        ..LineChart::default()
    }
}

/// Weight that the retriever gives to the known positive while training, over optimiser steps.
/// Steps whose queries have no known positive in the pool are gaps.
pub fn weight_on_positive(records: &[Record]) -> LineChart {
    LineChart {
        title: "Weight on the known passage".into(),
        x_label: "optimiser steps".into(),
        y_label: "mean document weight, 0 to 1".into(),
        y_include: vec![0.0],
        series: vec![smoothed("weight", records, |step| step.weight_on_positive)],
        ..LineChart::default()
    }
}

/// One measure over optimiser steps, a curve for each evaluated set, beside fixed baselines.
pub fn measure(records: &[Record], measure: &str, references: Vec<Reference>) -> LineChart {
    let mut series: Vec<Series> = Vec::new();
    for record in records {
        let Record::Eval(eval) = record else { continue };
        let Some(&value) = eval.eval.measures.get(measure) else {
            continue;
        };
        let point = (eval.step as f64, value);
        match series.iter_mut().find(|s| s.name == eval.eval.name) {
            Some(series) => series.points.push(point),
            None => series.push(Series::new(&eval.eval.name, vec![point])),
        }
    }
    LineChart {
        title: format!("{measure} on held-out queries"),
        x_label: "optimiser steps".into(),
        y_label: format!("{measure}, 0 to 1"),
        y_include: vec![0.0],
        series,
        references,
        ..LineChart::default()
    }
}

fn smoothed(name: &str, records: &[Record], value: fn(&StepRecord) -> Option<f64>) -> Series {
    let point = |record: &Record| match record {
        Record::Step(step) => Some((step.step as f64, value(step).unwrap_or(f64::NAN))),
        Record::Eval(_) | Record::Refresh(_) => None,
    };
    let points = records.iter().filter_map(point).collect();
    Series {
        name: name.into(),
        points,
        smoothing: Some(SMOOTHING),
    }
}

#[cfg(test)]
mod tests {
    use super::super::metrics::{EvalRecord, Evaluation, Timing};
    use super::*;

    #[test]
    fn each_evaluated_set_gets_its_own_curve() {
        let eval = |step, name: &str, value| {
            let measures = [("nDCG@10".to_owned(), value)].into();
            let eval = Evaluation {
                name: name.into(),
                measures,
            };
            Record::Eval(EvalRecord {
                step,
                eval,
                timing: Timing::default(),
            })
        };
        let records = [eval(0, "a", 0.1), eval(0, "b", 0.2), eval(5, "a", 0.3)];
        let chart = measure(&records, "nDCG@10", Vec::new());
        assert_eq!(chart.series.len(), 2);
        assert_eq!(chart.series[0].points, [(0.0, 0.1), (5.0, 0.3)]);
        assert!(measure(&records, "RR@10", Vec::new()).series.is_empty());
    }
}
