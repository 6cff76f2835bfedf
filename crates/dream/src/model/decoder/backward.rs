//! The decoder's way back: to the adapters, and to whatever the attention reader differentiates.

use super::forward::{LayerTape, Narrow, gathered_keys};
use super::{Decoder, Pass, Tape};
use crate::model::lora::{LoraGradients, Module};
use dream_nn::gemm::product;
use dream_nn::ops::attention::{self, Input, KeyReader, KeyValues, Recorded};
use dream_nn::ops::rope::Rope;
use dream_nn::ops::{rms_norm, swiglu};
use dream_nn::{LowRank, Matrix, Start};
use std::borrow::Cow;

/// Where a backward pass begins and ends, beside the final hidden states and the reader.
#[derive(Debug, Default)]
pub struct Ends<'a> {
    /// Adapters' gradients, which are added to.
    pub gradients: Option<&'a mut LoraGradients>,
    /// What other passes say about this one's keys and values after RoPE, layer by layer from 0; needs
    /// a tape from layer 0 on.
    pub d_own: Option<&'a [KeyValues]>,
    /// Whether to collect the gradient of the prefix.
    pub prefix: bool,
}

/// What a backward pass found.
#[derive(Debug)]
pub struct Found<T> {
    /// What the reader gathered, layer by layer from the top.
    pub records: Vec<Recorded<T>>,
    /// Gradient of the prefix's keys and values, layer by layer from the tape's lowest; empty unless
    /// asked for.
    pub d_prefix: Vec<KeyValues>,
}

/// The part of a backward pass that is the same in every layer.
struct Way<'a, 'p, R> {
    decoder: &'a Decoder,
    pass: &'a Pass<'p, R>,
    rope: Rope,
    row_keys: &'a [u64],
    ends: Ends<'a>,
    d_prefix: Vec<KeyValues>,
}

/// Where the way back has come to.
#[derive(Clone, Copy)]
struct At<'a> {
    /// The layer.
    number: usize,
    /// What its adapters made of their inputs.
    narrow: &'a Narrow,
    /// Names of the rows, for dropout.
    row_keys: &'a [u64],
}

impl Decoder {
    /// Goes back from `d_hidden [wanted rows, hidden_size]`, the gradient of the final hidden states,
    /// down to the tape's lowest layer. Adds the adapters' gradients to `gradients` and returns what the
    /// reader gathered, layer by layer from the top.
    pub fn backward<R: KeyReader>(
        &self,
        pass: &Pass<'_, R>,
        tape: Tape,
        d_hidden: &Matrix,
        gradients: Option<&mut LoraGradients>,
    ) -> Vec<Recorded<R::Record>> {
        let ends = Ends {
            gradients,
            ..Ends::default()
        };
        self.backward_between(pass, tape, d_hidden, ends).records
    }

    /// [`Self::backward`] for passes that read each other's keys and values.
    pub fn backward_between<R: KeyReader>(
        &self,
        pass: &Pass<'_, R>,
        tape: Tape,
        d_hidden: &Matrix,
        ends: Ends<'_>,
    ) -> Found<R::Record> {
        assert!(
            pass.lora.is_none() || ends.gradients.is_some(),
            "the way back through adapters collects their gradients. This is a bug."
        );
        let row_keys = pass.row_keys();
        let mut way = Way {
            decoder: self,
            pass,
            rope: Rope::new(&self.inverse_frequencies, &pass.batch.positions),
            row_keys: &row_keys,
            ends,
            d_prefix: Vec::new(),
        };
        let mut d_x = Matrix::zeros(d_hidden.rows(), d_hidden.cols());
        let eps = self.config.rms_norm_eps;
        rms_norm::backward(
            tape.x.data(),
            &self.norm,
            eps,
            d_hidden.data(),
            d_x.data_mut(),
        );
        let mut records = Vec::new();
        for (i, saved) in tape.layers.into_iter().enumerate().rev() {
            let lowest = i == 0;
            records.extend(way.layer(tape.from_layer + i, saved, &mut d_x, lowest));
        }
        let mut d_prefix = way.d_prefix;
        d_prefix.reverse();
        Found { records, d_prefix }
    }
}

