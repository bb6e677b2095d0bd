"""Measures what a device can do, by PyTorch: a large matrix product, copying memory,
and the kernels of attention at the paper's length. One JSON line each.

    python3 bench/peer/kernels.py --device cuda --dtype bf16
"""

import argparse
import json
import statistics

import torch
import torch.nn.functional as F

from device import DTYPES, Device


def median(on, run, repeat):
    run()
    run()
    return statistics.median(on.seconds(run) for _ in range(repeat))


def times(n, run):
    """So many passes as one: a single short one is not longer than the clock is wide."""
    def many():
        for _ in range(n):
            run()
    return many


def matmul(on, n, repeat):
    a, b = (torch.randn(n, n, device=on.torch, dtype=DTYPES[on.dtype]) for _ in range(2))
    c = torch.empty_like(a)
    seconds = median(on, times(10, lambda: torch.mm(a, b, out=c)), repeat) / 10
    return {"what": "matmul", "n": n, "seconds": seconds, "tflops": 2e-12 * n ** 3 / seconds}


def memory(on, mib, repeat):
    x = torch.zeros(mib << 18, device=on.torch)
    y = torch.empty_like(x)
    seconds = median(on, times(4, lambda: y.copy_(x)), repeat) / 4
    return {"what": "memory", "mib": mib, "seconds": seconds,
            "gbytes_per_s": 2 * x.numel() * 4 / seconds / 1e9}


def attention(on, kernel, views, heads, n, depth, strided, repeat):
    """Forward, and forward with backward; backward counts 2.5 times forward's products."""
    def made():
        shape = (views, n, 3, heads, depth)
        qkv = torch.randn(shape, device=on.torch, dtype=DTYPES[on.dtype]).unbind(2)
        qkv = [x.transpose(1, 2) for x in qkv]
        return [(x if strided else x.contiguous()).detach().requires_grad_() for x in qkv]

    q, k, v = made()
    dy = torch.randn(views, n, heads, depth, device=on.torch, dtype=DTYPES[on.dtype])
    dy = dy.transpose(1, 2)

    def forward():
        with torch.no_grad():
            F.scaled_dot_product_attention(q, k, v)

    def both():
        torch.autograd.grad(F.scaled_dot_product_attention(q, k, v), (q, k, v), dy)

    f, all_ = median(on, forward, repeat), median(on, both, repeat)
    work = 4e-12 * views * heads * n * n * depth
    return {"what": "attention", "kernel": kernel, "views": views, "heads": heads, "n": n,
            "depth": depth, "strided": strided, "forward_s": f, "backward_s": all_ - f,
            "forward_tflops": work / f, "backward_tflops": 2.5 * work / max(all_ - f, 1e-9)}


def main():
    a = argparse.ArgumentParser()
    a.add_argument("--device", default="cpu")
    a.add_argument("--dtype", choices=sorted(DTYPES), default="f32")
    a.add_argument("--matmul", type=int, default=8192, help="rows and columns of the product")
    a.add_argument("--mib", type=int, default=4096, help="of what is copied")
    a.add_argument("--views", type=int, default=32)
    a.add_argument("--heads", type=int, default=12)
    a.add_argument("--tokens", type=int, default=1969)
    a.add_argument("--repeat", type=int, default=10)
    args = a.parse_args()
    on = Device(args.device, args.dtype)

    def show(line):
        print(json.dumps({**line, **on.describe(), "torch": torch.__version__}), flush=True)

    show(matmul(on, args.matmul, args.repeat))
    show(memory(on, args.mib, args.repeat))
    if not hasattr(F, "scaled_dot_product_attention"):
        return show({"what": "attention", "missing": "scaled_dot_product_attention: PyTorch 2"})
    for kernel, turn_on in (on.backends() or {"default": lambda: None}).items():
        turn_on()
        for strided in (True, False):
            try:
                show(attention(on, kernel, args.views, args.heads, args.tokens, 64, strided,
                               args.repeat))
            except RuntimeError as err:
                show({"what": "attention", "kernel": kernel, "strided": strided,
                      "missing": str(err).split("\n")[0]})


if __name__ == "__main__":
    main()
