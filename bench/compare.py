"""Times avjepa and its peer in alternation and prints a table of ratios.

    make bench
    make bench BENCH="--presets base --tokens 397 --rounds 5"

Every case runs in a process of its own, ours and the peer's by turns; each
process gives the median of its passes. The table has the median over the rounds
and the range from least to most. `times` is the peer's seconds
by ours, likewise, so that a disturbance of one round does not decide.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
OURS = [os.path.join(HERE, "../bin/avjepa"), "bench", "--json"]
PEER = [os.path.join(HERE, "peer/run.sh")]


def measure(command, preset, tokens, mode, repeat):
    """One case in a process of its own."""
    flags = ["--presets", preset, "--tokens", tokens, "--modes", mode, "--repeat", str(repeat)]
    out = subprocess.run(command + flags, check=True, stdout=subprocess.PIPE).stdout
    return json.loads(out)


def output(*command):
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


def heading():
    """What the figures were measured with."""
    with open("/proc/cpuinfo") as f:
        cpu = [line.split(":")[1].strip() for line in f if line.startswith("model name")]
    git = ["git", "-c", "safe.directory=*", "-C", HERE]
    commit = output(*git, "rev-parse", "--short", "HEAD")
    if output(*git, "status", "--porcelain", "--untracked-files=no"):
        commit += " with changes"
    torch = output("/usr/bin/python3", "-c", "import torch; print(torch.__version__)")
    blas = output("dpkg-query", "-W", "-f", "${Version}", "libopenblas0-openmp")
    return "%d cores of %s; avjepa %s, %s; PyTorch %s, OpenBLAS %s, Python %s; load %.1f" % (
        len(cpu), cpu[0], commit, output("go", "env", "GOVERSION"), torch, blas,
        platform.python_version(), os.getloadavg()[0])


def spread(values, form):
    """Median and range."""
    if len(values) == 1:
        return form % values[0]
    return "%s (%s–%s)" % tuple(form % x for x in
                                (statistics.median(values), min(values), max(values)))


def row(rounds):
    """The table's row of [(ours, peer), …]."""
    ours, peer = zip(*rounds)
    first = ours[0]

    def median(lines, key):
        return statistics.median(line[key] for line in lines)

    return "| %s | %s | %s | %s | %.0f | %.0f | %.0f %% | %.0f | %.0f | %s |" % (
        "%s, %d, %s" % (first["preset"], first["tokens"], first["mode"]),
        spread([x["seconds"] for x in ours], "%.3g"),
        spread([x["seconds"] for x in peer], "%.3g"),
        spread([p["seconds"] / o["seconds"] for o, p in rounds], "%.2f"),
        median(ours, "gflops"), median(peer, "gflops"), 100 * median(ours, "peak_share"),
        median(ours, "rss_mb"), median(peer, "rss_mb"),
        statistics.mode(x["attention"] for x in peer))


def main():
    a = argparse.ArgumentParser()
    for flag, default in (("presets", "tiny,small"), ("tokens", "397"),
                          ("modes", "forward,step")):
        a.add_argument("--" + flag, type=lambda s: s.split(","), default=default.split(","))
    a.add_argument("--rounds", type=int, default=3)
    a.add_argument("--repeat", type=int, default=3)
    args = a.parse_args()
    print(heading() + "\n")
    print("| size, tokens, mode | s | peer's s | times | GFLOP/s | peer's | of peak "
          "| MB | peer's | peer's attention |")
    print("|---" * 10 + "|", flush=True)
    for tokens in args.tokens:
        for preset in args.presets:
            for mode in args.modes:
                rounds = []
                for i in range(args.rounds):
                    print("%s/%s/%s, round %d" % (preset, tokens, mode, i + 1), file=sys.stderr)
                    rounds.append(tuple(measure(c, preset, tokens, mode, args.repeat)
                                        for c in (OURS, PEER)))
                print(row(rounds), flush=True)


if __name__ == "__main__":
    main()
