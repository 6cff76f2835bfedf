//! The decoder's forward pass, with or without a tape for the way back.

use super::{Batch, Decoder, Layer, PrefixCache};
use crate::model::lora::{LoraAdapter, Module};
use dream_nn::ops::attention::{self, Input, KeyReader, KeyValues, PlainReader, Recorded};
use dream_nn::ops::lora::{Dropout, Lora, mix};
use dream_nn::ops::rope::Rope;
use dream_nn::ops::{embedding, rms_norm, swiglu};
use dream_nn::{Activations, Dtype, LowRank, Matrix};

/// What runs through the decoder, and how.
#[derive(Debug)]
pub struct Pass<'a, R> {
    /// The sequences.
    pub batch: &'a Batch,
    /// Documents that every sequence continues.
    pub prefix: Option<&'a PrefixCache>,
    /// Adapters, where a retriever runs, or a language model that is tuned too.
    pub lora: Option<&'a LoraAdapter>,
    /// Seed of the adapters' dropout; `None` outside training.
    pub dropout_seed: Option<u64>,
    /// What attention rows make of their logits.
    pub reader: &'a R,
    /// Rows whose final hidden states are wanted, ascending; all where it is `None`. The last layer
    /// computes no others beyond its keys and values.
    pub wanted: Option<&'a [usize]>,
}

impl<'a> Pass<'a, PlainReader> {
    /// The plain model over some sequences.
    pub fn plain(batch: &'a Batch) -> Self {
        Self {
            batch,
            prefix: None,
            lora: None,
            dropout_seed: None,
            reader: &PlainReader,
            wanted: None,
        }
    }
}

/// What a forward pass gives.
#[derive(Debug)]
pub struct Output<T> {
    /// Hidden states after the final norm, `[rows, hidden_size]`, of the wanted rows alone.
    pub hidden: Matrix,
    /// What the reader gathered, layer by layer.
    pub records: Vec<Recorded<T>>,
}

/// What the backward pass needs of the forward pass, from `from_layer` on.
#[derive(Debug, Default)]
pub struct Tape {
    /// The lowest layer that has to be differentiated.
    pub from_layer: usize,
    pub(super) layers: Vec<LayerTape>,
    /// Input of the final norm, `[wanted rows, hidden_size]`.
    pub(super) x: Matrix,
}

impl Tape {
    /// An empty tape that will record from `from_layer` on.
    pub fn from_layer(from_layer: usize) -> Self {
        Self {
            from_layer,
            ..Self::default()
        }
    }

    /// Keys and values of a pass that was recorded from layer 0 on, as a prefix for others.
    pub fn keys_values(&self, rows: usize) -> PrefixCache {
        PrefixCache {
            len: rows,
            layers: self.layers.iter().map(|layer| layer.own.clone()).collect(),
        }
    }
}

/// Activations of one layer; in the last, what follows attention has the wanted rows alone. Norms, activations and low-rank products are computed anew on the way
/// back: they are cheap and would double this.
#[derive(Debug)]
pub(super) struct LayerTape {
    /// `[rows, hidden_size]`
    pub x_in: Matrix,
    /// Queries and keys before their norms, where the model has such.
    pub before_qk_norm: Option<(Matrix, Matrix)>,
    /// `[rows, n_heads * head_dim]`, after RoPE.
    pub q: Matrix,
    /// `[rows, n_kv_heads * head_dim]`, keys after RoPE.
    pub own: KeyValues,
    /// Attention's output, `[rows, n_heads * head_dim]`.
    pub attended: Matrix,
    /// `[rows, hidden_size]`
    pub x_mid: Matrix,
    /// `[rows, intermediate_size]`
    pub gate: Matrix,
    /// `[rows, intermediate_size]`
    pub up: Matrix,
    /// What each adapter made of its input, `[rows, r]`.
    pub narrow: Narrow,
}

/// The narrow products of a layer's adapters, in the order of [`Module::ALL`].
pub(super) type Narrow = [Option<Matrix>; 7];

