//! Detection: score all heads of a language model on prompts with one known passage each.

use super::HeadList;
use super::scoring::{NULL_QUESTION, document_scores};
use super::select::{Ranking, Selector};
use crate::llm::{InjectionConfig, ReadDocuments, judge};
use crate::model::Model;
use crate::prompt::{Packer, PromptLimits, Template};
use crate::{Error, Result};
use dream_ir::{
    Bm25, Corpus, Document, KnownPassage, Pool, PoolSettings, PoolSource, TrainingRow, TrainingSet,
};
use rand::SeedableRng;
use rand::seq::{SliceRandom, index};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

/// Where a detection prompt's other documents come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Negatives {
    /// The best by BM25: hard ones.
    #[default]
    Bm25,
    /// Random documents of the corpus.
    Random,
}

/// How heads are looked for; the `[llm.detect]` table of a training configuration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DetectSettings {
    /// Prompts scored.
    pub queries: usize,
    /// Documents a prompt, the known passage included; fewer only if the corpus holds fewer.
    pub candidates: usize,
    /// Where the others come from.
    pub negatives: Negatives,
    /// What makes a head a good one.
    pub selector: Selector,
    /// Heads to use.
    pub count: usize,
    /// Seed of sampling, order and the random selector.
    pub seed: u64,
}

impl Default for DetectSettings {
    fn default() -> Self {
        Self {
            queries: 128,
            candidates: 8,
            negatives: Negatives::Bm25,
            selector: Selector::Ndcg,
            count: 16,
            seed: 0,
        }
    }
}

/// Prompts for looking at heads: known passage and others, shuffled, with the row they belong to.
#[derive(Clone, Debug)]
pub struct Probe<'a> {
    /// The row.
    pub row: &'a TrainingRow,
    /// Its documents in prompt order.
    pub documents: Vec<&'a Document>,
    /// Places of known passages among them.
    pub positives: Vec<usize>,
}

/// Draws prompts from rows whose known passage the corpus holds.
///
/// # Errors
/// There is no such row, or a setting is out of range.
pub fn probes<'a>(set: &'a TrainingSet, settings: &DetectSettings) -> Result<Vec<Probe<'a>>> {
    if settings.candidates < 2 || settings.queries == 0 {
        let what = "head detection needs at least 1 query and 2 candidates a query";
        return Err(Error::Invalid(what.into()));
    }
    if set.corpus.len() < 2 {
        let what = "head detection needs at least 2 documents in the corpus";
        return Err(Error::Invalid(what.into()));
    }
    let known = |row: &&TrainingRow| {
        row.positive_ids
            .iter()
            .any(|id| set.corpus.index_of(id).is_some())
    };
    let mut rows: Vec<&TrainingRow> = set.rows.iter().filter(known).collect();
    if rows.is_empty() {
        let what = "head detection needs rows whose known passage (context_id) is in the corpus";
        return Err(Error::Invalid(what.into()));
    }
    let mut rng = ChaCha8Rng::seed_from_u64(settings.seed);
    rows.shuffle(&mut rng);
    rows.truncate(settings.queries);
    let pools = match settings.negatives {
        Negatives::Random => rows
            .iter()
            .map(|row| random_pool(row, &set.corpus, settings, &mut rng))
            .collect(),
        Negatives::Bm25 => {
            let owned: Vec<TrainingRow> = rows.iter().map(|row| (*row).clone()).collect();
            let bm25 = dream_ir::Bm25Params::default();
            let pool_settings = PoolSettings {
                known_passage: KnownPassage::Include,
                seed: settings.seed,
                ..PoolSettings::new(PoolSource::Bm25, settings.candidates)
            };
            let index = Bm25::of_corpus(&set.corpus, bm25)?;
            dream_ir::pools::bm25_pools(&owned, &set.corpus, &index, &pool_settings)?
        }
    };
    let probe = |(number, (row, pool)): (usize, (&&'a TrainingRow, &Pool))| {
        let pool = pool.shuffled(settings.seed, 0, number);
        let documents = pool
            .documents
            .iter()
            .map(|d| &set.corpus.documents()[*d])
            .collect();
        Probe {
            row,
            documents,
            positives: pool.positives,
        }
    };
    Ok(rows.iter().zip(&pools).enumerate().map(probe).collect())
}

fn random_pool(
    row: &TrainingRow,
    corpus: &Corpus,
    settings: &DetectSettings,
    rng: &mut ChaCha8Rng,
) -> Pool {
    let mut documents: Vec<usize> = row
        .positive_ids
        .iter()
        .filter_map(|id| corpus.index_of(id))
        .take(1)
        .collect();
    let drawn = settings.candidates.saturating_add(1).min(corpus.len());
    for document in index::sample(rng, corpus.len(), drawn) {
        if documents.len() < settings.candidates && !documents.contains(&document) {
            documents.push(document);
        }
    }
    Pool::new(documents, row, corpus)
}

