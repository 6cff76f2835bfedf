#!/usr/bin/env python3
"""Loads the result files of `dream eval --tasks ... --results DIR` with the mteb package and compares their main scores.

usage: mteb_results.py DIR [--leaderboard FILE] [--runs DIR --model NAME] [--tolerance 1e-9]
Compared for each task: the main score that mteb's ResultCache gives, the one that TaskResult.from_disk gives, and the one in the file;
with --leaderboard (what `dream leaderboard DIR --json` printed) that of our table too.
With --runs, a folder of TASK.trec (`dream eval --data ... --run-out`) and TASK.tsv (BEIR's judgements), mteb's evaluator scores those
runs, and all its measures are compared with the file of the model NAME.
Prints one JSON line; exit code 1 on a difference or where nothing was loaded.
Needs, in an environment of its own: pip install mteb
"""
import argparse
import json
import math
import os
import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np


def read_run(path):
    run = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        query, _, document, _, score = line.split()[:5]
        run.setdefault(query, {})[document] = float(score)
    return run


def read_qrels(path):
    qrels = {}
    for line in path.read_text(encoding="utf-8").splitlines()[1:]:
        query, document, grade = line.split("\t")
        qrels.setdefault(query, {})[document] = int(grade)
    return qrels


def scored_by_mteb(task, run, qrels):
    """Every measure of mteb's evaluator on a run of ours, as its retrieval tasks call it."""
    from mteb._evaluators.retrieval_metrics import calculate_retrieval_scores, make_score_dict

    if task.ignore_identical_ids:
        run = {query: {document: score for document, score in hits.items() if document != query} for query, hits in run.items()}
    # A query without results counts here; mteb would leave it out, so it gets a document that nobody judged.
    run = {query: run.get(query) or {"": 0.0} for query in qrels}
    result = calculate_retrieval_scores(run, qrels, list(task.k_values))
    return make_score_dict(
        ndcg=result.ndcg, _map=result.map, recall=result.recall, precision=result.precision, mrr=result.mrr, naucs={}, naucs_mrr={},
        hit_rate=result.hit_rate, task_scores={},
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path)
    parser.add_argument("--leaderboard", type=Path)
    parser.add_argument("--runs", type=Path)
    parser.add_argument("--model")
    parser.add_argument("--tolerance", type=float, default=1e-9)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as cache:
        os.environ["MTEB_CACHE"] = cache
        import mteb
        from mteb.cache import ResultCache

        shutil.copytree(args.results, Path(cache) / "results")
        loaded = ResultCache(cache_path=cache).load_results(include_remote=False)
        theirs = {}
        for model in loaded.model_results:
            for result in model.task_results:
                theirs[model.model_name, model.model_revision, result.task_name] = result.get_score()
    board = json.loads(args.leaderboard.read_text()) if args.leaderboard else None
    rows, wrong = [], []
    for path in sorted(args.results.glob("*/*/*.json")):
        meta = json.loads((path.parent / "model_meta.json").read_text())
        if path.name == "model_meta.json":
            continue
        ours = json.loads(path.read_text())
        entries = [entry for entries in ours["scores"].values() for entry in entries]
        main_score = float(np.mean([entry["main_score"] for entry in entries]))
        key = meta["name"], meta["revision"], ours["task_name"]
        row = {"model": key[0], "revision": key[1], "task": key[2], "ours": main_score, "ResultCache": theirs.get(key), "from_disk": mteb.TaskResult.from_disk(path).get_score()}
        if board:
            place = board["tasks"].index(key[2])
            row["leaderboard"] = next(r["scores"][place]["score"] for r in board["rows"] if (r["model"], r["revision"]) == key[:2])
        run, qrels = (args.runs / f"{key[2]}.trec", args.runs / f"{key[2]}.tsv") if args.runs else (None, None)
        if run and meta["name"] == args.model and run.exists():
            scores = scored_by_mteb(mteb.get_task(key[2]), read_run(run), read_qrels(qrels))
            entry = entries[0]
            shared = [name for name in scores if name in entry]
            row["evaluator"] = scores["ndcg_at_10"]
            row["measures"] = len(shared)
            row["largest_difference"] = max(abs(scores[name] - entry[name]) for name in shared)
            if row["largest_difference"] > 6e-6:  # mteb rounds means to 5 places
                wrong.append(key)
        rows.append(row)
        compared = [value for name, value in row.items() if name in ("ResultCache", "from_disk", "leaderboard")]
        if not all(value is not None and math.isclose(value, main_score, abs_tol=args.tolerance) for value in compared):
            wrong.append(key)
    print(json.dumps({"mteb": mteb.__version__, "files": len(rows), "wrong": wrong, "rows": rows}))
    sys.exit(1 if wrong or not rows else 0)


if __name__ == "__main__":
    main()
