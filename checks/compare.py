#!/usr/bin/env python3
"""Compares `dream compare A B... --qrels Q --measures nDCG@10,MAP@100 --json` with pytrec_eval, scipy and statsmodels.

usage: compare.py --ours FILE --qrels QRELS RUN RUN...    (the runs in the order of the report, TREC's form)
Means and t tests must agree to 1e-9, Holm's correction of the p values in the report too. What is drawn must agree as far as draws do: p values
of the randomisation test within five standard errors, ends of BCa intervals within 5 % of the interval's width (scipy draws 100,000 times).
Prints one JSON line; exit code 1 on a difference.
Needs, in an environment of its own: pip install pytrec-eval-terrier scipy statsmodels
"""
import argparse
import json
import math
import sys
from pathlib import Path

import numpy as np
import pytrec_eval
from scipy import stats
from statsmodels.stats.multitest import multipletests

from trec_eval import read_qrels, read_run

TREC_EVAL = {"nDCG@10": ("ndcg_cut.10", "ndcg_cut_10"), "MAP@100": ("map_cut.100", "map_cut_100")}


def per_query(qrels, run):
    found = pytrec_eval.RelevanceEvaluator(qrels, {family for family, _ in TREC_EVAL.values()}).evaluate(run)
    return {ours: np.array([found.get(q, {}).get(name, 0.0) for q in sorted(qrels)]) for ours, (_, name) in TREC_EVAL.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ours", type=Path, required=True)
    parser.add_argument("--qrels", type=Path, required=True)
    parser.add_argument("runs", type=Path, nargs="+")
    args = parser.parse_args()
    report, qrels = json.loads(args.ours.read_text()), read_qrels(args.qrels)
    values = [per_query(qrels, read_run(path)) for path in args.runs]
    rng, wrong, compared, holm = np.random.default_rng(7), [], 0, {"randomization": [], "t": []}

    def check(what, ours, theirs, tolerance):
        nonlocal compared
        compared += 1
        if not abs(ours - theirs) <= tolerance:
            wrong.append(f"{what}: {ours} and not {theirs}")

    def check_interval(what, ours, sample):
        low, high = stats.bootstrap((sample,), np.mean, n_resamples=100_000, rng=rng, batch=1000).confidence_interval
        check(f"{what} low", ours["low"], low, 0.05 * (high - low))
        check(f"{what} high", ours["high"], high, 0.05 * (high - low))

    for number, run in enumerate(report["runs"]):
        for measure in run["measures"]:
            name = f"{run['run']} {measure['measure']}"
            mine, base = values[number][measure["measure"]], values[0][measure["measure"]]
            check(f"{name} mean", measure["mean"], mine.mean(), 1e-9)
            check_interval(f"{name} mean", measure["interval"], mine)
            compared_with = measure["comparison"]
            if compared_with is None:
                continue
            t = stats.ttest_rel(mine, base)
            check(f"{name} t", compared_with["t_test"]["t"], t.statistic, 1e-9 * max(1, abs(t.statistic)))
            check(f"{name} p of t", compared_with["t_test"]["p"], t.pvalue, 1e-9)
            check_interval(f"{name} difference", compared_with["interval"], mine - base)
            drawn = stats.permutation_test((mine - base,), np.mean, permutation_type="samples", n_resamples=100_000, batch=1000, rng=rng).pvalue
            error = math.sqrt(drawn * (1 - drawn) * (1 / 100_000 + 1 / report["resamples"])) + 1 / report["resamples"]
            check(f"{name} p of the randomisation test", compared_with["randomization"]["p"], drawn, 5 * error)
            holm["randomization"].append((compared_with["randomization"]["p"], measure["randomization_p_holm"]))
            holm["t"].append((compared_with["t_test"]["p"], measure["t_p_holm"]))
    for test, pairs in holm.items():
        for ours, theirs in zip((adjusted for _, adjusted in pairs), multipletests([p for p, _ in pairs], method="holm")[1]):
            check(f"Holm of {test}", ours, theirs, 1e-9)
    print(json.dumps({"compared": compared, "wrong": wrong}))
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
