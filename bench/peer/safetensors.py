"""Reads a safetensors file: header length, JSON header, raw little-endian data."""

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