/// Scores all heads. `progress` hears how many prompts are done and may stop by returning `false`.
///
/// # Errors
/// A prompt does not fit the model, the model gives no numbers, or the caller stopped.
pub fn detect(
    model: &Model,
    packer: &Packer<'_>,
    probes: &[Probe<'_>],
    settings: &DetectSettings,
    mut progress: impl FnMut(usize) -> bool,
) -> Result<HeadList> {
    let config = &model.decoder.config;
    let (layers, heads) = (config.num_hidden_layers, config.num_attention_heads);
    let mut ranking = Ranking::new(settings.selector, settings.seed, layers, heads);
    let null_question = packer.question(NULL_QUESTION)?;
    for (done, probe) in probes.iter().enumerate() {
        let prefix = packer.prefix(probe.documents.iter().copied())?;
        let question = packer.question(&probe.row.query)?;
        packer.fits(prefix.ids.len(), question.len())?;
        let documents = ReadDocuments::new(&model.decoder, &prefix);
        let scores = document_scores(&model.decoder, &documents, &question, &null_question);
        if scores.iter().flatten().flatten().any(|s| !s.is_finite()) {
            return Err(Error::NotFinite(format!(
                "those of the model {}",
                model.path.display()
            )));
        }
        ranking.add(&scores, &probe.positives);
        if !progress(done + 1) {
            return Err(Error::Stopped);
        }
    }
    Ok(HeadList {
        heads: ranking.ranked(),
        selector: Some(settings.selector),
        selected: settings.count.min(layers * heads),
        model_digest: model.digest.clone(),
        prompts: probes.len(),
        candidates: probes.iter().map(|p| p.documents.len()).max().unwrap_or(0),
        negatives: match settings.negatives {
            Negatives::Bm25 => "bm25".into(),
            Negatives::Random => "random".into(),
        },
        seed: settings.seed,
        version: env!("CARGO_PKG_VERSION").into(),
    })
}

/// A seeded draw of heads without looking at the model's attention: the control.
pub fn random_heads(model: &Model, count: usize, seed: u64) -> Result<HeadList> {
    let config = &model.decoder.config;
    let ranking = Ranking::new(
        Selector::Random,
        seed,
        config.num_hidden_layers,
        config.num_attention_heads,
    );
    let heads = super::select::top(&ranking.ranked(), count)?;
    Ok(HeadList {
        seed,
        model_digest: model.digest.clone(),
        ..HeadList::unscored(&heads, Some(Selector::Random))
    })
}

/// How much the language model cares which document has the weight (method section 2.8), nats a
/// target token, means over prompts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Headroom {
    /// Prompts measured.
    pub prompts: usize,
    /// Loss of the plain model.
    pub ordinary: f64,
    /// Loss with equal weights.
    pub uniform: f64,
    /// Loss with all weight on the known passage.
    pub positive: f64,
    /// Loss with all weight on another document.
    pub wrong: f64,
    /// `uniform - positive`.
    pub headroom: f64,
    /// `wrong - positive`.
    pub contrast: f64,
    /// Share of prompts in which more weight on the known passage lowers the loss most.
    pub top1: f64,
    /// Attention that injected rows give to documents of their own accord.
    pub document_budget: f64,
}

/// Measures headroom on prompts, each with the template's target.
///
/// # Errors
/// As [`detect`].
pub fn headroom(
    model: &Model,
    packer: &Packer<'_>,
    config: &InjectionConfig,
    probes: &[Probe<'_>],
    mut progress: impl FnMut(usize) -> bool,
) -> Result<Headroom> {
    let mut sum = Headroom::default();
    for probe in probes {
        let prefix = packer.prefix(probe.documents.iter().copied())?;
        let suffix = packer.suffix(&probe.row.query, &probe.row.target)?;
        packer.fits(prefix.ids.len(), suffix.ids.len())?;
        let documents = ReadDocuments::new(&model.decoder, &prefix);
        let k = prefix.doc_spans.len();
        let positive = probe.positives[0];
        let one_hot = |place: usize| {
            let mut w = vec![0.0; k];
            w[place] = 1.0;
            w
        };
        let uniform = vec![1.0 / k as f32; k];
        let wrong = (positive + 1) % k;
        let suffixes = vec![suffix; 2];
        let weights = [one_hot(positive), one_hot(wrong)];
        let hard = judge(
            &model.decoder,
            config,
            &documents,
            &suffixes,
            &weights,
            false,
        )?;
        let soft = judge(
            &model.decoder,
            config,
            &documents,
            &suffixes[..1],
            &[uniform],
            true,
        )?
        .remove(0);
        let ordinary = crate::llm::ordinary_losses(&model.decoder, &documents, &suffixes[..1])[0];
        let losses = [ordinary, soft.loss, hard[0].loss, hard[1].loss];
        if !losses.iter().chain(&soft.d_weights).all(|x| x.is_finite()) {
            return Err(Error::NotFinite(format!(
                "those of the model {}",
                model.path.display()
            )));
        }
        let best = soft.d_weights.iter().copied().fold(f32::INFINITY, f32::min);
        sum.ordinary += f64::from(ordinary);
        sum.uniform += f64::from(soft.loss);
        sum.positive += f64::from(hard[0].loss);
        sum.wrong += f64::from(hard[1].loss);
        sum.top1 += f64::from(u8::from(soft.d_weights[positive] <= best));
        sum.document_budget += f64::from(soft.document_budget);
        sum.prompts += 1;
        if !progress(sum.prompts) {
            return Err(Error::Stopped);
        }
    }
    let n = sum.prompts.max(1) as f64;
    let mean = |x: f64| x / n;
    Ok(Headroom {
        prompts: sum.prompts,
        ordinary: mean(sum.ordinary),
        uniform: mean(sum.uniform),
        positive: mean(sum.positive),
        wrong: mean(sum.wrong),
        headroom: mean(sum.uniform - sum.positive),
        contrast: mean(sum.wrong - sum.positive),
        top1: mean(sum.top1),
        document_budget: mean(sum.document_budget),
    })
}

/// A packer for this model.
pub fn packer<'a>(model: &'a Model, template: &'a Template, limits: PromptLimits) -> Packer<'a> {
    Packer {
        tokenizer: &model.tokenizer,
        template,
        limits,
        context_tokens: model.decoder.config.max_position_embeddings,
    }
}
