//! A language model that is tuned too: the gradient of its adapter through the whole prompt, against differences; an
//! adapter that does nothing changes nothing.

use crate::objectives::{documents, group, injection, language_model, logits, weights};
use crate::tiny_models::model;
use crate::tolerance::{GRADIENT, LOSS, assert_close, assert_number};
use dream::llm::Tuning;
use dream::model::Model;
use dream::model::lora::{LoraAdapter, LoraConfig, LoraGradients};
use dream::prompt::Template;
use dream::train::objective::{Dream, Objective, QueryLoss, Request, Revela, WeightedSum};

/// Largest accepted difference to central differences of `f32` forwards, of the largest gradient.
const FINITE_DIFFERENCE: f64 = 1e-2;

const TEXTS: [&str; 4] = ["Town 1 sells salt.", "Wool.", "Iron of town 3.", "Salt, 4."];

fn adapter(model: &Model, trained: bool) -> LoraAdapter {
    let config = LoraConfig {
        r: 2,
        // Small enough for the loss to be smooth over a difference.
        lora_alpha: 2.0,
        ..LoraConfig::default()
    };
    let mut adapter = LoraAdapter::new(config, &model.decoder.config, 5).expect("an adapter");
    if trained {
        for (i, part) in adapter.parameters_mut().into_iter().enumerate() {
            for (j, v) in part.iter_mut().enumerate() {
                *v += ((i * 31 + j * 17) as f32).sin() * 0.1;
            }
        }
    }
    adapter
}

fn tuned(
    objective: &dyn Objective,
    adapter: &LoraAdapter,
    dropout_seed: Option<u64>,
) -> (Vec<QueryLoss>, LoraGradients) {
    let documents = documents(&TEXTS);
    let group = group(&documents);
    let weights = weights(&group, &logits());
    let mut gradients = adapter.zero_gradients();
    let tuning = Tuning {
        adapter,
        gradients: &mut gradients,
        dropout_seed,
    };
    let request = Request {
        tuning: Some(tuning),
        ..Request::of_prompt(&group, &weights)
    };
    (objective.evaluate(request).expect("evaluated"), gradients)
}

fn objectives<'a>(
    model: &'a Model,
    template: &'a Template,
) -> Vec<(&'static str, Box<dyn Objective + 'a>)> {
    let llm = language_model(model, template);
    let dream = || Dream::new(model, llm.packer, injection());
    let sum = WeightedSum::new(vec![
        (0.5, Box::new(dream())),
        (1.5, Box::new(Revela::new(llm, true))),
    ]);
    vec![
        ("dream", Box::new(dream())),
        ("revela", Box::new(Revela::new(llm, true))),
        ("revela without norms", Box::new(Revela::new(llm, false))),
        ("a sum", Box::new(sum)),
    ]
}

#[test]
fn gradients_of_the_language_models_adapter_equal_differences() {
    let template = Template::question_answer();
    for (name, n_objectives, seeds) in [
        ("tiny-llama", 4, &[None, Some(7)][..]),
        ("tiny-qwen2", 2, &[None]),
        ("tiny-qwen3", 2, &[None]),
    ] {
        let model = model(name);
        let objectives = objectives(&model, &template);
        for (what, objective) in objectives.iter().take(n_objectives) {
            for seed in seeds {
                let mut adapter = adapter(&model, true);
                adapter.config.lora_dropout = if seed.is_some() { 0.2 } else { 0.0 };
                let what = format!("{name} {what} {seed:?}");
                compare(&what, &**objective, &mut adapter, *seed);
            }
        }
    }
}

/// The largest coordinate of some parts: in the lowest layer A of q and down, B of k, both of v; in the highest A of
/// q, B of o and down.
fn compare(what: &str, objective: &dyn Objective, adapter: &mut LoraAdapter, seed: Option<u64>) {
    let (_, gradients) = tuned(objective, adapter, seed);
    let gradients: Vec<Vec<f32>> = gradients.parts().iter().map(|p| p.to_vec()).collect();
    let n = gradients.len();
    let (mut got, mut want) = (Vec::new(), Vec::new());
    for part in [0, 3, 4, 5, 12, n - 14, n - 7, n - 1] {
        let gradient = &gradients[part];
        let largest =
            (0..gradient.len()).max_by(|a, b| gradient[*a].abs().total_cmp(&gradient[*b].abs()));
        let place = largest.expect("a coordinate");
        let mut loss = |by: f32| -> f64 {
            adapter.parameters_mut()[part][place] += by;
            let (said, _) = tuned(objective, adapter, seed);
            adapter.parameters_mut()[part][place] -= by;
            said.iter().map(|query| f64::from(query.loss)).sum()
        };
        want.push((loss(5e-3) - loss(-5e-3)) / 1e-2);
        got.push(gradient[place]);
    }
    assert_close(what, &got, &want, FINITE_DIFFERENCE);
}

#[test]
fn an_adapter_that_does_nothing_leaves_losses_and_gradients_of_the_frozen_model() {
    let template = Template::question_answer();
    let model = model("tiny-llama");
    let documents = documents(&TEXTS);
    let group = group(&documents);
    let weights = weights(&group, &logits());
    // B starts at 0.
    let adapter = adapter(&model, false);
    for (name, objective) in objectives(&model, &template) {
        let frozen = objective.evaluate(Request::of_prompt(&group, &weights));
        let (said, gradients) = tuned(&*objective, &adapter, None);
        for (frozen, tuned) in frozen.expect("evaluated").iter().zip(&said) {
            assert_number(name, tuned.loss, f64::from(frozen.loss), LOSS);
            let want: Vec<f64> = frozen.d_logits.iter().map(|d| f64::from(*d)).collect();
            assert_close(name, &tuned.d_logits, &want, GRADIENT);
        }
        // Through a B of 0 nothing reaches A; B itself has a gradient.
        for (i, part) in gradients.parts().iter().enumerate() {
            assert_eq!(
                part.iter().any(|g| *g != 0.0),
                i % 2 == 1,
                "{name}: part {i}"
            );
        }
    }
}
