//! One training step: embeddings, document weights, the objective, and the way back to the adapters.
//!
//! Method section 2.6. Retriever and objective meet in `K` numbers a query: the gradient of its
//! logits. So when a step's texts do not fit in `chunk_tokens`, those that do not are embedded
//! once without anything kept, and again chunk by chunk on the way back (gradient caching).

use super::data::{GroupIndex, TrainData};
use super::objective::{Objective, QueryLoss, Request, Scope, document_weights};
use super::tuned;
use crate::llm::Tuning;
use crate::model::lora::{LoraAdapter, LoraGradients};
use crate::retriever::{Retriever, RetrieverGradients, RetrieverTape, Role, Text, chunks};
use crate::{Error, Result};
use dream_nn::Matrix;
use dream_nn::ops::elementwise::{axpy, dot};
use dream_nn::ops::lora::mix;
use std::collections::HashMap;

/// What a step found out.
#[derive(Debug)]
pub struct StepResult {
    /// Mean loss of the queries, nats.
    pub loss: f64,
    /// Gradients of the mean loss.
    pub gradients: RetrieverGradients,
    /// Those of the language model's adapter, if it is trained too.
    pub llm_gradients: Option<LoraGradients>,
    /// Gradient for the logarithm of the temperature.
    pub d_log_temperature: f32,
    /// Mean entropy of the document weights, nats.
    pub weight_entropy: f64,
    /// Mean weight on known passages, over queries that have one in the pool.
    pub weight_on_positive: Option<f64>,
    /// Tokens of the step's texts, each text once.
    pub retriever_tokens: u64,
}

/// What a step is made of.
#[derive(Clone, Copy)]
pub struct StepInput<'a> {
    /// What is trained.
    pub retriever: &'a Retriever,
    /// The language model's own adapter, if it is trained too.
    pub llm_adapter: Option<&'a LoraAdapter>,
    /// What is minimised.
    pub objective: &'a dyn Objective,
    /// Where the texts are.
    pub data: &'a TrainData,
    /// The prompts.
    pub groups: &'a [GroupIndex],
    /// Scores are divided by it.
    pub temperature: f32,
    /// Retriever tokens whose activations are kept at once.
    pub chunk_tokens: usize,
    /// Seed of the adapters' dropout.
    pub dropout_seed: Option<u64>,
}

/// Computes one step; nothing is changed.
pub fn compute(input: StepInput<'_>) -> Result<StepResult> {
    let StepInput {
        retriever,
        llm_adapter,
        objective,
        data,
        groups,
        ..
    } = input;
    let batch = objective.wants(Scope::Batch).then(|| data.batch(groups));
    let step = Step {
        retriever,
        texts: &StepTexts::new(retriever, data, groups, batch.as_ref())?,
        temperature: input.temperature,
        chunk_tokens: input.chunk_tokens,
        dropout_seed: input.dropout_seed,
    };
    let mut llm_gradients = llm_adapter.map(LoraAdapter::zero_gradients);
    let mut result = step.compute(|place, weights| {
        let group = match place {
            GroupPlace::Prompt(_) if !objective.wants(Scope::Prompt) => return Ok(Vec::new()),
            GroupPlace::Prompt(number) => Some(&groups[number]),
            GroupPlace::Batch => batch.as_ref(),
        };
        let Some(group) = group else {
            return Ok(Vec::new());
        };
        let tuning = llm_adapter.zip(llm_gradients.as_mut());
        objective.evaluate(Request {
            scope: place.scope(),
            group: &data.texts(group),
            weights,
            tuning: tuning.map(|(adapter, gradients)| Tuning {
                adapter,
                gradients,
                dropout_seed: input.dropout_seed.map(|seed| mix(seed ^ tuned::SEED)),
            }),
        })
    })?;
    if let Some(gradients) = &mut llm_gradients {
        gradients.scale(1.0 / step.texts.n_queries() as f32);
    }
    result.llm_gradients = llm_gradients;
    Ok(result)
}

