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

        def theirs():
            run = last_json([sys.executable, "-c", ENCODE_PEER, folder, listed, names[args.dtype], str(args.batch),
                             f"{folder}/theirs.npy"])
            return run["texts_per_second"], run["peak_rss_mib"]

        medians, mib = alternate(args.rounds, ours, theirs, "texts/s")
        distance = cosine_distance(f"{folder}/ours.f32", f"{folder}/theirs.npy")
    print(json.dumps({"what": "encode", "dtype": args.dtype, "texts": len(texts), **medians, "peak_rss_mib": mib, "cosine_distance": distance,
                      "times_faster": round(medians["dream"] / medians["peer"], 2)}))


SEARCH_PEER = """
import json, resource, sys, time, faiss, numpy as np
shards, dim, queries, k = sys.argv[1], *map(int, sys.argv[2:5])
import pathlib
index = faiss.IndexFlatIP(dim)
for shard in sorted(pathlib.Path(shards).glob("*.f32")):
    index.add(np.fromfile(shard, dtype="<f4").reshape(-1, dim))
q = np.random.default_rng(0).standard_normal((queries, dim)).astype("f4")
index.search(q, k)
times = []
for _ in range(3):
    start = time.perf_counter(); index.search(q, k); times.append(time.perf_counter() - start)
print(json.dumps({"seconds": sorted(times)[1], "peak_rss_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024}))
"""


def search(args):
    with tempfile.TemporaryDirectory() as folder:
        sizes = ["--documents", str(args.documents), "--dim", "576", "--queries", "100", "--k", "100"]
        last_json([DREAM, "bench", "search", *sizes, "--index", f"{folder}/index", "--repeats", "1", "--json"])

        def ours():
            run = last_json([DREAM, "bench", "search", *sizes, "--index", f"{folder}/index", "--repeats", "3", "--json"])
            return run["seconds"], run["peak_rss_mib"]

        def theirs():
            run = last_json([sys.executable, "-c", SEARCH_PEER, f"{folder}/index", "576", "100", "100"])
            return run["seconds"], run["peak_rss_mib"]

        medians, mib = alternate(args.rounds, ours, theirs, "s")
    print(json.dumps({"what": "search", "documents": args.documents, **medians, "peak_rss_mib": mib,
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
    what.choices["encode"].add_argument("--texts", type=int, default=2000)
    what.choices["encode"].add_argument("--batch", type=int, default=32)
    what.choices["search"].add_argument("--documents", type=int, default=100_000)
    args = parser.parse_args()
    args.run(args)


main()
