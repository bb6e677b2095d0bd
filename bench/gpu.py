"""Keeps the results of bench/gpu.sh: JSON lines, and a table made of them.

    gpu.py record --part NAME --rc N --seconds S [--watch FILE] [--errors FILE] <output
    gpu.py table results.jsonl
    gpu.py metrics runs/NAME/metrics.jsonl   # of a run's steps, as one line
"""

import argparse
import json
import statistics
import sys


def objects(text):
    """The JSON objects in what a program printed: one, or one a line."""
    try:
        whole = json.loads(text)
        return [whole] if isinstance(whole, dict) else []
    except ValueError:
        pass
    found = []
    for line in text.splitlines():
        if line.startswith("{"):
            try:
                found.append(json.loads(line))
            except ValueError:  # cut off where the program was killed
                continue
    return found


def watched(path):
    """Of nvidia-smi's samples during a part: most memory, mean power, least clock."""
    rows = []
    try:
        with open(path) as f:
            for line in f:
                try:
                    rows.append([float(x) for x in line.split(",")])
                except ValueError:
                    continue
    except OSError:
        return {}
    rows = [r for r in rows if len(r) == 3]
    if not rows:
        return {}
    memory, watts, clock = zip(*rows)
    return {"gpu_mb": max(memory), "gpu_watts": round(statistics.mean(watts), 1),
            "gpu_mhz": statistics.median(clock)}


def record(args):
    said = ""
    if args.errors:
        with open(args.errors, errors="replace") as f:
            lines = [x.strip() for x in f if x.strip()]
        said = lines[-1][:300] if lines else ""
    found = objects(sys.stdin.read())
    for x in found:
        print(json.dumps({"part": args.part, **x}))
    status = {0: "ok", 124: "out of time", 137: "killed"}.get(args.rc, "failed")
    line = {"part": args.part, "status": status, "rc": args.rc, "took": args.seconds,
            **(watched(args.watch) if args.watch else {})}
    print(json.dumps({**line, "said": said} if status != "ok" else line))


def metrics(args):
    with open(args.file) as f:
        steps = [json.loads(x) for x in f]
    steps = steps[min(args.skip, len(steps) - 1):]
    seconds = [x["seconds"] for x in steps]
    print(json.dumps({"steps": len(steps), "seconds": statistics.median(seconds),
                      "clips_per_s": statistics.median(x["clips_per_s"] for x in steps),
                      "wait_share": sum(x["wait_share"] * x["seconds"] for x in steps) / sum(seconds),
                      "total": steps[-1]["total"]}))


def cell(x, form):
    return form % x if isinstance(x, (int, float)) else ""


def step_row(x, peak, memory):
    who = "ours" if "attention" not in x else "PyTorch %s%s" % (
        x["torch"], ", compiled" if x["compiled"] else "")
    if x.get("recompute"):
        who += ", recomputing"
    tflops = x["gflops"] / 1000
    return [x["part"], who, x["case"], str(x["clips"]), cell(x["seconds"], "%.4g"),
            cell(x["clips"] / x["seconds"], "%.3g"), cell(tflops, "%.3g"),
            cell(100 * tflops / peak if peak else None, "%.0f %%"), cell(memory, "%.0f"),
            x.get("attention", "")]


def rows_of(title, head, rows):
    if not rows:
        return ""
    lines = ["| %s |" % " | ".join(r) for r in [head, *rows]]
    lines.insert(1, "|---" * len(head) + "|")
    return "%s\n\n%s\n\n" % (title, "\n".join(lines))


def table(lines):
    """The page's tables."""
    peak = next((x["tflops"] for x in lines if x.get("what") == "matmul"), None)
    memory = {x["part"]: x.get("gpu_mb") for x in lines if "status" in x}
    text = ""
    for x in lines:
        if x["part"] == "facts" and "facts" in x:
            text += x["facts"] + "\n\n"
    text += rows_of("What the device does", ["what", "measured"], [
        ["product, n = %d" % x["n"], "%.4g TFLOP/s" % x["tflops"]] if x["what"] == "matmul" else
        ["copying %d MiB" % x["mib"], "%.4g GB/s" % x["gbytes_per_s"]]
        for x in lines if x.get("what") in ("matmul", "memory")])
    text += rows_of("Attention's kernels", ["kernel", "q, k, v", "n", "forward, TFLOP/s",
                                            "backward, TFLOP/s"], [
        [x.get("kernel", ""), "strided" if x.get("strided") else "contiguous", str(x.get("n", "")),
         cell(x.get("forward_tflops"), "%.0f") or x.get("missing", ""),
         cell(x.get("backward_tflops"), "%.0f")]
        for x in lines if x.get("what") == "attention"])
    text += rows_of("Steps and forward passes", [
        "part", "who", "size, tokens, mode", "clips", "s", "clips/s", "TFLOP/s", "of the product",
        "GPU MB", "attention"],
        [step_row(x, peak, memory.get(x["part"])) for x in lines if "case" in x])
    text += rows_of("Fed from shards", ["part", "steps", "s a step", "clips/s", "waiting for data"], [
        [x["part"], str(x["steps"]), cell(x["seconds"], "%.4g"), cell(x["clips_per_s"], "%.3g"),
         "%.1f %%" % (100 * x["wait_share"])] for x in lines if "wait_share" in x])
    text += rows_of("Kernels of our steps, the first one's preparation included", [
        "kernel", "calls", "ms", "share"], [
        ["`%s`" % x["kernel"], str(x["calls"]), "%.1f" % x["ms"], "%.1f %%" % (100 * x["share"])]
        for x in lines if x.get("share", 0) >= .003])
    text += rows_of("Parts", ["part", "status", "s", "said"], [
        [x["part"], x["status"], cell(x["took"], "%.0f"), x.get("said", "").replace("|", "/")]
        for x in lines if "status" in x])
    return text


def main():
    a = argparse.ArgumentParser()
    sub = a.add_subparsers(dest="command", required=True)
    r = sub.add_parser("record")
    r.add_argument("--part", required=True)
    r.add_argument("--rc", type=int, required=True)
    r.add_argument("--seconds", type=float, required=True)
    r.add_argument("--watch")
    r.add_argument("--errors")
    t = sub.add_parser("table")
    t.add_argument("file")
    m = sub.add_parser("metrics")
    m.add_argument("file")
    m.add_argument("--skip", type=int, default=5, help="first steps, which warm up")
    args = a.parse_args()
    if args.command == "record":
        return record(args)
    if args.command == "metrics":
        return metrics(args)
    with open(args.file) as f:
        print(table([json.loads(x) for x in f]), end="")


if __name__ == "__main__":
    main()
