#!/usr/bin/env python3
"""Compares the embeddings of `dream embed --json` with those of transformers for the same token ids.

usage: transformers_embed.py MODEL --ours FILE (--ids FILE | --texts FILE) [--pooling last|mean|mean-skip-first] [--eos] [--tolerance 1e-4]
MODEL   a folder with config.json and safetensors, or a .gguf file
--ours  what `dream embed --model MODEL --json` printed: one {"index","tokens","embedding"} a line
--ids   one JSON list of token ids (or {"ids": [...]}) a line: compares the models alone
--texts one text a line, tokenised with MODEL's tokenizer (--eos appends its EOS): compares tokenizers too, through "tokens"
Prints one JSON line; exit code 1 if any text differs by more than the tolerance.
Needs, in an environment of its own: pip install torch transformers safetensors gguf accelerate
"""
import argparse
import json
import os
import sys
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")
import torch
from transformers import AutoModel, AutoTokenizer


def arguments(description):
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--ours", type=Path, required=True)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--ids", type=Path)
    source.add_argument("--texts", type=Path)
    parser.add_argument("--pooling", choices=["last", "mean", "mean-skip-first"], default="last")
    parser.add_argument("--eos", action="store_true")
    parser.add_argument("--max-tokens", type=int, help="cut texts to this many tokens, the EOS included")
    parser.add_argument("--tolerance", type=float, default=1e-4, help="largest allowed difference of any component")
    return parser


def where(model):
    """A folder and, for a GGUF file, the keyword that transformers wants beside it."""
    return (model.parent, {"gguf_file": model.name}) if model.suffix == ".gguf" else (model, {})


def load_body(model):
    folder, extra = where(model)
    return AutoModel.from_pretrained(folder, dtype=torch.float32, **extra).eval()


def sequences(args):
    if args.ids:
        rows = [json.loads(line) for line in args.ids.read_text().splitlines() if line.strip()]
        return [row["ids"] if isinstance(row, dict) else row for row in rows]
    folder, extra = where(args.model)
    tokenizer = AutoTokenizer.from_pretrained(folder, **extra)
    room = None if args.max_tokens is None else args.max_tokens - args.eos
    tail = [tokenizer.eos_token_id] if args.eos else []
    return [tokenizer(text)["input_ids"][:room] + tail for text in args.texts.read_text(encoding="utf-8").split("\n")[:-1]]


def embed(model, ids, pooling):
    with torch.no_grad():
        states = model(input_ids=torch.tensor([ids]), use_cache=False).last_hidden_state[0].float()
    pooled = {"last": lambda: states[-1], "mean": lambda: states.mean(0), "mean-skip-first": lambda: states[1:].mean(0) if len(ids) > 1 else states[0]}[pooling]()
    return torch.nn.functional.normalize(pooled, dim=0)


def compare(model, args):
    ids = sequences(args)
    ours = sorted((json.loads(line) for line in args.ours.read_text().splitlines() if line.strip()), key=lambda row: row["index"])
    if len(ours) != len(ids):
        sys.exit(f"{len(ids)} texts, but {len(ours)} lines in {args.ours}")
    worst, cosine, wrong = 0.0, 1.0, []
    for row, tokens in zip(ours, ids):
        theirs, mine = embed(model, tokens, args.pooling), torch.tensor(row["embedding"])
        if mine.shape != theirs.shape:
            sys.exit(f"text {row['index']}: {len(mine)} numbers, wanted {len(theirs)}")
        difference = (mine - theirs).abs().max().item()
        worst, cosine = max(worst, difference), min(cosine, torch.dot(mine, theirs).item())
        if not difference <= args.tolerance or row.get("tokens", len(tokens)) != len(tokens):
            wrong.append({"index": row["index"], "difference": difference, "tokens": [row.get("tokens"), len(tokens)]})
    print(json.dumps({"texts": len(ids), "largest_difference": worst, "smallest_cosine": cosine, "tolerance": args.tolerance, "wrong": wrong[:10]}))
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    given = arguments(__doc__).parse_args()
    compare(load_body(given.model), given)
