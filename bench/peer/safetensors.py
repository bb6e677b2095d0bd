"""Reads and writes safetensors files: header length, JSON header, raw little-endian data."""

import json

import torch

DTYPES = {"F32": torch.float32, "I64": torch.int64}


def read(path):
    """Returns {name: tensor} of a file of F32 and I64 tensors."""
    with open(path, "rb") as f:
        header = json.loads(f.read(int.from_bytes(f.read(8), "little")))
        data = bytearray(f.read())
    tensors = {}
    for name, t in header.items():
        if name == "__metadata__":
            continue
        lo, hi = t["data_offsets"]
        flat = torch.frombuffer(data[lo:hi], dtype=DTYPES[t["dtype"]])
        tensors[name] = flat.reshape(t["shape"])
    return tensors


def metadata(path):
    """The texts of a file beside its tensors."""
    with open(path, "rb") as f:
        return json.loads(f.read(int.from_bytes(f.read(8), "little"))).get("__metadata__", {})


def write(path, tensors, texts):
    """Writes F32 tensors, in the order of their names, and texts."""
    header, at = {"__metadata__": texts}, 0
    for name, x in sorted(tensors.items()):
        size = 4 * x.numel()
        header[name] = {"dtype": "F32", "shape": list(x.shape), "data_offsets": [at, at + size]}
        at += size
    head = json.dumps(header).encode()
    head += b" " * (-len(head) % 8)
    with open(path, "wb") as f:
        f.write(len(head).to_bytes(8, "little") + head)
        for _, x in sorted(tensors.items()):
            f.write(x.detach().float().contiguous().numpy().tobytes())
