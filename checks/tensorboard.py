"""Reads the event files of a run folder with TensorBoard itself and compares them with metrics.jsonl.

    python -m venv /tmp/tb && /tmp/tb/bin/pip install tensorboard
    cargo run -p dream --example run_folder -- /tmp/run        # or any training run
    /tmp/tb/bin/python checks/tensorboard.py /tmp/run

Every value of metrics.jsonl must be there, once, at its step, equal after rounding to f32; steps that a
resume repeated must have dropped out. Prints one line a tag; exit status 1 at the first difference.
"""

import json
import struct
import sys
from pathlib import Path

sys.path.pop(0)  # the folder of this file, whose name would hide the package
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

STEP_TAGS = {"train/loss": "loss", "train/lr": "lr", "train/grad_norm": "grad_norm"}


def f32(value):
    return struct.unpack("<f", struct.pack("<f", value))[0]


def expected_scalars(metrics_path):
    """{tag: [(step, value as f32), ...]} from metrics.jsonl."""
    expected = {}
    for line in metrics_path.read_text().splitlines():
        record = json.loads(line)
        if "eval" in record:
            if "nDCG@10" in record["eval"]:
                tag = f"eval/{record['eval']['name']}/ndcg_at_10"
                expected.setdefault(tag, []).append((record["step"], f32(record["eval"]["nDCG@10"])))
        else:
            for tag, key in STEP_TAGS.items():
                expected.setdefault(tag, []).append((record["step"], f32(record[key])))
    return expected


def main():
    if len(sys.argv) != 2:
        sys.exit("usage: tensorboard.py RUN_FOLDER")
    run = Path(sys.argv[1])
    event_files = sorted(run.rglob("events.out.tfevents.*"))
    if not event_files:
        sys.exit(f"{run}: no event files")
    events = EventAccumulator(str(event_files[0].parent), size_guidance={"scalars": 0, "tensors": 0})
    events.Reload()
    if events.file_version != 2.0:
        sys.exit(f"{event_files[0]}: file version is {events.file_version}, wanted 2")
    tags = events.Tags()["scalars"]
    for tag, wanted in expected_scalars(run / "metrics.jsonl").items():
        if tag not in tags:
            sys.exit(f"{tag}: missing, found {tags}")
        found = [(event.step, event.value) for event in events.Scalars(tag)]
        if found != wanted:
            differing = next((pair for pair in zip(wanted, found) if pair[0] != pair[1]), "the lengths")
            sys.exit(f"{tag}: {len(wanted)} values wanted, {len(found)} found; first difference: {differing}")
        print(f"{tag}: {len(found)} values agree")


if __name__ == "__main__":
    main()
