#!/usr/bin/env python3
"""Compares the measures with trec_eval (through pytrec_eval) on random runs.

usage: pytrec_eval_random.py [--runs 10000] [--seed 1] [--dream PATH] [--tolerance 1e-9]
Makes runs and judgements (crates/dream-ir/fixtures/make_measures.py): ties, scores that differ only beyond f32, graded and negative
judgements, queries without relevant documents, missing and extra queries. Then
- the test of the crate compares every value of every judged query, scores as f32 and f64, relevance levels 1 and 2 (needs cargo);
- with --dream, the program reads the files and its means are compared, from TREC's form and from JSON; a document that comes twice must be
  refused, in a run and in judgements. pytrec_eval cannot be given one: its input is a dict.
Prints one JSON line; exit code 1 on a difference.
Needs, in an environment of its own: pip install pytrec-eval-terrier==0.5.11
"""
import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "crates/dream-ir/fixtures"))
import make_measures  # noqa: E402


def run_test(folder):
    """Number of values that the crate's test compared."""
    test = ["cargo", "test", "-p", "dream-ir", "--test", "it", "--", "every_value_and_every_mean", "--nocapture"]
    out = subprocess.run(test, cwd=ROOT, env={**os.environ, "DREAM_MEASURES": str(folder)}, capture_output=True, text=True)
    found = re.search(r"compared (\d+) values", out.stdout)
    if out.returncode != 0 or not found:
        sys.exit(f"the test failed:\n{out.stdout[-3000:]}{out.stderr[-3000:]}")
    return int(found[1])


def means_of(dream, run, qrels, width, level, names):
    """What the program says of a run (compared with itself)."""
    command = [dream, "compare", run, run, "--qrels", qrels, "--measures", ",".join(names), "--scores", width]
    command += ["--relevance-level", str(level), "--resamples", "1", "--json", "--quiet"]
    report = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return {m["measure"]: m["mean"] for m in report["runs"][0]["measures"]}


def compare_program(dream, folder, qrels, run, expected, tolerance):
    """Measures whose mean differs, and whether duplicates were refused."""
    for name, content in (("run", run), ("qrels", qrels)):
        (folder / f"{name}.json").write_text(json.dumps(content), encoding="utf-8")
    wrong = []
    for key, values in expected["values"].items():
        width, level = key.split()
        names = list(next(iter(values.values())))
        want = {name: sum(v[name] for v in values.values()) / len(values) for name in names}
        for end in ("trec", "json"):
            got = means_of(dream, folder / f"run.{end}", folder / f"qrels.{end}", width, level, names)
            wrong += [f"{key} {name} {end}" for name in names if not abs(got[name] - want[name]) <= tolerance]
    for name in ("run", "qrels"):
        lines = (folder / f"{name}.trec").read_text(encoding="utf-8").splitlines()
        (folder / f"twice.{name}").write_text("\n".join([*lines, lines[0]]) + "\n", encoding="utf-8")
        files = {"run": folder / "run.trec", "qrels": folder / "qrels.trec", name: folder / f"twice.{name}"}
        command = [dream, "compare", files["run"], files["run"], "--qrels", files["qrels"]]
        refused = subprocess.run(command, capture_output=True, text=True)
        if refused.returncode != 2 or f"twice.{name}:{len(lines) + 1}: " not in refused.stderr:
            wrong.append(f"a document twice in {name}: {refused.stderr.strip()}")
    return wrong


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--documents", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--dream", type=Path)
    parser.add_argument("--tolerance", type=float, default=1e-9)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        qrels, run, expected = make_measures.make(args.runs, args.documents, args.seed, folder)
        values = run_test(folder)
        wrong = compare_program(args.dream.resolve(), folder, qrels, run, expected, args.tolerance) if args.dream else []
    report = {"runs": args.runs, "judged_queries": len(qrels), "missing": expected["missing"], "unjudged": expected["unjudged"], "values": values}
    print(json.dumps({**report, "program": bool(args.dream), "wrong": wrong}))
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