impl Decoder {
    /// Keys and values of sequences, one after the other, without gradient and without the last
    /// layer's rest.
    pub fn prefill(&self, batch: &Batch) -> PrefixCache {
        let pass = Pass::plain(batch);
        let rope = Rope::new(&self.inverse_frequencies, &batch.positions);
        let mut x = embedding::forward(&self.embed_tokens, &batch.ids);
        let mut layers = Vec::with_capacity(self.layers.len());
        for number in 0..self.layers.len() {
            let narrow = &mut Narrow::default();
            let (q, own, _) = self.queries_keys_values(number, &x, &rope, &pass, &[], narrow);
            if number + 1 < self.layers.len() {
                let (attended, _) = self.attend(number, &q, &own, &pass);
                x = self
                    .finish_layer(number, &x, &attended, &pass, &[], narrow)
                    .x_out;
            }
            layers.push(own);
        }
        PrefixCache {
            len: batch.rows(),
            layers,
        }
    }

    /// Runs a pass; fills `tape` if there will be a way back.
    pub fn forward<R: KeyReader>(
        &self,
        pass: &Pass<'_, R>,
        mut tape: Option<&mut Tape>,
    ) -> Output<R::Record> {
        let rope = Rope::new(&self.inverse_frequencies, &pass.batch.positions);
        let row_keys = pass.row_keys();
        let mut x = embedding::forward(&self.embed_tokens, &pass.batch.ids);
        let mut records = Vec::new();
        for number in 0..self.layers.len() {
            let narrow = &mut Narrow::default();
            let (q, own, before_qk_norm) =
                self.queries_keys_values(number, &x, &rope, pass, &row_keys, narrow);
            let (attended, recorded) = self.attend(number, &q, &own, pass);
            records.extend(recorded);
            let x_in = x;
            let wanted = pass.wanted_of(number, self.layers.len());
            let (attended, rest) = match wanted {
                None => {
                    let rest = self.finish_layer(number, &x_in, &attended, pass, &row_keys, narrow);
                    (attended, rest)
                }
                Some(rows) => {
                    let attended = attended.gathered(rows);
                    let keys = gathered_keys(&row_keys, rows);
                    let x = x_in.gathered(rows);
                    let rest = self.finish_layer(number, &x, &attended, pass, &keys, narrow);
                    (attended, rest)
                }
            };
            x = rest.x_out;
            if let Some(tape) = tape.as_deref_mut().filter(|tape| number >= tape.from_layer) {
                tape.layers.push(LayerTape {
                    x_in,
                    before_qk_norm,
                    q,
                    own,
                    attended,
                    x_mid: rest.x_mid,
                    gate: rest.gate,
                    up: rest.up,
                    narrow: std::mem::take(narrow),
                });
            }
        }
        let hidden = rms_norm::forward(&x, &self.norm, self.config.rms_norm_eps);
        if let Some(tape) = tape {
            tape.x = x;
        }
        Output { hidden, records }
    }

    /// Queries, own keys and values of a layer, after RoPE; and, where the model norms queries and
    /// keys, what they were before.
    fn queries_keys_values<R>(
        &self,
        number: usize,
        x: &Matrix,
        rope: &Rope,
        pass: &Pass<'_, R>,
        row_keys: &[u64],
        narrow: &mut Narrow,
    ) -> (Matrix, KeyValues, Option<(Matrix, Matrix)>) {
        let layer = &self.layers[number];
        let normed = self.normed(x, &layer.input_layernorm);
        let normed = Activations::from(&normed);
        let mut project =
            |module| pass.linear(number, layer, module, &normed, None, row_keys, narrow);
        let (mut q, mut k) = (project(Module::QProj), project(Module::KProj));
        let v = project(Module::VProj);
        let mut before = None;
        if let (Some(q_norm), Some(k_norm)) = (&layer.q_norm, &layer.k_norm) {
            let eps = self.config.rms_norm_eps;
            let (raw_q, raw_k) = (q, k);
            q = rms_norm::forward(&raw_q, q_norm, eps);
            k = rms_norm::forward(&raw_k, k_norm, eps);
            before = Some((raw_q, raw_k));
        }
        rope.forward(q.data_mut());
        rope.forward(k.data_mut());
        (q, KeyValues { k, v }, before)
    }

    fn attend<R: KeyReader>(
        &self,
        number: usize,
        q: &Matrix,
        own: &KeyValues,
        pass: &Pass<'_, R>,
    ) -> (Matrix, Vec<Recorded<R::Record>>) {
        attention::forward(&self.attention_input(number, q, own, pass), pass.reader)
    }