/// The texts of a step, each once, however many groups it stands in.
#[derive(Debug, Default)]
pub struct StepTexts {
    /// Queries and documents; their places here are their embeddings' rows.
    pub texts: Vec<Text>,
    /// The prompts' groups.
    pub groups: Vec<GroupTexts>,
    /// All of them as one group, if the objective looks at such.
    pub batch: Option<GroupTexts>,
}

/// Which group of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupPlace {
    /// That of a prompt, by number.
    Prompt(usize),
    /// All prompts' together.
    Batch,
}

impl GroupPlace {
    fn scope(self) -> Scope {
        match self {
            Self::Prompt(_) => Scope::Prompt,
            Self::Batch => Scope::Batch,
        }
    }
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
    /// Numbers of documents that each query must not see.
    pub hidden: Vec<Vec<usize>>,
}

impl StepTexts {
    fn new(
        retriever: &Retriever,
        data: &TrainData,
        groups: &[GroupIndex],
        batch: Option<&GroupIndex>,
    ) -> Result<Self> {
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
        let mut places_of = |group: &GroupIndex| {
            let mut places = GroupTexts::default();
            for document in &group.documents {
                places.documents.push(place(Role::Document, *document)?);
            }
            for query in &group.queries {
                if query.hidden.len() == group.documents.len() {
                    return Err(Error::Invalid(format!(
                        "the query {:?} has no candidate document that known_passage = \"exclude\" does \
                         not hide from it, out of {}: raise data.candidates",
                        data.set.rows[query.row].query,
                        group.documents.len()
                    )));
                }
                places.queries.push(place(Role::Query, query.row)?);
                places.positives.push(query.positives.clone());
                places.hidden.push(query.hidden.clone());
            }
            Ok::<_, Error>(places)
        };
        let places: Vec<GroupTexts> = groups.iter().map(&mut places_of).collect::<Result<_>>()?;
        let batch = batch.map(places_of).transpose()?;
        Ok(Self {
            groups: places,
            batch,
            ..step
        })
    }

    fn n_queries(&self) -> usize {
        self.groups.iter().map(|group| group.queries.len()).sum()
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
    /// (`[queries][documents]`), or nothing where a group does not matter, and goes back.
    pub fn compute(
        self,
        mut judge: impl FnMut(GroupPlace, &[Vec<f32>]) -> Result<Vec<QueryLoss>>,
    ) -> Result<StepResult> {
        let StepTexts {
            texts,
            groups,
            batch,
        } = self.texts;
        let embedded = Embedded::new(self, texts);
        let embeddings = &embedded.embeddings;
        let mut d_embeddings = Matrix::zeros(embeddings.rows(), embeddings.cols());
        let n_queries = self.texts.n_queries();
        let share = 1.0 / n_queries as f32;
        let mut result = StepResult {
            loss: 0.0,
            gradients: self.retriever.zero_gradients()?,
            llm_gradients: None,
            d_log_temperature: 0.0,
            weight_entropy: 0.0,
            weight_on_positive: None,
            retriever_tokens: texts.iter().map(|text| text.ids.len() as u64).sum(),
        };
        let mut on_positives = Vec::new();
        let prompts = groups.iter().enumerate();
        let prompts = prompts.map(|(number, group)| (GroupPlace::Prompt(number), group));
        for (place, group) in prompts.chain(batch.iter().map(|group| (GroupPlace::Batch, group))) {
            let logits = self.logits(embeddings, group);
            let pairs = logits.iter().zip(&group.hidden);
            let weights = pairs
                .map(|(logits, hidden)| document_weights(logits, hidden))
                .collect::<Result<Vec<_>>>()?;
            if place.scope() == Scope::Prompt {
                for (weights, positives) in weights.iter().zip(&group.positives) {
                    result.weight_entropy += entropy(weights) / n_queries as f64;
                    if !positives.is_empty() {
                        let on = positives.iter().map(|p| f64::from(weights[*p]));
                        on_positives.push(on.sum::<f64>());
                    }
                }
            }
            let losses = judge(place, &weights)?;
            for (i, QueryLoss { loss, d_logits }) in losses.iter().enumerate() {
                result.loss += f64::from(*loss) / n_queries as f64;
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