impl<R: KeyReader> Way<'_, '_, R> {
    /// One layer back: `d_x` comes as the gradient of the layer's output and leaves as that of its
    /// input (in the lowest layer nobody asks for it, so it is left unfinished).
    fn layer(
        &mut self,
        number: usize,
        saved: LayerTape,
        d_x: &mut Matrix,
        lowest: bool,
    ) -> Vec<Recorded<R::Record>> {
        let LayerTape {
            x_in,
            before_qk_norm,
            q,
            own,
            attended,
            x_mid,
            mut gate,
            mut up,
            narrow,
        } = saved;
        let layer = &self.decoder.layers[number];
        let eps = self.decoder.config.rms_norm_eps;
        let wanted = self.pass.wanted_of(number, self.decoder.layers.len());
        let row_keys = match wanted {
            None => Cow::Borrowed(self.row_keys),
            Some(rows) => Cow::Owned(gathered_keys(self.row_keys, rows)),
        };
        let at = At {
            number,
            narrow: &narrow,
            row_keys: &row_keys,
        };

        // feed-forward: x = x_mid + down(silu(gate) * up)
        let activation = swiglu::forward(&gate, &up);
        let d_activation = self.linear(at, Module::DownProj, &activation, d_x, Start::Zero);
        swiglu::backward(gate.data_mut(), up.data_mut(), d_activation.data());
        let normed = self.decoder.normed(&x_mid, &layer.post_attention_layernorm);
        let d_normed = self.linear(at, Module::GateProj, &normed, &gate, Start::Zero);
        let d_normed = self.linear(at, Module::UpProj, &normed, &up, Start::Into(d_normed));
        let norm = &layer.post_attention_layernorm;
        rms_norm::backward(x_mid.data(), norm, eps, d_normed.data(), d_x.data_mut());

        // attention: x_mid = x_in + o(attend(q, k, v))
        let mut d_attended = self.linear(at, Module::OProj, &attended, d_x, Start::Zero);
        if let Some(rows) = wanted {
            d_attended = d_attended.scattered(rows, x_in.rows());
            *d_x = d_x.scattered(rows, x_in.rows());
        }
        let input = Input {
            prefix_gradient: self.ends.prefix,
            ..self.decoder.attention_input(number, &q, &own, self.pass)
        };
        let (mut d, records) = attention::backward(&input, self.pass.reader, &d_attended);
        self.d_prefix.extend(d.d_prefix.take());
        if lowest && self.ends.gradients.is_none() {
            return records;
        }
        if let Some(d_own) = self.ends.d_own {
            d.d_k.add_assign(&d_own[number].k);
            d.d_v.add_assign(&d_own[number].v);
        }
        self.rope.backward(d.d_q.data_mut());
        self.rope.backward(d.d_k.data_mut());
        if let (Some((raw_q, raw_k)), Some(q_norm), Some(k_norm)) =
            (&before_qk_norm, &layer.q_norm, &layer.k_norm)
        {
            d.d_q = head_norm_backward(raw_q, q_norm, eps, &d.d_q);
            d.d_k = head_norm_backward(raw_k, k_norm, eps, &d.d_k);
        }
        let normed = self.decoder.normed(&x_in, &layer.input_layernorm);
        let at = At {
            row_keys: self.row_keys,
            ..at
        };
        if lowest {
            self.adapter(at, Module::QProj, &normed, &d.d_q);
            self.adapter(at, Module::KProj, &normed, &d.d_k);
            self.adapter(at, Module::VProj, &normed, &d.d_v);
            return records;
        }
        let d_normed = self.linear(at, Module::QProj, &normed, &d.d_q, Start::Zero);
        let d_normed = self.linear(at, Module::KProj, &normed, &d.d_k, Start::Into(d_normed));
        let d_normed = self.linear(at, Module::VProj, &normed, &d.d_v, Start::Into(d_normed));
        let norm = &layer.input_layernorm;
        rms_norm::backward(x_in.data(), norm, eps, d_normed.data(), d_x.data_mut());
        records
    }

    /// A linear layer and its adapter, back: `d_x + dL/dx`, given the module's input and `d_y`.
    fn linear(
        &mut self,
        at: At<'_>,
        module: Module,
        x: &Matrix,
        d_y: &Matrix,
        d_x: Start<'_>,
    ) -> Matrix {
        let narrow = self.adapter(at, module, x, d_y);
        let linear = self.decoder.layers[at.number].linear(module);
        let (Some(left), Some(lora)) = (narrow, self.pass.lora(at.number, module)) else {
            return linear.input_gradient(&d_y.into(), d_x, None);
        };
        let (left, right) = (&left, &lora.a);
        match self.pass.dropout(at.number, module, at.row_keys) {
            None => linear.input_gradient(&d_y.into(), d_x, Some(LowRank { left, right })),
            Some(dropout) => {
                let d_dropped = product(left.view(), right.view());
                let mut d_x = linear.input_gradient(&d_y.into(), d_x, None);
                d_x.add_assign(&dropout.apply(&d_dropped));
                d_x
            }
        }
    }

    /// An adapter back: adds to its gradient, returns that of `drop(x) A^T`, `[rows, r]`.
    fn adapter(&mut self, at: At<'_>, module: Module, x: &Matrix, d_y: &Matrix) -> Option<Matrix> {
        let lora = self.pass.lora(at.number, module)?;
        let gradients = self.ends.gradients.as_mut()?;
        let gradient = gradients.layers[at.number][module as usize].as_mut()?;
        let narrow = at.narrow[module as usize].as_ref()?;
        let dropout = self.pass.dropout(at.number, module, at.row_keys);
        Some(lora.backward(x, dropout, narrow, d_y, gradient))
    }
}

fn head_norm_backward(x: &Matrix, weight: &[f32], eps: f32, d_y: &Matrix) -> Matrix {
    let mut d_x = Matrix::zeros(x.rows(), x.cols());
    rms_norm::backward(x.data(), weight, eps, d_y.data(), d_x.data_mut());
    d_x
}
