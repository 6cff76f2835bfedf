#!/usr/bin/env python3
"""Times this program and its peers, alternating; prints each run, medians and the ratio. See README.md."""
import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
DREAM = os.environ.get("DREAM", str(ROOT / "target/release/dream"))
os.environ["HF_HUB_OFFLINE"] = "1"
# Set on some machines for an older OpenBLAS; a current numpy or faiss is slower with them.
for name in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"):
    os.environ.pop(name, None)


def last_json(command):
    """Runs a command; the JSON object on its last line."""
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))} failed:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def alternate(rounds, ours, theirs, unit):
    """Calls both `rounds` times, in turn; each gives (value, MiB). More is better only for rates."""
    results = {"dream": [], "peer": []}
    for _ in range(rounds):
        for name, run in (("dream", ours), ("peer", theirs)):
            value, mib = run()
            results[name].append((value, mib))
            print(f"  {name:<6} {value:10.3f} {unit}  {mib:6d} MiB", flush=True)
    medians = {name: statistics.median(v for v, _ in runs) for name, runs in results.items()}
    mib = {name: max(m for _, m in runs) for name, runs in results.items()}
    return medians, mib


def step(args):
    with tempfile.TemporaryDirectory() as folder:
        os.symlink(pathlib.Path(args.model).resolve(), f"{folder}/model.gguf")

        def ours():
            run = last_json([DREAM, "bench", "step", "--llm", args.model, "--dtype", args.dtype, "--heads", args.heads,
                             "--steps", "3", "--json"])
            return run["seconds_per_step"], run["peak_rss_mib"]

        def theirs():
            run = last_json([sys.executable, args.torch, folder, "--mode", args.mode, "--dtype", args.dtype, "--steps", "3"])
            return run["seconds_per_step"], run["peak_rss_mib"]

        medians, mib = alternate(args.rounds, ours, theirs, "s/step")
    print(json.dumps({"what": "step", "dtype": args.dtype, "mode": args.mode, **medians, "peak_rss_mib": mib,
                      "times_faster": round(medians["peer"] / medians["dream"], 2)}))


ENCODE_PEER = """
import json, resource, sys, time, torch
from sentence_transformers import SentenceTransformer, models
import numpy as np
folder, data, dtype, batch, out = sys.argv[1:6]
texts = json.load(open(data))
args = {"gguf_file": "model.gguf", "dtype": getattr(torch, dtype)}
try:
    word = models.Transformer(folder, max_seq_length=512, model_args=args, tokenizer_args={"gguf_file": "model.gguf"}, config_args={"gguf_file": "model.gguf"})
except TypeError:
    word = models.Transformer(folder, max_seq_length=512, model_kwargs=args, processor_kwargs={"gguf_file": "model.gguf"}, config_kwargs={"gguf_file": "model.gguf"})
# A tokenizer with a chat template would have each text wrapped as a message, some thirty tokens longer.
getattr(word, "modality_config", {}).pop("message", None)
if word.tokenizer.pad_token is None:
    word.tokenizer.pad_token = word.tokenizer.eos_token
size = word.get_word_embedding_dimension()
model = SentenceTransformer(modules=[word, models.Pooling(size, pooling_mode="lasttoken"), models.Normalize()], device="cpu")
model.encode(texts[:32], batch_size=int(batch))
start = time.perf_counter()
embeddings = model.encode(texts, batch_size=int(batch))
seconds = time.perf_counter() - start
np.save(out, embeddings)
print(json.dumps({"texts_per_second": len(texts) / seconds, "peak_rss_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024}))
"""


ONNX_EXPORT = """
import sys, torch
from transformers import AutoModel
model = AutoModel.from_pretrained(sys.argv[1], gguf_file="model.gguf", dtype=torch.float32, attn_implementation="eager").eval()

class Hidden(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.model = model

    def forward(self, input_ids, attention_mask):
        return self.model(input_ids=input_ids, attention_mask=attention_mask, use_cache=False).last_hidden_state

example = torch.ones(2, 8, dtype=torch.int64)
axes = {name: {0: "batch", 1: "length"} for name in ("input_ids", "attention_mask", "hidden")}
# The newer exporter (dynamo=True) gave a model whose states were off by 16.
torch.onnx.export(Hidden(), (example, example), sys.argv[2], input_names=["input_ids", "attention_mask"], output_names=["hidden"],
                  dynamic_axes=axes, dynamo=False)
print("{}")
"""

