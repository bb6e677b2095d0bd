"""Trains AV-JEPA in PyTorch on the views of one of avjepa's runs, from its initial weights,
and writes a run folder that avjepa reads: its curves and its last checkpoint.

    bin/views -config runs/a/config.toml -init init.safetensors |
        bench/peer/run.sh learn.py --init init.safetensors --like runs/a --out runs/b

What the two do not share is SIGReg's directions, drawn by each from its own generator, and
the order in which floats are summed. Learning rate, clipping and AdamW are written here
after docs/method.md, and by torch.optim.
"""

import argparse
import json
import math
import os
import shutil
import sys
import time

import torch

import model
import safetensors
from step import joined, unit

SPARED = "modality_type_embeddings.weight"  # a table, not a layer's weight


def learning_rate(h, i):
    """Of step i, from 0: a straight warm-up, then half a cosine."""
    if i < h["warmup"]:
        start = h["warmup_start"]
        return h["lr"] * (start + (1 - start) * i / h["warmup"])
    done = (i - h["warmup"]) / (h["steps"] - h["warmup"])
    return h["min_lr"] + (h["lr"] - h["min_lr"]) * (1 + math.cos(math.pi * done)) / 2


def decayed(name, x):
    """Weight decay pulls on the weights of layers alone: no bias, gain, position, CLS."""
    return name.endswith(".weight") and x.dim() > 1 and not name.endswith(SPARED)


def receive(stream, shape, dtype):
    """One part of a batch."""
    data = bytearray(math.prod(shape) * {torch.uint8: 1, torch.float32: 4}[dtype])
    into = memoryview(data)
    while into:
        got = stream.readinto(into)
        if not got:
            raise EOFError("the views end early")
        into = into[got:]
    return torch.frombuffer(data, dtype=dtype).view(shape)


def batch(stream, h):
    """The views of a step, as model.projections takes them."""
    b, video = h["batch"], (h["frames"], h["side"], h["side"], 3)
    audio = (h["bands"], h["mels"])
    gv = receive(stream, (h["globals"] * b, *video), torch.uint8)
    ga = receive(stream, (h["globals"] * b, *audio), torch.float32)
    lv = receive(stream, (h["video_locals"] * b, *video), torch.uint8)
    la = receive(stream, (h["audio_locals"] * b, *audio), torch.float32)
    return gv, ga, la, lv


def separate(p, g):
    """joined's inverse: query, key and value apart, as checkpoints have them."""
    out = {}
    for name, x in p.items():
        if ".attention.qkv." in name:
            for part, y in zip(("query", "key", "value"), x.detach().chunk(3)):
                out[name.replace(".qkv.", ".%s." % part)] = y
        else:
            out[name] = x.detach()
    return out


def save(path, like, g, p, optimizer):
    """Writes the checkpoint of the last step: our values under the names, and with the
    words, of avjepa's."""
    template = safetensors.read(like)
    values = separate(p, g)
    for prefix, key in (("adamw.m.", "exp_avg"), ("adamw.v.", "exp_avg_sq")):
        moments = {n: optimizer.state[x][key] for n, x in p.items() if x.requires_grad}
        values.update({prefix + n: x for n, x in separate(moments, g).items()})
    for name, x in template.items():
        if name.endswith("num_batches_tracked"):
            values[name] = x  # two a step in both
    if {n: list(x.shape) for n, x in template.items()} != {n: list(x.shape) for n, x in values.items()}:
        odd = sorted(set(template) ^ set(values))
        sys.exit("learn: another checkpoint than %s: %s" % (like, odd or "shapes differ"))
    safetensors.write(path, values, safetensors.metadata(like))


def train(h, g, p, stream, log):
    """Takes the steps and logs them as avjepa does; returns the optimizer."""
    leaves = [(n, x) for n, x in p.items() if x.requires_grad]
    groups = [{"params": [x for n, x in leaves if h["decay_all"] or decayed(n, x)],
               "weight_decay": h["weight_decay"]},
              {"params": [x for n, x in leaves if not (h["decay_all"] or decayed(n, x))],
               "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW([x for x in groups if x["params"]], lr=h["lr"],
                                  betas=(h["beta1"], h["beta2"]), eps=h["eps"])
    parameters = [x for _, x in leaves]
    for i in range(h["steps"]):
        began = time.perf_counter()
        views = batch(stream, h)
        waited = time.perf_counter() - began
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(h, i)
        optimizer.zero_grad(set_to_none=True)
        directions = unit(torch.randn(g.proj, g.directions))
        z = model.projections(g, p, views, model.attention_bmm, h["globals"])
        prediction, regular = model.parts(z, directions, h["globals"])
        total = (1 - h["lambda"]) * prediction + h["lambda"] * regular
        total.backward()
        norm = torch.nn.utils.clip_grad_norm_(parameters, h["clip"] or math.inf)
        optimizer.step()
        numbers = {"total": total.item(), "invariance": prediction.item(),
                   "sigreg": regular.item(), "std": z.detach().std(1).mean().item(),
                   "lr": learning_rate(h, i), "grad_norm": norm.item()}
        if not all(math.isfinite(x) for x in numbers.values()):
            sys.exit("learn: step %d is not finite: %s" % (i + 1, numbers))
        seconds = time.perf_counter() - began
        log.write(json.dumps({"step": i + 1, "epoch": (i + 1) / h["steps_per_epoch"], **numbers,
                              "seconds": seconds, "clips_per_s": h["batch"] / seconds,
                              "gflops": 0, "wait_share": waited / seconds}) + "\n")
        log.flush()
        if (i + 1) % 50 == 0:
            print("learn: step %d of %d, loss %.3f, %.2f s a step"
                  % (i + 1, h["steps"], numbers["total"], seconds), file=sys.stderr)
    return optimizer


def main():
    a = argparse.ArgumentParser()
    a.add_argument("--init", required=True, help="initial weights")
    a.add_argument("--like", required=True, help="avjepa's run on the same views")
    a.add_argument("--out", required=True, help="run folder to write")
    a.add_argument("--seed", type=int, default=0, help="of the directions")
    a.add_argument("--threads", type=int, default=os.cpu_count())
    args = a.parse_args()
    torch.set_num_threads(args.threads)
    torch.set_flush_denormal(True)
    torch.manual_seed(args.seed)
    stream = sys.stdin.buffer
    h = json.loads(stream.readline())
    g = model.Geometry(*(h[k] for k in ("width", "depth", "heads", "frames", "side", "bands", "mels",
                                        "hidden", "proj", "directions", "tube", "patch", "patch_mel",
                                        "patch_mels")))
    p = model.trained(joined(g, {n: x for n, x in safetensors.read(args.init).items()
                                 if not n.endswith("num_batches_tracked")}))
    like = os.path.join(args.like, "checkpoints", "step-%08d.safetensors" % h["steps"])
    if not os.path.exists(like):
        sys.exit("learn: no %s: make avjepa's run first" % like)
    tmp = args.out + ".part"
    shutil.rmtree(tmp, ignore_errors=True)
    os.makedirs(os.path.join(tmp, "checkpoints"))
    with open(os.path.join(tmp, "metrics.jsonl"), "w") as log:
        optimizer = train(h, g, p, stream, log)
    save(os.path.join(tmp, "checkpoints", os.path.basename(like)), like, g, p, optimizer)
    shutil.copy(os.path.join(args.like, "config.toml"), tmp)
    os.rename(tmp, args.out)


if __name__ == "__main__":
    main()
