#!/usr/bin/env python3
"""Compares the task registry (crates/dream-ir/src/tasks/registry.json) with the metadata of the mteb package, or writes it.

usage: mteb_tasks.py [--write] [--registry FILE]
Hub ids, revisions, splits, subsets, languages, prompts, measures, identical-id rules, sizes, licences and the members of the groups
come from mteb; the names of BEIR's folders and the notes stand here. Prints one JSON line; exit code 1 on a difference.
Needs, in an environment of its own: pip install mteb
"""
import argparse
import importlib.metadata
import json
import sys
from pathlib import Path

import mteb

REGISTRY = Path(__file__).resolve().parent.parent / "crates/dream-ir/src/tasks/registry.json"

# Names of the folders that BEIR's own archives hold; in the order of BEIR's table.
BEIR_FOLDERS = {
    "MSMARCO": "msmarco", "TRECCOVID": "trec-covid", "NFCorpus": "nfcorpus", "NQ": "nq", "HotpotQA": "hotpotqa", "FiQA2018": "fiqa",
    "ArguAna": "arguana", "Touche2020": "webis-touche2020", "CQADupstackRetrieval": "cqadupstack", "QuoraRetrieval": "quora",
    "DBPedia": "dbpedia-entity", "SCIDOCS": "scidocs", "FEVER": "fever", "ClimateFEVER": "climate-fever", "SciFact": "scifact",
}
CQADUPSTACK = "Android English Gaming Gis Mathematica Physics Programmers Stats Tex Unix Webmasters Wordpress".split()
# Beside BEIR's version of 2020, the denoised one.
BESIDES = ["Touche2020Retrieval.v3"]
# Corpora of BEIR below this many documents are `beir-small`.
SMALL_DOCUMENTS = 100_000
NOTES = {
    "Touche2020": "Touché 2020 with the judgements that BEIR calls v2 (since September 2021). Figures on v1, of the first release, are not comparable: there BM25 reached about .60, here about .35; "
    "Touche2020Retrieval.v3 leaves short documents out and fills judgements in (Thakur et al. 2024).",
    "Touche2020Retrieval.v3": "Touché 2020 without very short documents and with further judgements (Thakur et al. 2024); no part of BEIR's mean.",
    "CQADupstackRetrieval": "The mean over its 12 forums, each with a corpus of its own.",
    "MSMARCO": "Evaluated on dev, where the other sets of BEIR have test.",
    "MIRACLRetrievalHardNegatives": "Corpora cut down to judged documents and hard negatives; not comparable with the whole MIRACL.",
}
# Tasks whose loader in mteb takes texts without titles.
WITHOUT_TITLES = ["HumanEvalRetrieval", "MBPPRetrieval", "ChatDoctorRetrieval"]
MEASURES = {"ndcg_at_10": "nDCG@10"}


def count(statistics, key, characters):
    """Texts counted by mteb: stated, or the quotient of all characters and the mean."""
    if statistics is None:
        return None
    if statistics.get(key) is not None:
        return statistics[key]
    lengths = statistics.get(characters)
    return round(lengths["total_text_length"] / lengths["average_text_length"]) if lengths else None


def subset(task, name):
    split = task.metadata.eval_splits[0]
    statistics = (task.metadata.descriptive_stats or {}).get(split)
    if statistics and name != "default":
        statistics = statistics.get("hf_subset_descriptive_stats", {}).get(name)
    entry = {"name": name, "languages": task.metadata.hf_subsets_to_langscripts[name]}
    entry["documents"] = count(statistics, "num_documents", "documents_text_statistics")
    entry["queries"] = count(statistics, "num_queries", "queries_text_statistics")
    return entry