# Texts padded on the right, in batches sorted by length, as sentence-transformers does.
ENCODE_ONNX = """
import json, os, resource, sys, time, numpy as np, onnxruntime
from transformers import AutoTokenizer
folder, data, batch, out = sys.argv[1:5]
texts = json.load(open(data))
tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file="model.gguf")
tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
tokenizer.padding_side = "right"
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = os.cpu_count()
session = onnxruntime.InferenceSession(f"{folder}/model.onnx", options, providers=["CPUExecutionProvider"])

def encode(texts):
    order = sorted(range(len(texts)), key=lambda i: -len(texts[i]))
    found = [None] * len(texts)
    for first in range(0, len(order), int(batch)):
        chosen = order[first:first + int(batch)]
        fed = tokenizer([texts[i] for i in chosen], padding=True, truncation=True, max_length=512, return_tensors="np")
        fed = {name: fed[name].astype("i8") for name in ("input_ids", "attention_mask")}
        hidden = session.run(None, fed)[0]
        for row, i in enumerate(chosen):
            x = hidden[row, fed["attention_mask"][row].sum() - 1]
            found[i] = x / np.linalg.norm(x)
    return np.stack(found)

encode(texts[:32])
start = time.perf_counter()
embeddings = encode(texts)
seconds = time.perf_counter() - start
np.save(out, embeddings)
print(json.dumps({"texts_per_second": len(texts) / seconds, "peak_rss_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024}))
"""


def documents(data, n):
    """The first texts of a corpus, as this program reads them (a .zst corpus needs the zstd command)."""
    path = pathlib.Path(data)
    path = path if path.is_file() else next(p for p in (path / "corpus.jsonl", path / "corpus.jsonl.zst") if p.exists())
    raw = subprocess.run(["zstd", "-dc", path], capture_output=True, check=True).stdout if path.suffix == ".zst" else path.read_bytes()
    rows = [json.loads(line) for line in raw.decode().splitlines()[:n]]
    return [f"{row.get('title', '')} {row['text']}".strip() for row in rows]


def cosine_distance(ours, theirs):
    """The largest and the mean of 1 - cosine between the embeddings of a text, in f64."""
    import numpy as np

    theirs = np.load(theirs).astype("f8")
    ours = np.fromfile(ours, dtype="<f4").astype("f8").reshape(theirs.shape)
    lengths = np.linalg.norm(ours, axis=1) * np.linalg.norm(theirs, axis=1)
    distance = 1 - (ours * theirs).sum(axis=1) / lengths
    return {"max": float(distance.max()), "mean": float(distance.mean())}


def encode(args):
    with tempfile.TemporaryDirectory() as folder:
        os.symlink(pathlib.Path(args.model).resolve(), f"{folder}/model.gguf")
        texts = documents(args.data, args.texts)
        listed = f"{folder}/texts.json"
        with open(listed, "w") as file:
            json.dump(texts, file)
        names = {"f32": "float32", "bf16": "bfloat16"}

        def ours():
            run = last_json([DREAM, "bench", "encode", "--model", args.model, "--data", args.data, "--texts", str(args.texts),
                             "--no-eos", "--dtype", args.dtype, "--repeats", "1", "--out", f"{folder}/ours.f32", "--json"])
            return run["texts_per_second"], run["peak_rss_mib"]

        batch, out = str(args.batch), f"{folder}/theirs.npy"
        if args.peer == "onnx":
            last_json([sys.executable, "-c", ONNX_EXPORT, folder, f"{folder}/model.onnx"])
            peer = [sys.executable, "-c", ENCODE_ONNX, folder, listed, batch, out]
        else:
            peer = [sys.executable, "-c", ENCODE_PEER, folder, listed, names[args.dtype], batch, out]

        def theirs():
            run = last_json(peer)
            return run["texts_per_second"], run["peak_rss_mib"]

        medians, mib = alternate(args.rounds, ours, theirs, "texts/s")
        distance = cosine_distance(f"{folder}/ours.f32", f"{folder}/theirs.npy")
    print(json.dumps({"what": "encode", "against": args.peer, "dtype": args.dtype, "texts": len(texts), **medians, "peak_rss_mib": mib, "cosine_distance": distance,
                      "times_faster": round(medians["dream"] / medians["peer"], 2)}))


