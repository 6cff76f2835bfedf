//! One training step: embeddings, document weights, the objective, and the way back to the adapters.
//!
//! Method section 2.6. Retriever and objective meet in `K` numbers a query: the gradient of its
//! logits. So when a step's texts do not fit in `chunk_tokens`, those that do not are embedded
//! once without anything kept, and again chunk by chunk on the way back (gradient caching).

use super::data::{GroupIndex, TrainData};
use super::objective::{Objective, QueryLoss};
use crate::Result;
use crate::retriever::{Retriever, RetrieverGradients, RetrieverTape, Role, Text, chunks};
use dream_nn::Matrix;
use dream_nn::ops::elementwise::{axpy, dot, softmax};
use std::collections::HashMap;

/// What a step found out.
#[derive(Debug)]
pub struct StepResult {
    /// Mean loss of the queries, nats.
    pub loss: f64,
    /// Gradients of the mean loss.
    pub gradients: RetrieverGradients,
    /// Gradient for the logarithm of the temperature.
    pub d_log_temperature: f32,
    /// Mean entropy of the document weights, nats.
    pub weight_entropy: f64,
    /// Mean weight on known passages, over queries that have one in the pool.
    pub weight_on_positive: Option<f64>,
    /// Tokens of the step's texts, each text once.
    pub retriever_tokens: u64,
}

/// Computes one step; nothing is changed.
pub fn compute(
    retriever: &Retriever,
    objective: &dyn Objective,
    data: &TrainData,
    groups: &[GroupIndex],
    temperature: f32,
    chunk_tokens: usize,
    dropout_seed: Option<u64>,
) -> Result<StepResult> {
    let step = Step {
        retriever,
        texts: &StepTexts::new(retriever, data, groups)?,
        temperature,
        chunk_tokens,
        dropout_seed,
    };
    step.compute(|group, weights| objective.evaluate(&data.texts(&groups[group]), weights))
}

/// The texts of a step, each once, however many groups it stands in.
#[derive(Debug, Default)]
pub struct StepTexts {
    /// Queries and documents; their places here are their embeddings' rows.
    pub texts: Vec<Text>,
    /// The groups.
    pub groups: Vec<GroupTexts>,
}

/// Places of a group's texts.
#[derive(Debug, Default)]
pub struct GroupTexts {
    /// Places of the documents, in prompt order.
    pub documents: Vec<usize>,
    /// Places of the queries.
    pub queries: Vec<usize>,
    /// Numbers of each query's known passages among the documents: for reports alone.
    pub positives: Vec<Vec<usize>>,
}

impl StepTexts {
    fn new(retriever: &Retriever, data: &TrainData, groups: &[GroupIndex]) -> Result<Self> {
        let mut step = Self::default();
        let mut known: HashMap<(Role, usize), usize> = HashMap::new();
        let mut place = |role: Role, number: usize| -> Result<usize> {
            if let Some(place) = known.get(&(role, number)) {
                return Ok(*place);
            }
            let text = match role {
                Role::Query => retriever.tokenize(role, &data.set.rows[number].query)?,
                Role::Document => {
                    let document = &data.set.corpus.documents()[number];
                    retriever.tokenize(role, &document.full_text())?
                }
            };
            step.texts.push(text);
            known.insert((role, number), step.texts.len() - 1);
            Ok(step.texts.len() - 1)
        };
        for group in groups {
            let mut places = GroupTexts::default();
            for document in &group.documents {
                places.documents.push(place(Role::Document, *document)?);
            }
            for (row, positives) in &group.queries {
                places.queries.push(place(Role::Query, *row)?);
                places.positives.push(positives.clone());
            }
            step.groups.push(places);
        }
        Ok(step)
    }
}

/// A step that is about to be computed.
#[derive(Clone, Copy, Debug)]
pub struct Step<'a> {
    /// What is trained.
    pub retriever: &'a Retriever,
    /// What it embeds.
    pub texts: &'a StepTexts,
    /// Scores are divided by it.
    pub temperature: f32,
    /// Tokens whose activations are kept at once.
    pub chunk_tokens: usize,
    /// Seed of the adapters' dropout.
    pub dropout_seed: Option<u64>,
}

