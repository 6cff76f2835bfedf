#!/usr/bin/env python3
"""Compares `dream fuse RUN RUN... --out OURS` with ranx.

usage: fusion.py --runs RUN RUN... --ours FILE [--method rrf|weighted] [--rrf-k 60] [--weights W,W,...] [--tolerance 1e-5]
RUN, FILE   qid Q0 docno rank sim tag; weighted sums are of min-max normalised scores, and without ties in a run ranks are the same.
Scores of every query and document are compared; ranx wants every query in every run. Prints one JSON line; exit code 1 on a difference.
Needs, in an environment of its own: pip install ranx
"""
import argparse
import collections
import json
import sys
from pathlib import Path

import ranx


def read_run(path):
    run = collections.defaultdict(dict)
    for line in path.read_text(encoding="utf-8").splitlines():
        query, _, document, _, score = line.split()[:5]
        run[query][document] = float(score)
    return dict(run)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, nargs="+", required=True)
    parser.add_argument("--ours", type=Path, required=True)
    parser.add_argument("--method", choices=["rrf", "weighted"], default="rrf")
    parser.add_argument("--rrf-k", type=int, default=60)
    parser.add_argument("--weights", default="")
    parser.add_argument("--tolerance", type=float, default=1e-5)
    args = parser.parse_args()

    runs = [ranx.Run(read_run(path)) for path in args.runs]
    if args.method == "rrf":
        theirs = ranx.fuse(runs=runs, norm=None, method="rrf", params={"k": args.rrf_k})
    else:
        weights = [float(weight) for weight in args.weights.split(",")]
        theirs = ranx.fuse(runs=runs, norm="min-max", method="wsum", params={"weights": weights})
    theirs, ours = theirs.to_dict(), read_run(args.ours)
    if {q: set(d) for q, d in ours.items()} != {q: set(d) for q, d in theirs.items()}:
        print(json.dumps({"ok": False, "what": "queries or documents differ"}))
        sys.exit(1)
    worst = max(abs(score - theirs[query][document]) for query, hits in ours.items() for document, score in hits.items())
    ok = worst <= args.tolerance
    print(json.dumps({"ok": ok, "method": args.method, "queries": len(ours), "documents": sum(map(len, ours.values())), "largest_difference": worst}))
    sys.exit(0 if ok else 1)


if __name__ == "__main__":
    main()
