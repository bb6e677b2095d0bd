"""Says whether avjepa and the peer learned the same from the same views.

    bench/peer/agree.py runs/learning [--write docs/results.md]

Of every number the mean over the last fifth of the steps; of two implementations with the
same seeds the difference of their means over the seeds, beside the spread between the
seeds of one, the larger of the two. The first step's numbers, which hang on weights and
views alone, must be the same to rounding: else it ends with 1. Of two seeds the spread is
known badly, so a single "no" of many is no proof of a difference, and "yes" none of none.
"""

import argparse
import json
import os
import shutil
import sys

SIDES = ("avjepa", "pytorch")
LAST = 0.2
FIRST = {"invariance": 1e-4, "std": 1e-4}  # relative: neither hangs on the directions
CURVES = (("total", "loss"), ("invariance", "invariance"), ("sigreg", "SIGReg"),
          ("std", "deviation"))
MEASURED = (("retrieval.a2v.r10", "A→V R@10, %", 100), ("retrieval.v2a.r10", "V→A R@10, %", 100),
            ("retrieval.a2v.r1", "A→V R@1, %", 100), ("retrieval.v2a.r1", "V→A R@1, %", 100),
            ("probe.both", "linear probe A+V, %", 100), ("probe.audio", "linear probe A, %", 100),
            ("probe.video", "linear probe V, %", 100))
BEGIN, END = "<!-- learning -->", "<!-- /learning -->"


def read(path):
    with open(path) as f:
        return f.read()


def logs(folder, side, seeds):
    return [[json.loads(line) for line in
             read(os.path.join(folder, "%s-seed%d" % (side, s), "metrics.jsonl")).splitlines()]
            for s in seeds]


def last(log, key):
    tail = log[-max(1, int(LAST * len(log))):]
    return sum(x[key] for x in tail) / len(tail)


def within(result, path):
    for key in path.split("."):
        result = result[key]
    return result


def row(name, ours, theirs):
    """A line of the table, and whether the two agree."""
    mean = [sum(x) / len(x) for x in (ours, theirs)]
    spread = max(max(x) - min(x) for x in (ours, theirs))
    apart = abs(mean[0] - mean[1])
    fits = apart <= spread
    cells = [name, *(" / ".join("%.4g" % x for x in side) for side in (ours, theirs)),
             "%.2g" % apart, "%.2g" % spread, "yes" if fits else "no"]
    return "| %s |" % " | ".join(cells), fits


def write(page, folder, table, images):
    """Replaces what stands between the marks of a page, and its figures."""
    text = read(page)
    if BEGIN not in text or END not in text:
        sys.exit("agree: %s has no %s and %s" % (page, BEGIN, END))
    pictures = []
    for chart, what in CURVES:
        for theme in ("light", "dark"):
            shutil.copy(os.path.join(folder, "figures", "all-%s-%s.svg" % (chart, theme)),
                        os.path.join(images, "learning-%s-%s.svg" % (chart, theme)))
        pictures.append('<picture><source media="(prefers-color-scheme: dark)" srcset="images/'
                        'learning-%s-dark.svg"><img src="images/learning-%s-light.svg" alt="%s '
                        'over epochs, avjepa and PyTorch"></picture>' % (chart, chart, what))
    head, rest = text.split(BEGIN)
    text = head + "\n".join([BEGIN, *table, "", *pictures, END]) + rest.split(END)[1]
    tmp = page + ".tmp"
    with open(tmp, "w") as f:
        f.write(text)
    os.replace(tmp, page)


def main():
    a = argparse.ArgumentParser()
    a.add_argument("folder")
    a.add_argument("--write", default="", help="page with the marks of the table")
    args = a.parse_args()
    seeds = sorted(int(d.split("seed")[1]) for d in os.listdir(args.folder)
                   if d.startswith("avjepa-seed"))
    ours, theirs = (logs(args.folder, side, seeds) for side in SIDES)
    same = True
    for seed, x, y in zip(seeds, ours, theirs):
        if len(x) != len(y):
            sys.exit("agree: seed %d: %d steps and %d" % (seed, len(x), len(y)))
        for key, tolerance in FIRST.items():
            off = abs(x[0][key] - y[0][key]) / abs(x[0][key])
            print("seed %d, step 1: %s %.6g and %.6g, off by %.1e of it"
                  % (seed, key, x[0][key], y[0][key], off))
            if not off <= tolerance:
                print("that is more than %.0e: these are not the same weights, or views" % tolerance)
                same = False
    table = ["| mean of the last fifth of %d steps, seeds %s | avjepa | PyTorch | apart | spread of "
             "the seeds | within |" % (len(ours[0]), " / ".join(map(str, seeds))), "|---|---|---|---|---|---|"]
    fits = []
    for key, name in CURVES:
        line, ok = row(name, [last(x, key) for x in ours], [last(x, key) for x in theirs])
        table.append(line)
        fits.append(ok)
    results = [[json.loads(read(os.path.join(args.folder, "%s-seed%d" % (side, s), "result.json")))
                for s in seeds] for side in SIDES]
    for path, name, scale in MEASURED:
        line, ok = row(name, *([scale * within(r, path) for r in side] for side in results))
        table.append(line)
        fits.append(ok)
    print("\n".join(table))
    print("%d of %d within the spread of the seeds" % (sum(fits), len(fits)))
    if args.write:
        write(args.write, args.folder, table, os.path.join(os.path.dirname(args.write), "images"))
    sys.exit(0 if same else 1)


if __name__ == "__main__":
    main()
