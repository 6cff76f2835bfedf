#!/usr/bin/env python3
"""Loads an adapter written by `dream train` with PEFT and compares its embeddings with those of `dream embed --adapter --json`.

usage: peft_roundtrip.py BASE --adapter DIR --ours FILE (--ids FILE | --texts FILE) [--pooling ...] [--eos] [--tolerance 1e-4]
The arguments are those of transformers_embed.py, plus the adapter's folder. Also fails when the adapter changes nothing
or when PEFT leaves a tensor of the adapter file unused (which it only warns of).
Needs, in an environment of its own: pip install torch transformers peft safetensors gguf accelerate
"""
import sys
from pathlib import Path

import torch
from peft import PeftModel
from safetensors import safe_open

import transformers_embed as plain


def load_adapted(base, adapter):
    """`base` with the adapter. A CausalLM adapter (`base_model.model.model...`) needs a CausalLM base; its body is what is used."""
    with safe_open(adapter / "adapter_model.safetensors", "pt") as tensors:
        saved = {name: tensors.get_tensor(name) for name in tensors.keys()}
    causal = any(name.startswith("base_model.model.model.") for name in saved)
    folder, extra = plain.where(base)
    if causal:
        from transformers import AutoModelForCausalLM

        body = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, **extra)
    else:
        body = plain.load_body(base)
    model = PeftModel.from_pretrained(body, adapter).eval()
    loaded = {name.replace(".default.weight", ".weight"): p for name, p in model.named_parameters() if "lora_" in name}
    if set(saved) != set(loaded):
        sys.exit(f"names differ: only in the file {sorted(set(saved) - set(loaded))[:3]}, not in the file {sorted(set(loaded) - set(saved))[:3]}")
    for name, tensor in saved.items():
        if not torch.equal(tensor.float(), loaded[name].float()):
            sys.exit(f"PEFT did not load {name}")
    if not any(tensor.abs().max() > 0 for name, tensor in saved.items() if "lora_B" in name):
        sys.exit("every lora_B is zero: the adapter changes nothing")
    inner = model.base_model.model
    return inner.model if causal else inner


if __name__ == "__main__":
    parser = plain.arguments(__doc__)
    parser.add_argument("--adapter", type=Path, required=True)
    given = parser.parse_args()
    plain.compare(load_adapted(given.model, given.adapter), given)
