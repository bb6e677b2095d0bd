"""Times AV-JEPA's forward pass and training step in PyTorch: the peer of
`avjepa bench`, with the same cases, clips and JSON lines.

    bench/peer/run.sh --check-golden
    bench/peer/run.sh --presets tiny --tokens 397 --modes step
    python3 bench/peer/step.py --device cuda --dtype bf16 --presets base --tokens 1969 \\
        --modes step --clips 40 --compile
"""

import argparse
import json
import os
import statistics
import sys
import time

import torch

import model
import safetensors
from device import DTYPES, Device

GOLDEN = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../testdata/golden")
SIZES = {"tiny": (192, 12, 3), "small": (384, 12, 6), "base": (768, 12, 12)}
VIEWS = {397: (8, 112, 401), 1969: (16, 224, 801)}  # frames, side, mel frames
CLIPS = {397: 2, 1969: 1}  # of a step, if nothing else is asked
# Of the golden loss. With bf16 products the gradient's norm has three digits; on a
# GPU, float32 sums are in another order.
TOLERANCE = {("cpu", "f32"): 1e-5, ("cuda", "f32"): 1e-4}
BF16_TOLERANCE = 3e-2


def check_golden(on):
    """Holds total and norm of the gradient, with every form of attention, to the
    published code's."""
    tolerance = TOLERANCE.get((on.torch.type, on.dtype), BF16_TOLERANCE)
    files = [{n: x.to(on.torch) for n, x in
              safetensors.read(os.path.join(GOLDEN, name + ".safetensors")).items()}
             for name in ("weights", "loss")]
    weights, want = files
    g = model.Geometry(48, 2, 3, 4, 32, 32, 48, hidden=64, proj=32, directions=64)

    def view_major(x):  # (B, V, …) to (V·B, …)
        return x.transpose(0, 1).flatten(0, 1)

    batch = [view_major(want["in." + name]) for name in
             ("global_video", "global_audio", "local_audio", "local_video")]
    for form, attention in model.ATTENTION.items():
        p = model.trained(joined(g, weights))
        with on.autocast():
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


