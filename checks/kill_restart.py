#!/usr/bin/env python3
"""Kill a command at random moments, start it again until it is done, and compare what it wrote with an undisturbed run.

    kill_restart.py [options] -- COMMAND ...

`{out}` in the command stands for the folder (or file) that it writes; the same command must go on where it stopped. The
command runs once undisturbed, then is killed with SIGKILL at a moment drawn from its undisturbed time, started again, and
so on; when it ends before its moment, the result is compared and a fresh folder is begun, until there were enough kills.
Standard library only. Exit code 0: all results are equal to the byte; 1: they are not, or the command failed; 2: usage.
One JSON line on the standard output says what happened.
"""

import argparse
import fnmatch
import hashlib
import json
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time


def arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=20, help="kills in all (20)")
    parser.add_argument("--seed", type=int, default=1, help="of the moments (1)")
    parser.add_argument("--within", type=float, default=1.0, metavar="SHARE",
                        help="a moment falls within this share of the undisturbed time after a start (1): small shares make long chains of kills")
    parser.add_argument("--stdin", help="file for the command's standard input")
    parser.add_argument("--ignore", action="append", default=[], metavar="GLOB",
                        help="paths in {out} that may differ, such as logs; may be given several times")
    parser.add_argument("--mask", action="append", default=[], metavar="KEY",
                        help="keys of .json files whose values may differ, such as evaluation_time")
    parser.add_argument("--count", metavar="GLOB",
                        help="report how many kills found a file in {out} that matches, such as a journal; none is a failure")
    parser.add_argument("--work", help="folder to work in; else a temporary one, removed at the end")
    parser.add_argument("command", nargs="+", help="after --, with {out}")
    args = parser.parse_args()
    if not any("{out}" in word for word in args.command):
        parser.error("the command must say {out} where it writes")
    if args.kills < 1:
        parser.error("--kills must be at least 1")
    if not 0 < args.within <= 1:
        parser.error("--within must be above 0 and at most 1")
    return args


class Failed(Exception):
    pass


def start(args, out, log):
    stdin = open(args.stdin, "rb") if args.stdin else subprocess.DEVNULL
    command = [word.replace("{out}", str(out)) for word in args.command]
    # A session of its own: a kill reaches the command's children too, and nothing else.
    return subprocess.Popen(command, stdin=stdin, stdout=log, stderr=log, start_new_session=True)


def kill(process):
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def masked(value, keys):
    if isinstance(value, dict):
        return {k: None if k in keys else masked(v, keys) for k, v in value.items()}
    if isinstance(value, list):
        return [masked(item, keys) for item in value]
    return value


def digest(path, keys):
    if keys and path.suffix == ".json":
        value = masked(json.loads(path.read_text("utf-8")), keys)
        return hashlib.sha256(json.dumps(value).encode()).hexdigest()
    return hashlib.sha256(path.read_bytes()).hexdigest()


def tree(out, args):
    """Digest by path of everything below `out`."""
    paths = [out] if out.is_file() else sorted(p for p in out.rglob("*") if p.is_file())
    named = ((str(p.relative_to(out)), p) for p in paths)
    return {
        name: digest(path, args.mask)
        for name, path in named
        if not any(fnmatch.fnmatch(name, glob) for glob in args.ignore)
    }


def ended_well(process, log_path):
    if process.returncode != 0:
        tail = log_path.read_text("utf-8", "replace")[-2000:]
        raise Failed(f"the command exited with {process.returncode}: {tail}")


def one_trial(args, draw, took, out, log_path, left):
    """Kills and restarts until the command ends; the kills that it took, and how many found args.count."""
    kills = found = 0
    while True:
        with open(log_path, "wb") as log:
            process = start(args, out, log)
            try:
                process.wait(draw.uniform(0, args.within * took) if kills < left else None)
            except subprocess.TimeoutExpired:
                kill(process)
                kills += 1
                found += bool(args.count and out.is_dir() and any(out.rglob(args.count)))
                continue
            except BaseException:
                kill(process)
                raise
        ended_well(process, log_path)
        return kills, found


def run(args, work):
    log_path = work / "log"
    whole = work / "undisturbed"
    began = time.monotonic()
    with open(log_path, "wb") as log:
        process = start(args, whole, log)
        process.wait()
    ended_well(process, log_path)
    took = time.monotonic() - began
    wanted = tree(whole, args)
    draw = random.Random(args.seed)
    kills = found = trials = 0
    while kills < args.kills:
        trials += 1
        out = work / f"trial-{trials}"
        more, more_found = one_trial(args, draw, took, out, log_path, args.kills - kills)
        kills, found = kills + more, found + more_found
        got = tree(out, args)
        differ = sorted(name for name in wanted.keys() | got.keys() if wanted.get(name) != got.get(name))
        if differ:
            raise Failed(f"after {kills} kills, trial {trials} differs in {len(differ)} files: {differ[:10]}")
        if out.is_dir():
            shutil.rmtree(out)
        else:
            out.unlink()
    if args.count and not found:
        raise Failed(f"no kill found {args.count}: each fell before the first or after the last step")
    result = {"kills": kills, "trials": trials, "files": len(wanted), "undisturbed_s": round(took, 2)}
    if args.count:
        result["kills_amid_work"] = found
    return result


def main():
    args = arguments()
    # Told to end, it takes the command with it.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    work = pathlib.Path(args.work) if args.work else pathlib.Path(tempfile.mkdtemp())
    work.mkdir(parents=True, exist_ok=True)
    try:
        print(json.dumps(run(args, work)))
    except Failed as failure:
        print(json.dumps({"failed": str(failure)}))
        sys.exit(1)
    finally:
        if not args.work:
            shutil.rmtree(work, ignore_errors=True)


if __name__ == "__main__":
    main()