SEARCH_PEER = """
import json, pathlib, resource, sys, time, faiss, numpy as np
shards, ours, dim, k = *sys.argv[1:3], *map(int, sys.argv[3:5])
index = faiss.IndexFlatIP(dim)
for shard in sorted(pathlib.Path(shards).glob("*.f32")):
    index.add(np.fromfile(shard, dtype="<f4").reshape(-1, dim))
q = np.fromfile(f"{ours}/queries.f32", dtype="<f4").reshape(-1, dim)
index.search(q, k)
times = []
for _ in range(3):
    start = time.perf_counter(); scores, found = index.search(q, k); times.append(time.perf_counter() - start)
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
mine = np.fromfile(f"{ours}/found.u64", dtype="<u8").reshape(found.shape).astype("i8")
# Scores are sums in another order: a document beyond the last place is as good if its score is within 1e-6.
exact = np.stack([index.reconstruct_batch(row).astype("f8") @ x.astype("f8") for row, x in zip(mine, q)])
apart = np.abs(np.sort(-exact, axis=1) - np.sort(-scores.astype("f8"), axis=1)).max()
shared = np.mean([len(set(a) & set(b)) for a, b in zip(mine.tolist(), found.tolist())]) / k
same_order = float((mine == found).mean())
print(json.dumps({"seconds": sorted(times)[1], "peak_rss_mib": peak,
                  "results": {"shared": float(shared), "same_place": same_order, "scores_apart": float(apart)}}))
"""


def search(args):
    with tempfile.TemporaryDirectory() as folder:
        sizes = ["--documents", str(args.documents), "--dim", "576", "--queries", "100", "--k", "100"]
        last_json([DREAM, "bench", "search", *sizes, "--index", f"{folder}/index", "--repeats", "1", "--json"])

        results = {}

        def ours():
            run = last_json([DREAM, "bench", "search", *sizes, "--index", f"{folder}/index", "--out", folder, "--repeats", "3", "--json"])
            return run["seconds"], run["peak_rss_mib"]

        def theirs():
            run = last_json([sys.executable, "-c", SEARCH_PEER, f"{folder}/index", folder, "576", "100"])
            results.update(run["results"])
            return run["seconds"], run["peak_rss_mib"]

        medians, mib = alternate(args.rounds, ours, theirs, "s")
    print(json.dumps({"what": "search", "documents": args.documents, **medians, "peak_rss_mib": mib, "results": results,
                      "times_faster": round(medians["peer"] / medians["dream"], 2)}))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    what = parser.add_subparsers(required=True)
    for name, run in (("step", step), ("encode", encode), ("search", search)):
        sub = what.add_parser(name)
        sub.set_defaults(run=run)
        sub.add_argument("--rounds", type=int, default=5)
        if name != "search":
            sub.add_argument("--model", required=True)
            sub.add_argument("--dtype", default="f32", choices=["f32", "bf16"])
    what.choices["step"].add_argument("--torch", required=True)
    what.choices["step"].add_argument("--mode", default="split", choices=["full", "split"])
    what.choices["step"].add_argument("--heads", default="8-0,14-3,15-6,17-3,17-4,18-6,18-7,20-3,20-6,21-2,21-8,22-7,23-2,23-7,23-8,2-4")
    what.choices["encode"].add_argument("--data", required=True)
    # onnxruntime computes in f32 whatever --dtype this program has.
    what.choices["encode"].add_argument("--peer", default="sentence-transformers", choices=["sentence-transformers", "onnx"])
    what.choices["encode"].add_argument("--texts", type=int, default=2000)
    what.choices["encode"].add_argument("--batch", type=int, default=32)
    what.choices["search"].add_argument("--documents", type=int, default=100_000)
    args = parser.parse_args()
    args.run(args)


main()
