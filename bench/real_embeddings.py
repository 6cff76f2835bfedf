#!/usr/bin/env python3
"""Sentences of the test sets as embeddings of a small sentence encoder, for `dream bench search --vectors`. See README.md."""
import argparse
import json
import pathlib
import random
import re
import subprocess
import time

import numpy as np
import torch
from transformers import AutoModel, PreTrainedTokenizerFast


def sentences(folder):
    """Different sentences of at least three words, in the order of the files."""
    seen = {}
    for path in sorted(pathlib.Path(folder).glob("*/corpus.jsonl*")):
        raw = path.read_bytes() if path.suffix == ".jsonl" else subprocess.run(["zstd", "-dc", path], capture_output=True, check=True).stdout
        for line in raw.decode().splitlines():
            for sentence in re.split(r"(?<=[.!?;:])\s+|\n+", json.loads(line)["text"]):
                words = sentence.split()
                if len(words) >= 3:
                    seen[" ".join(words)] = None
    return list(seen)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True, help="folder of data sets, each with a corpus.jsonl, plain or .zst")
    parser.add_argument("--model", required=True, help="folder with config.json, model.safetensors and tokenizer.json of a BERT")
    parser.add_argument("--out", required=True, help="folder for documents.f32 and queries.f32")
    parser.add_argument("--documents", type=int, default=200_000)
    parser.add_argument("--queries", type=int, default=1_000)
    parser.add_argument("--max-tokens", type=int, default=32)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--dtype", default="float32", choices=["float32", "bfloat16"])
    args = parser.parse_args()

    texts = sentences(args.data)
    random.Random(0).shuffle(texts)
    wanted = args.documents + args.queries
    if len(texts) < wanted:
        parser.error(f"{args.data} holds {len(texts)} different sentences, wanted {wanted}")
    texts = texts[:wanted]

    tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(pathlib.Path(args.model) / "tokenizer.json"), pad_token="[PAD]")
    model = AutoModel.from_pretrained(args.model, dtype=getattr(torch, args.dtype)).eval()
    # Alike in length, so that little is padded.
    order = sorted(range(wanted), key=lambda i: len(texts[i]))
    embeddings = np.zeros((wanted, model.config.hidden_size), dtype="<f4")
    tokens, start = 0, time.perf_counter()
    with torch.inference_mode():
        for first in range(0, wanted, args.batch):
            rows = order[first : first + args.batch]
            batch = tokenizer([texts[i] for i in rows], padding=True, truncation=True, max_length=args.max_tokens, return_tensors="pt")
            batch.setdefault("token_type_ids", torch.zeros_like(batch["input_ids"]))
            mask = batch["attention_mask"].unsqueeze(-1)
            tokens += int(mask.sum())
            states = model(**batch).last_hidden_state.float() * mask
            mean = states.sum(dim=1) / mask.sum(dim=1)
            embeddings[rows] = torch.nn.functional.normalize(mean, dim=1).numpy()
            if (first // args.batch) % 10 == 0:
                print(f"{first} of {wanted}, {time.perf_counter() - start:.0f} s", flush=True)
    out = pathlib.Path(args.out)
    out.mkdir(parents=True, exist_ok=True)
    embeddings[: args.documents].tofile(out / "documents.f32")
    embeddings[args.documents :].tofile(out / "queries.f32")
    print(json.dumps({"documents": args.documents, "queries": args.queries, "dim": embeddings.shape[1], "tokens": tokens,
                      "seconds": round(time.perf_counter() - start)}))


if __name__ == "__main__":
    main()