impl Step<'_> {
    /// Embeds, asks `judge` for each group's losses under its document weights
    /// (`[queries][documents]`), and goes back.
    pub fn compute(
        self,
        mut judge: impl FnMut(usize, &[Vec<f32>]) -> Result<Vec<QueryLoss>>,
    ) -> Result<StepResult> {
        let StepTexts { texts, groups } = self.texts;
        let embedded = Embedded::new(self, texts);
        let embeddings = &embedded.embeddings;
        let mut d_embeddings = Matrix::zeros(embeddings.rows(), embeddings.cols());
        let n_queries: usize = groups.iter().map(|group| group.queries.len()).sum();
        let share = 1.0 / n_queries as f32;
        let mut result = StepResult {
            loss: 0.0,
            gradients: self.retriever.zero_gradients()?,
            d_log_temperature: 0.0,
            weight_entropy: 0.0,
            weight_on_positive: None,
            retriever_tokens: texts.iter().map(|text| text.ids.len() as u64).sum(),
        };
        let mut on_positives = Vec::new();
        for (number, group) in groups.iter().enumerate() {
            let logits = self.logits(embeddings, group);
            let weights: Vec<Vec<f32>> = logits.iter().map(|logits| softmaxed(logits)).collect();
            let losses = judge(number, &weights)?;
            for (i, QueryLoss { loss, d_logits }) in losses.iter().enumerate() {
                result.loss += f64::from(*loss) / n_queries as f64;
                result.weight_entropy += entropy(&weights[i]) / n_queries as f64;
                let positives = &group.positives[i];
                if !positives.is_empty() {
                    let on = positives.iter().map(|p| f64::from(weights[i][*p]));
                    on_positives.push(on.sum::<f64>());
                }
                // d/d log(tau) of score / tau is -score / tau.
                result.d_log_temperature -= share * dot(d_logits, &logits[i]);
                let q = group.queries[i];
                for (d, d_logit) in group.documents.iter().zip(d_logits) {
                    let d_score = share * d_logit / self.temperature;
                    axpy(d_embeddings.row_mut(q), d_score, embeddings.row(*d));
                    axpy(d_embeddings.row_mut(*d), d_score, embeddings.row(q));
                }
            }
        }
        if !on_positives.is_empty() {
            let mean = on_positives.iter().sum::<f64>() / on_positives.len() as f64;
            result.weight_on_positive = Some(mean);
        }
        embedded.backward(self, texts, &d_embeddings, &mut result.gradients);
        Ok(result)
    }

    /// How many texts come before those whose activations are kept: as many of the last as fit.
    fn n_earlier(&self, texts: &[Text]) -> usize {
        let mut tokens = 0;
        let kept = texts.iter().rev().take_while(|text| {
            tokens += text.ids.len();
            tokens <= self.chunk_tokens
        });
        texts.len() - kept.count()
    }

    /// Scores over temperature, `[queries][documents]`.
    fn logits(&self, embeddings: &Matrix, group: &GroupTexts) -> Vec<Vec<f32>> {
        let logits_of = |q: &usize| {
            let score = |d: &usize| dot(embeddings.row(*q), embeddings.row(*d)) / self.temperature;
            group.documents.iter().map(score).collect()
        };
        group.queries.iter().map(logits_of).collect()
    }
}

fn softmaxed(logits: &[f32]) -> Vec<f32> {
    let mut weights = logits.to_vec();
    softmax(&mut weights);
    weights
}

fn entropy(weights: &[f32]) -> f64 {
    let used = weights.iter().filter(|w| **w > 0.0).map(|w| f64::from(*w));
    -used.map(|w| w * w.ln()).sum::<f64>()
}

/// Embeddings of a step, with the activations of as many texts as fit: the last ones.
struct Embedded {
    embeddings: Matrix,
    tape: RetrieverTape,
}

impl Embedded {
    fn new(step: Step<'_>, texts: &[Text]) -> Self {
        let Step {
            retriever,
            dropout_seed,
            ..
        } = step;
        let (earlier, last) = texts.split_at(step.n_earlier(texts));
        let (embeddings, tape) = retriever.forward_with_tape(last, dropout_seed);
        let earlier = retriever.embed_with(earlier, dropout_seed);
        Self {
            embeddings: earlier.stacked(&embeddings),
            tape,
        }
    }

    fn backward(
        self,
        step: Step<'_>,
        texts: &[Text],
        d_embeddings: &Matrix,
        gradients: &mut RetrieverGradients,
    ) {
        let Step { retriever, .. } = step;
        let n_earlier = step.n_earlier(texts);
        let d_last = d_embeddings.rows_copy(n_earlier..texts.len());
        retriever.backward(self.tape, &d_last, gradients);
        let mut first = 0;
        for chunk in chunks(&texts[..n_earlier], step.chunk_tokens) {
            let (_, tape) = retriever.forward_with_tape(chunk, step.dropout_seed);
            let d = d_embeddings.rows_copy(first..first + chunk.len());
            retriever.backward(tape, &d, gradients);
            first += chunk.len();
        }
    }
}
