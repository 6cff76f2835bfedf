//! One training step: embeddings, document weights, the objective, and the way back to the adapters.
//!
//! Method section 2.6. Retriever and objective meet in `K` numbers a query: the gradient of its
//! logits. So when a step's texts do not fit in `chunk_tokens`, they are embedded once without
//! anything kept, and again chunk by chunk on the way back (gradient caching).

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
    let places = Places::new(retriever, data, groups)?;
    let embedded = Embedded::new(retriever, &places.texts, chunk_tokens, dropout_seed);
    let embeddings = &embedded.embeddings;
    let mut d_embeddings = Matrix::zeros(embeddings.rows(), embeddings.cols());
    let n_queries: usize = groups.iter().map(|group| group.queries.len()).sum();
    let share = 1.0 / n_queries as f32;
    let (mut loss, mut entropy, mut on_positive, mut with_positive) = (0.0, 0.0, 0.0, 0usize);
    let mut d_log_temperature = 0.0;
    for (group, rows) in groups.iter().zip(&places.groups) {
        let logits: Vec<Vec<f32>> = rows
            .queries
            .iter()
            .map(|q| {
                let score = |d: &usize| dot(embeddings.row(*q), embeddings.row(*d)) / temperature;
                rows.documents.iter().map(score).collect()
            })
            .collect();
        let weights: Vec<Vec<f32>> = logits
            .iter()
            .map(|logits| {
                let mut w = logits.clone();
                softmax(&mut w);
                w
            })
            .collect();
        let losses = objective.evaluate(&data.texts(group), &weights)?;
        for (
            i,
            QueryLoss {
                loss: query_loss,
                d_logits,
            },
        ) in losses.iter().enumerate()
        {
            loss += f64::from(*query_loss) / n_queries as f64;
            entropy -= weights[i]
                .iter()
                .filter(|w| **w > 0.0)
                .map(|w| f64::from(*w) * f64::from(*w).ln())
                .sum::<f64>();
            let positives = &group.queries[i].1;
            if !positives.is_empty() {
                with_positive += 1;
                on_positive += positives
                    .iter()
                    .map(|p| f64::from(weights[i][*p]))
                    .sum::<f64>();
            }
            // d/d log(tau) of score / tau is -score / tau.
            d_log_temperature -= share * dot(d_logits, &logits[i]);
            let q = rows.queries[i];
            for (d, d_logit) in rows.documents.iter().zip(d_logits) {
                let d_score = share * d_logit / temperature;
                axpy(d_embeddings.row_mut(q), d_score, embeddings.row(*d));
                axpy(d_embeddings.row_mut(*d), d_score, embeddings.row(q));
            }
        }
    }
    let mut gradients = retriever.zero_gradients()?;
    embedded.backward(
        retriever,
        &places.texts,
        &d_embeddings,
        dropout_seed,
        &mut gradients,
    );
    Ok(StepResult {
        loss,
        gradients,
        d_log_temperature,
        weight_entropy: entropy / n_queries as f64,
        weight_on_positive: (with_positive > 0).then(|| on_positive / with_positive as f64),
    })
}

/// Embedding rows of a step: each text once, however many groups it stands in.
struct Places {
    texts: Vec<Text>,
    groups: Vec<GroupRows>,
}

struct GroupRows {
    documents: Vec<usize>,
    queries: Vec<usize>,
}

impl Places {
    fn new(retriever: &Retriever, data: &TrainData, groups: &[GroupIndex]) -> Result<Self> {
        let mut texts: Vec<Text> = Vec::new();
        let mut known: HashMap<(Role, usize), usize> = HashMap::new();
        let mut place = |role: Role, number: usize| -> Result<usize> {
            if let Some(row) = known.get(&(role, number)) {
                return Ok(*row);
            }
            let text = match role {
                Role::Query => retriever.tokenize(role, &data.set.rows[number].query)?,
                Role::Document => {
                    let document = &data.set.corpus.documents()[number];
                    retriever.tokenize(role, &document.full_text())?
                }
            };
            texts.push(text);
            known.insert((role, number), texts.len() - 1);
            Ok(texts.len() - 1)
        };
        let groups = groups
            .iter()
            .map(|group| {
                let documents = group.documents.iter().map(|d| place(Role::Document, *d));
                let documents = documents.collect::<Result<_>>()?;
                let queries = group
                    .queries
                    .iter()
                    .map(|(row, _)| place(Role::Query, *row));
                Ok(GroupRows {
                    documents,
                    queries: queries.collect::<Result<_>>()?,
                })
            })
            .collect::<Result<_>>()?;
        Ok(Self { texts, groups })
    }
}

/// Embeddings of a step, with activations if they fit.
struct Embedded {
    embeddings: Matrix,
    tape: Option<RetrieverTape>,
    chunk_tokens: usize,
}

impl Embedded {
    fn new(
        retriever: &Retriever,
        texts: &[Text],
        chunk_tokens: usize,
        dropout_seed: Option<u64>,
    ) -> Self {
        if chunks(texts, chunk_tokens).len() == 1 {
            let (embeddings, tape) = retriever.forward_with_tape(texts, dropout_seed);
            return Self {
                embeddings,
                tape: Some(tape),
                chunk_tokens,
            };
        }
        let embeddings = retriever.embed_with(texts, dropout_seed);
        Self {
            embeddings,
            tape: None,
            chunk_tokens,
        }
    }

    fn backward(
        self,
        retriever: &Retriever,
        texts: &[Text],
        d_embeddings: &Matrix,
        dropout_seed: Option<u64>,
        gradients: &mut RetrieverGradients,
    ) {
        if let Some(tape) = self.tape {
            return retriever.backward(tape, d_embeddings, gradients);
        }
        let mut first = 0;
        for chunk in chunks(texts, self.chunk_tokens) {
            let (_, tape) = retriever.forward_with_tape(chunk, dropout_seed);
            let d = d_embeddings.rows_copy(first..first + chunk.len());
            retriever.backward(tape, &d, gradients);
            first += chunk.len();
        }
    }
}