def fastest_attention(on, g, views, training):
    """The name of the form, or of sdpa's kernel, that is fastest at the shapes of a
    case; the kernel is the one used from then on."""
    shape = (views, g.tokens, g.heads, g.width // g.heads)
    q, k, v = (torch.randn(shape, device=on.torch, dtype=DTYPES[on.dtype],
                           requires_grad=training) for _ in range(3))
    q, k, v = (x.transpose(1, 2) for x in (q, k, v))
    kernels = on.backends()
    forms = {"sdpa " + n: model.attention_sdpa for n in kernels} or model.ATTENTION
    best = {}
    for _ in range(3):
        for form, attention in forms.items():
            if form in best and best[form] is None:
                continue
            if kernels:
                kernels[form[len("sdpa "):]]()

            def run():
                if attention is model.attention_sdpa:
                    y = attention(q, k, v)
                else:
                    y = attention(*(x.flatten(0, 1) for x in (q, k, v)))
                if training:
                    y.backward(y.detach())

            try:
                seconds = on.seconds(run)
            except RuntimeError as err:  # a kernel that this device or type has not
                print("peer: %s: %s" % (form, str(err).split("\n")[0]), file=sys.stderr)
                best[form] = None
                continue
            best[form] = min(seconds, best.get(form, seconds))
    best = {form: x for form, x in best.items() if x is not None}
    if not best:
        sys.exit("peer: no form of attention runs on %s in %s" % (on.torch, on.dtype))
    form = min(best, key=best.get)
    if kernels:
        kernels[form[len("sdpa "):]]()
    return form


def form_of(name):
    """The function of a name of fastest_attention."""
    return model.ATTENTION[name.split(" ")[0]]


def frames(on, g, views):
    shape = (views, g.frames, g.side, g.side, 3)
    return torch.randint(0, 256, shape, dtype=torch.uint8, device=on.torch)


def mels(on, g, views):
    return torch.randn(views, g.bands, g.mels, device=on.torch)


def stepper(on, g, attention, clips, args):
    """A training step: forward, backward, clipping, AdamW, reading the loss."""
    p = model.parameters(g, on.torch)
    leaves = [x for x in p.values() if x.requires_grad]
    fused = {"fused": True} if on.cuda else {}
    optimizer = torch.optim.AdamW(leaves, lr=1e-4, weight_decay=0.05, **fused)
    batch = (frames(on, g, 2 * clips), mels(on, g, 2 * clips), mels(on, g, clips),
             frames(on, g, clips))

    def loss(directions):
        return model.loss(g, p, batch, directions, attention, recompute=args.recompute)

    if args.compile:
        loss = torch.compile(loss)

    def step():
        optimizer.zero_grad(set_to_none=True)
        directions = unit(torch.randn(g.proj, g.directions, device=on.torch))
        with on.autocast():
            total = loss(directions)
        total.backward()
        torch.nn.utils.clip_grad_norm_(leaves, 5)
        optimizer.step()
        return total.item()

    return step


def embedder(on, g, attention, views, args):
    """The forward pass of views with both modalities: all tokens, then the projector
    and the mean of the patches."""
    p = model.parameters(g, on.torch)
    group = (views, frames(on, g, views), mels(on, g, views))

    def embed():
        y = model.encode(g, p, [group], attention, False)
        return y[:, 1:].mean(1), model.project(p, y[:, 0], False)

    if args.compile:
        embed = torch.compile(embed)

    def forward():
        with torch.inference_mode(), on.autocast():
            return [x.float().cpu() for x in embed()]

    return forward


def median_seconds(on, repeat, run):
    """After passes that are not timed: at least repeat, short ones for a second."""
    for _ in range(3 if on.cuda else 1):  # memory, kernels and clocks settle
        run()
    seconds, began = [], time.perf_counter()
    while len(seconds) < repeat or len(seconds) < 50 and time.perf_counter() - began < 1:
        seconds.append(on.seconds(run))
    return statistics.median(seconds)


def convention_flops(g, mode, clips):
    view = g.depth * (24 * g.tokens * g.width ** 2 + 4 * g.tokens ** 2 * g.width)
    return view * clips if mode == "forward" else 3 * view * 4 * clips


def bench(on, preset, tokens, mode, args):
    n, side, mels_ = VIEWS[tokens]
    g = model.Geometry(*SIZES[preset], n, side, 128, mels_)
    assert g.tokens == tokens
    # A forward pass has one view of a clip; a step has four.
    clips = args.clips or (CLIPS[tokens] if mode == "step" else 1)
    form = args.attention
    if form == "fastest":
        form = fastest_attention(on, g, 4 * clips if mode == "step" else clips, mode == "step")
    make = embedder if mode == "forward" else stepper
    seconds = median_seconds(on, args.repeat, make(on, g, form_of(form), clips, args))
    rate = convention_flops(g, mode, clips) / seconds / 1e9
    share = {"peak_share": rate / args.peak} if args.peak else {}
    print(json.dumps({
        "case": "%s/%d/%s" % (preset, tokens, mode), "preset": preset, "tokens": tokens,
        "mode": mode, "clips": clips, "seconds": seconds, "gflops": rate, **share,
        **on.memory(), **on.describe(), "attention": form, "compiled": args.compile,
        "recompute": args.recompute, "torch": torch.__version__}), flush=True)


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
    a.add_argument("--clips", type=int, default=0,
                   help="of a step, or views of a forward pass; 0 for the usual number")
    a.add_argument("--device", default="cpu", help="cpu, cuda, cuda:1")
    a.add_argument("--dtype", choices=sorted(DTYPES), default="f32", help="of products")
    a.add_argument("--compile", action="store_true", help="by torch.compile")
    a.add_argument("--recompute", action="store_true", help="blocks, in backward")
    a.add_argument("--attention", choices=["fastest", *model.ATTENTION], default="fastest")
    a.add_argument("--peak", type=float, default=0, help="GFLOP/s, for peak_share; none: it is left out")
    args = a.parse_args()
    torch.set_num_threads(args.threads)
    torch.set_flush_denormal(True)
    torch.manual_seed(1)
    on = Device(args.device, args.dtype)
    if args.check_golden:
        return check_golden(on)
    if args.compile and not hasattr(torch, "compile"):
        sys.exit("peer: --compile: PyTorch %s has no torch.compile" % torch.__version__)
    if on.cuda:  # what float32 products are left, TF32 may do
        torch.set_float32_matmul_precision("high")
    for tokens in args.tokens:
        for preset in args.presets:
            for mode in args.modes:
                bench(on, preset, int(tokens), mode, args)


if __name__ == "__main__":
    main()
