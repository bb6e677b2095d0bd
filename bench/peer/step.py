"""Times AV-JEPA's forward pass and training step in PyTorch: the peer of
`avjepa bench`, with the same cases, clips and JSON lines.

    bench/peer/run.sh --check-golden
    bench/peer/run.sh --presets tiny --tokens 397 --modes step
"""

import argparse
import json
import os
import resource
import statistics
import sys
import time

import torch

import model
import safetensors

GOLDEN = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../testdata/golden")
SIZES = {"tiny": (192, 12, 3), "small": (384, 12, 6), "base": (768, 12, 12)}
VIEWS = {397: (8, 112, 401), 1969: (16, 224, 801)}  # frames, side, mel frames
CLIPS = {397: 2, 1969: 1}  # of a step


def check_golden(tolerance=1e-5):
    """Holds total and norm of the gradient, with every form of attention, to the
    published code's."""
    files = [safetensors.read(os.path.join(GOLDEN, name + ".safetensors"))
             for name in ("weights", "loss")]
    weights, want = files
    g = model.Geometry(48, 2, 3, 4, 32, 32, 48, hidden=64, proj=32, directions=64)

    def view_major(x):  # (B, V, …) to (V·B, …)
        return x.transpose(0, 1).flatten(0, 1)

    batch = [view_major(want["in." + name]) for name in
             ("global_video", "global_audio", "local_audio", "local_video")]
    for form, attention in model.ATTENTION.items():
        p = model.trained(joined(g, weights))
        total = model.loss(g, p, batch, unit(want["directions"]), attention)
        total.backward()
        leaves = [x for x in p.values() if x.grad is not None]
        norm = torch.sqrt(sum((x.grad ** 2).sum() for x in leaves))
        for what, got, expected in (("total", total, want["total"]),
                                    ("gradient norm", norm, want["grad_norm"])):
            diff = abs(got.item() - expected.item())
            if not diff <= tolerance * max(1, abs(expected.item())):
                sys.exit("%s with %s is %.8f, want %.8f: off by %.1e, more than %.0e"
                         % (what, form, got.item(), expected.item(), diff, tolerance))
            print("%s with %s: %.8f, off by %.1e" % (what, form, got.item(), diff))


def unit(directions):
    """Columns of (K, M) scaled to length 1."""
    return directions / directions.norm(dim=0, keepdim=True)


def joined(g, weights):
    """A checkpoint's parameters, with query, key and value as one."""
    p = {n: x.clone() for n, x in weights.items() if n.startswith(("encoder.", "projector."))}
    for i in range(g.depth):
        a = "encoder.encoder.blocks.%d.attention." % i
        for kind in (".weight", ".bias"):
            p[a + "qkv" + kind] = torch.cat([p.pop(a + n + kind)
                                             for n in ("query", "key", "value")])
    return p


def fastest_attention(g, views, training):
    """The name of the form that is fastest at the shapes of a case."""
    shape = (views * g.heads, g.tokens, g.width // g.heads)
    q, k, v = (torch.randn(shape, requires_grad=training) for _ in range(3))
    best = {}
    for _ in range(3):
        for form, attention in model.ATTENTION.items():
            start = time.perf_counter()
            y = attention(q, k, v)
            if training:
                y.backward(y.detach())
            seconds = time.perf_counter() - start
            best[form] = min(seconds, best.get(form, seconds))
    return min(best, key=best.get)


def frames(g, views):
    return torch.randint(0, 256, (views, g.frames, g.side, g.side, 3), dtype=torch.uint8)


def stepper(g, attention):
    """A training step: forward, backward, clipping, AdamW, reading the loss."""
    p = model.parameters(g)
    leaves = [x for x in p.values() if x.requires_grad]
    optimizer = torch.optim.AdamW(leaves, lr=1e-4, weight_decay=0.05)
    n = CLIPS[g.tokens]
    batch = (frames(g, 2 * n), torch.randn(2 * n, g.bands, g.mels),
             torch.randn(n, g.bands, g.mels), frames(g, n))

    def step():
        optimizer.zero_grad(set_to_none=True)
        directions = unit(torch.randn(g.proj, g.directions))
        total = model.loss(g, p, batch, directions, attention)
        total.backward()
        torch.nn.utils.clip_grad_norm_(leaves, 5)
        optimizer.step()
        return total.item()

    return step


def embedder(g, attention):
    """The forward pass of one view with both modalities: all tokens, then the
    projector and the mean of the patches."""
    p = model.parameters(g)
    group = (1, frames(g, 1), torch.randn(1, g.bands, g.mels))

    def forward():
        with torch.inference_mode():
            y = model.encode(g, p, [group], attention, False)
            return y[:, 1:].mean(1), model.project(p, y[:, 0], False)

    return forward


def median_seconds(repeat, run):
    """After a pass that is not timed: at least repeat, short ones for a second."""
    run()
    seconds, began = [], time.perf_counter()
    while len(seconds) < repeat or len(seconds) < 50 and time.perf_counter() - began < 1:
        start = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def convention_flops(g, mode):
    view = g.depth * (24 * g.tokens * g.width ** 2 + 4 * g.tokens ** 2 * g.width)
    return view if mode == "forward" else 3 * view * 4 * CLIPS[g.tokens]


def bench(preset, tokens, mode, args):
    n, side, mels = VIEWS[tokens]
    g = model.Geometry(*SIZES[preset], n, side, 128, mels)
    assert g.tokens == tokens
    form = args.attention
    if form == "fastest":
        form = fastest_attention(g, 1 if mode == "forward" else 4 * CLIPS[tokens], mode == "step")
    make = embedder if mode == "forward" else stepper
    seconds = median_seconds(args.repeat, make(g, model.ATTENTION[form]))
    rate = convention_flops(g, mode) / seconds / 1e9
    share = {"peak_share": rate / args.peak} if args.peak else {}
    print(json.dumps({
        "case": "%s/%d/%s" % (preset, tokens, mode), "preset": preset, "tokens": tokens,
        "mode": mode, "clips": CLIPS[tokens] if mode == "step" else 1, "seconds": seconds,
        "gflops": rate, **share,
        "rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "attention": form}), flush=True)


def words(text):
    return text.split(",")


def main():
    a = argparse.ArgumentParser()
    a.add_argument("--check-golden", action="store_true")
    a.add_argument("--presets", type=words, default=["tiny", "small"])
    a.add_argument("--tokens", type=words, default=["397"])
    a.add_argument("--modes", type=words, default=["forward", "step"])
    a.add_argument("--repeat", type=int, default=3)
    a.add_argument("--threads", type=int, default=os.cpu_count())
    a.add_argument("--attention", choices=["fastest", *model.ATTENTION], default="fastest")
    a.add_argument("--peak", type=float, default=0, help="GFLOP/s, for peak_share; none: it is left out")
    args = a.parse_args()
    torch.set_num_threads(args.threads)
    torch.set_flush_denormal(True)
    torch.manual_seed(1)
    if args.check_golden:
        return check_golden()
    for tokens in args.tokens:
        for preset in args.presets:
            for mode in args.modes:
                bench(preset, int(tokens), mode, args)


if __name__ == "__main__":
    main()
