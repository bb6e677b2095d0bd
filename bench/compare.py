"""Times avjepa and its peer in alternation and writes a table of ratios.

    make bench                                            # into docs/benchmarks.md
    make bench BENCH="--presets base --tokens 397 --rounds 5"
    make bench BENCH="--presets tiny --modes step --load 1"   # beside a busy process
    make bench BENCH="--engine torch"                         # our torch engine
    bench/compare.py --scaling --presets small,base --modes step

Every case runs in a process of its own, ours and the peer's by turns; each
process gives the median of its passes. The table has the median over the rounds
and the range from least to most. `times` is the peer's seconds by ours, likewise,
so that a disturbance of one round does not decide. With --scaling the peer is
avjepa itself with one thread. A process that dies leaves a word in its cells.
"""

import argparse
import contextlib
import json
import os
import platform
import signal
import subprocess
import sys
import tempfile

import table

HERE = os.path.dirname(os.path.abspath(__file__))
OURS = [os.path.join(HERE, "../bin/avjepa"), "bench", "--json"]
PEER = [os.path.join(HERE, "peer/run.sh")]


def measure(command, preset, tokens, mode, repeat):
    """The line of one case, in a process of its own. Of one that died: `dead`, why,
    and the most memory it had."""
    flags = ["--presets", preset, "--tokens", tokens, "--modes", mode, "--repeat", str(repeat)]
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as errors:
        child = subprocess.Popen(command + flags, stdout=out, stderr=errors)
        try:
            _, status, usage = os.wait4(child.pid, 0)
        except BaseException:
            child.kill()
            child.wait()
            raise
        child.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        errors.seek(0)
        if child.returncode == 0:
            return json.load(out)
        said = errors.read()
    sys.stderr.write(said[-2000:])
    if child.returncode in (-signal.SIGINT, 128 + signal.SIGINT):
        raise KeyboardInterrupt
    memory = child.returncode == -signal.SIGKILL or "not enough memory" in said or \
        "MemoryError" in said or "cannot allocate memory" in said
    return {"dead": "out of memory" if memory else "failed", "rss_mb": usage.ru_maxrss / 1024}


def output(*command):
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


def machine(with_peer):
    """What the figures of all rows were measured on and with."""
    with open("/proc/cpuinfo") as f:
        cpu = [line.split(":")[1].strip() for line in f if line.startswith("model name")]
    ours = "%d cores of %s; %s" % (len(cpu), cpu[0], output("go", "env", "GOVERSION"))
    if not with_peer:
        return ours
    torch = output("/usr/bin/python3", "-c", "import torch; print(torch.__version__)")
    blas = output("dpkg-query", "-W", "-f", "${Version}", "libopenblas0-openmp")
    return "%s; PyTorch %s, OpenBLAS %s, Python %s" % (ours, torch, blas,
                                                       platform.python_version())


def commit():
    """The commit, with + when the tree has changes outside the pages."""
    git = ["git", "-c", "safe.directory=*", "-C", os.path.dirname(HERE)]
    changed = output(*git, "status", "--porcelain", "--untracked-files=no", "--", ".", ":!docs")
    return output(*git, "rev-parse", "--short", "HEAD") + ("+" if changed else "")


@contextlib.contextmanager
def busy(processes):
    """So many processes that each keep a core busy, as long as this one lives."""
    code = "import os\nwhile os.getppid() == %d:\n for _ in range(10 ** 6): pass" % os.getpid()
    spin = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(processes)]
    try:
        yield
    finally:
        for p in spin:
            p.kill()
            p.wait()


def rounds(args, preset, tokens, mode, sides):
    """The lines of a case by side and round; a side that died is not run again."""
    lines = [[] for _ in sides]
    for i in range(args.rounds):
        print("%s/%s/%s, round %d" % (preset, tokens, mode, i + 1), file=sys.stderr, flush=True)
        for of, command in zip(lines, sides):
            if not (of and "dead" in of[-1]):
                of.append(measure(command, preset, tokens, mode, args.repeat))
    return lines


def main():
    a = argparse.ArgumentParser()
    for flag, default in (("presets", "tiny,small"), ("tokens", "397"),
                          ("modes", "forward,step")):
        a.add_argument("--" + flag, type=lambda s: s.split(","), default=default.split(","))
    a.add_argument("--rounds", type=int, default=3)
    a.add_argument("--repeat", type=int, default=3)
    a.add_argument("--load", type=int, default=0, metavar="N",
                   help="keep N other processes busy meanwhile")
    a.add_argument("--engine", default="cpu", help="avjepa's, cpu or torch")
    a.add_argument("--scaling", action="store_true",
                   help="avjepa with one thread in the peer's place")
    a.add_argument("--write", metavar="PAGE",
                   help="also put the rows between the marks of a page")
    args = a.parse_args()
    kind = table.SCALING if args.scaling else table.PEER
    ours = OURS + ["--engine", args.engine]
    sides = (ours, ours + ["--threads", "1"] if args.scaling else PEER)
    page = table.Page(args.write, kind, machine(not args.scaling))
    print(page.heading() + "\n\n" + kind.head, flush=True)
    at = commit()
    with busy(args.load):
        for tokens in args.tokens:
            for preset in args.presets:
                for mode in args.modes:
                    label = "%s, %s, %s" % (preset, tokens, mode)
                    if args.engine != "cpu":
                        label += ", engine " + args.engine
                    if args.load:
                        label += ", beside %d busy" % args.load
                    row = kind.row(label, *rounds(args, preset, tokens, mode, sides), at)
                    print(row, flush=True)
                    page.add(row)


def interrupt(*_):
    raise KeyboardInterrupt


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, interrupt)
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("interrupted: rows that were printed are kept")
