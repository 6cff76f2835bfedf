#!/usr/bin/env python3
"""Compares `dream eval --run RUN --qrels QRELS --json` with trec_eval (through pytrec_eval).

usage: trec_eval.py --run RUN --qrels QRELS --ours FILE [--tolerance 1e-6]
RUN    qid Q0 docno rank sim tag          QRELS  qid iter docno rel, or BEIR's query-id<TAB>corpus-id<TAB>score with or without header
--ours what `dream eval` printed: {"nDCG@10","R@100","RR@10","queries"}
Averages go over every judged query (trec_eval -c): a query without results counts 0. Prints one JSON line; exit code 1 on a difference.
Needs, in an environment of its own: pip install pytrec-eval-terrier (or pytrec_eval where it builds)
"""
import argparse
import collections
import json
import sys
from pathlib import Path

import pytrec_eval


def read_qrels(path):
    qrels = collections.defaultdict(dict)
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines()):
        if not line.strip():
            continue
        fields = line.split("\t") if line.count("\t") == 2 else line.split()
        query, document, relevance = (fields[0], fields[-2], fields[-1]) if len(fields) in (3, 4) else sys.exit(f"{path}:{number + 1}: {len(fields)} fields")
        if number == 0 and not relevance.strip().lstrip("-").isdigit():
            continue  # the header
        qrels[query.strip()][document.strip()] = int(relevance)
    return dict(qrels)


def read_run(path):
    run = collections.defaultdict(dict)
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines()):
        if not line.strip() or line.startswith("#"):
            continue
        query, _, document, _, score = line.split()[:5]
        if document in run[query]:
            sys.exit(f"{path}:{number + 1}: document {document} twice for query {query}")
        run[query][document] = float(score)
    return dict(run)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--qrels", type=Path, required=True)
    parser.add_argument("--ours", type=Path, required=True)
    parser.add_argument("--tolerance", type=float, default=1e-6)
    args = parser.parse_args()
    qrels, run = read_qrels(args.qrels), read_run(args.run)
    per_query = pytrec_eval.RelevanceEvaluator(qrels, {"ndcg_cut.10", "recall.100", "recip_rank"}).evaluate(run)
    mean = lambda value: sum(value(per_query[q]) for q in qrels if q in per_query) / len(qrels)
    theirs = {
        "nDCG@10": mean(lambda m: m["ndcg_cut_10"]),
        "R@100": mean(lambda m: m["recall_100"]),
        "RR@10": mean(lambda m: m["recip_rank"] if m["recip_rank"] >= 0.1 else 0.0),  # trec_eval has no cut for it: 1/rank >= 1/10
        "queries": len(qrels),
    }
    ours = json.loads(args.ours.read_text())
    wrong = [name for name, value in theirs.items() if not abs(ours.get(name, float("nan")) - value) <= args.tolerance]
    print(json.dumps({"trec_eval": theirs, "ours": {name: ours.get(name) for name in theirs}, "without_results": sum(q not in run for q in qrels), "wrong": wrong}))
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