    pub(super) fn attention_input<'a, R>(
        &self,
        number: usize,
        q: &'a Matrix,
        own: &'a KeyValues,
        pass: &'a Pass<'_, R>,
    ) -> Input<'a> {
        Input {
            heads: self.heads(),
            dtype: Dtype::F32,
            layer: number,
            segments: &pass.batch.segments,
            prefix: pass.prefix.map(|prefix| &prefix.layers[number]),
            prefix_gradient: false,
            q,
            own,
        }
    }

    /// Output projection and feed-forward part, each added to what comes in.
    fn finish_layer<R>(
        &self,
        number: usize,
        x: &Matrix,
        attended: &Matrix,
        pass: &Pass<'_, R>,
        row_keys: &[u64],
        narrow: &mut Narrow,
    ) -> FeedForward {
        let layer = &self.layers[number];
        let mut linear = |module, input: &Activations<'_>, residual: Option<&Matrix>| {
            pass.linear(number, layer, module, input, residual, row_keys, narrow)
        };
        let x_mid = linear(Module::OProj, &attended.into(), Some(x));
        let normed = self.normed(&x_mid, &layer.post_attention_layernorm);
        let normed = Activations::from(&normed);
        let gate = linear(Module::GateProj, &normed, None);
        let up = linear(Module::UpProj, &normed, None);
        let activation = swiglu::forward(&gate, &up);
        let x_out = linear(Module::DownProj, &(&activation).into(), Some(&x_mid));
        FeedForward {
            x_mid,
            gate,
            up,
            x_out,
        }
    }

    pub(super) fn normed(&self, x: &Matrix, weight: &[f32]) -> Matrix {
        rms_norm::forward(x, weight, self.config.rms_norm_eps)
    }
}

struct FeedForward {
    x_mid: Matrix,
    gate: Matrix,
    up: Matrix,
    x_out: Matrix,
}

/// The names of some rows, if rows have names.
pub(super) fn gathered_keys(row_keys: &[u64], rows: &[usize]) -> Vec<u64> {
    let keys = rows.iter().filter_map(|row| row_keys.get(*row));
    keys.copied().collect()
}

impl<R> Pass<'_, R> {
    /// The rows' names, needed for dropout alone.
    pub(super) fn row_keys(&self) -> Vec<u64> {
        let drops = self.dropout_seed.is_some()
            && self.lora.is_some_and(|lora| lora.config.lora_dropout > 0.0);
        if drops {
            self.batch.row_keys()
        } else {
            Vec::new()
        }
    }

    /// The rows that a layer computes beyond attention, if not all.
    pub(super) fn wanted_of(&self, layer: usize, n_layers: usize) -> Option<&[usize]> {
        self.wanted.filter(|_| layer + 1 == n_layers)
    }

    pub(super) fn lora(&self, layer: usize, module: Module) -> Option<&Lora> {
        self.lora
            .and_then(|lora| lora.layers[layer][module as usize].as_ref())
    }

    pub(super) fn dropout<'k>(
        &self,
        layer: usize,
        module: Module,
        row_keys: &'k [u64],
    ) -> Option<Dropout<'k>> {
        let rate = self.lora?.config.lora_dropout;
        let seed = self.dropout_seed?;
        let place = (layer * Module::ALL.len() + module as usize) as u64;
        (rate > 0.0).then(|| Dropout {
            rate,
            seed: mix(seed ^ mix(place)),
            row_keys,
        })
    }

    /// A linear layer with its adapter, onto a residual stream if there is one.
    #[expect(clippy::too_many_arguments, reason = "all of them")]
    fn linear(
        &self,
        number: usize,
        layer: &Layer,
        module: Module,
        x: &Activations<'_>,
        residual: Option<&Matrix>,
        row_keys: &[u64],
        narrow: &mut Narrow,
    ) -> Matrix {
        let linear = layer.linear(module);
        let Some(lora) = self.lora(number, module) else {
            return linear.forward(x, residual, None);
        };
        let dropout = self.dropout(number, module, row_keys);
        let left = narrow[module as usize].insert(lora.narrow(x.exact(), dropout));
        let right = &lora.b.transposed();
        linear.forward(x, residual, Some(LowRank { left, right }))
    }
}