def describe(name):
    task = mteb.get_task(name)
    meta = task.metadata
    prompt = meta.prompt if isinstance(meta.prompt, dict) else {"query": meta.prompt}
    licence = meta.license if meta.license != "not specified" else None
    entry = {"name": name, "main_measure": MEASURES[meta.main_score], "splits": list(meta.eval_splits), "licence": licence, "note": NOTES.get(name)}
    folder = BEIR_FOLDERS.get(name)
    if task.is_aggregate:
        entry["parts"] = [part.metadata.name for part in task.tasks]
        entry["subsets"] = [{"name": "default", "languages": list(meta.eval_langs), "documents": None, "queries": None}]
    else:
        for forum in CQADUPSTACK:
            if name == f"CQADupstack{forum}Retrieval":
                folder = f"cqadupstack/{forum.lower()}"
        entry["hub_id"], entry["revision"] = meta.dataset["path"], meta.dataset["revision"]
        # Where a task has no prompt of its own, mteb takes that of the kind of task.
        entry["query_prompt"] = prompt.get("query") or task.abstask_prompt
        entry["ignore_identical_ids"] = task.ignore_identical_ids
        entry["subsets"] = [subset(task, name) for name in task.hf_subsets]
        assert not task.skip_first_result and set(prompt) <= {"query"}, name
        if name in WITHOUT_TITLES:
            entry["titles"] = False
    if folder:
        entry["folder"] = folder
    return entry


def open_tasks(benchmark):
    members = []
    for task in mteb.get_benchmark(benchmark).tasks:
        if not task.metadata.is_public:
            continue
        subsets = task.hf_subsets
        cut = set(subsets) != set(mteb.get_task(task.metadata.name).hf_subsets)
        members += [f"{task.metadata.name}:{name}" for name in subsets] if cut else [task.metadata.name]
    return members


def build():
    beir = list(BEIR_FOLDERS)
    nano = [task.metadata.name for task in mteb.get_benchmark("NanoBEIR").tasks]
    theirs = {task.metadata.name for task in mteb.get_benchmark("BEIR").tasks}
    assert theirs == set(beir), theirs ^ set(beir)
    rteb, rteb_english = open_tasks("RTEB(beta)"), open_tasks("RTEB(eng, beta)")
    names = []
    for name in beir:
        names.append(name)
        if name == "CQADupstackRetrieval":
            names += [f"CQADupstack{forum}Retrieval" for forum in CQADUPSTACK]
    names += BESIDES + rteb + nano
    tasks = [describe(name) for name in names]
    by_name = {task["name"]: task for task in tasks}
    documents = lambda name: by_name[name]["subsets"][0]["documents"]
    small = [name for name in beir if documents(name) and documents(name) < SMALL_DOCUMENTS]
    groups = {
        "beir": {"about": "The 15 public sets of BEIR", "tasks": beir},
        "beir-small": {"about": f"The sets of BEIR with fewer than {SMALL_DOCUMENTS} documents", "tasks": small},
        "rteb-open": {"about": "The open tasks of MTEB's RTEB(beta)", "tasks": rteb},
        "rteb-open-eng": {"about": "The open tasks of MTEB's RTEB(eng, beta)", "tasks": rteb_english},
        "nanobeir": {"about": "NanoBEIR: 50 queries and a few thousand documents of 13 sets of BEIR", "tasks": nano},
    }
    return {"mteb_version": importlib.metadata.version("mteb"), "groups": groups, "tasks": tasks}


def differences(ours, theirs, path=""):
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for key in sorted(set(ours) | set(theirs)):
            yield from differences(ours.get(key), theirs.get(key), f"{path}/{key}")
    elif isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        for place, pair in enumerate(zip(ours, theirs)):
            name = pair[0]["name"] if isinstance(pair[0], dict) and "name" in pair[0] else place
            yield from differences(*pair, f"{path}/{name}")
    elif ours != theirs:
        yield {"where": path, "ours": ours, "mteb": theirs}


def text(registry):
    """JSON with a task a line."""
    lines = lambda values: ",\n".join("    " + json.dumps(value, ensure_ascii=False) for value in values)
    groups = ",\n".join(f"    {json.dumps(name)}: {json.dumps(group, ensure_ascii=False)}" for name, group in registry["groups"].items())
    version = json.dumps(registry["mteb_version"])
    return f'{{\n  "mteb_version": {version},\n  "groups": {{\n{groups}\n  }},\n  "tasks": [\n{lines(registry["tasks"])}\n  ]\n}}\n'


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--registry", type=Path, default=REGISTRY)
    args = parser.parse_args()
    theirs = build()
    if args.write:
        args.registry.write_text(text(theirs), encoding="utf-8")
    ours = json.loads(args.registry.read_text(encoding="utf-8"))
    found = [d for d in differences(ours, theirs) if d["where"] != "/mteb_version"]
    print(json.dumps({"mteb": theirs["mteb_version"], "registry": ours["mteb_version"], "tasks": len(ours["tasks"]), "differences": found}))
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
