"""Loads a model that `avjepa export RUN --out mine.safetensors` wrote, in PyTorch.

    weights, about = load("mine.safetensors")
    cls, tokens = encode(weights, about, video, audio)   # (B, D), (B, N, D)
    z = project(weights, cls)                            # (B, K)

video (B, 3, T, H, W) is frames on [0, 1], normalised by about["normalisation"]'s
pixel_mean and pixel_std; audio (B, 1, F, M) is the log-mel in dB, normalised by its
mel_mean_db and mel_std_db. None stands for an absent modality. about["geometry"] has
T, H, W, F, M. `safetensors.torch.load_file` reads the same weights.
"""

import json
import sys

import torch
import torch.nn.functional as F


def load(path):
    """The tensors of a safetensors file by name, and its metadata."""
    with open(path, "rb") as f:
        header = json.loads(f.read(int.from_bytes(f.read(8), "little")))
        data = f.read()
    meta = header.pop("__metadata__", {})
    about = {k: json.loads(meta[k]) for k in ("geometry", "normalisation", "classes") if k in meta}
    types = {"F32": torch.float32, "I64": torch.int64}
    weights = {}
    for name, e in header.items():
        begin, end = e["data_offsets"]
        flat = torch.frombuffer(bytearray(data[begin:end]), dtype=types[e["dtype"]])
        weights[name] = flat.reshape(e["shape"])
    return weights, about


def norm(w, name, x, eps):
    return F.layer_norm(x, x.shape[-1:], w[name + ".weight"], w[name + ".bias"], eps)


def linear(w, name, x):
    return F.linear(x, w[name + ".weight"], w[name + ".bias"])


def embed(w, g, video, audio):
    """Tokens [CLS; video (time, row, column); audio (mel, time)] before the first block."""
    e, b = "encoder.embedding.", len(audio if video is None else video)
    if video is None and g["absent"] == "zero":
        video = torch.zeros(b, 3, g["frames"], g["side"], g["side"])
    if audio is None and g["absent"] == "zero":
        audio = torch.zeros(b, 1, g["mel_bands"], g["mel_frames"])
    parts = [w[e + "cls_token"].expand(b, 1, -1)]
    for kind, x, conv, outer, inner in (
            (0, video, "video", "video_time_embed", "video_spatial_embed"),
            (1, audio, "audio", "audio_freq_pos_embed", "audio_time_pos_embed")):
        if x is None:
            continue
        k = w[e + conv + "_patch_embed.projection.weight"]
        conv_op = F.conv3d if kind == 0 else F.conv2d
        x = conv_op(x, k, w[e + conv + "_patch_embed.projection.bias"], stride=k.shape[2:])
        place = (w[e + outer] + w[e + inner]).flatten(1, 2)
        parts.append(x.flatten(2).transpose(1, 2) + place
                     + w[e + "modality_type_embeddings.weight"][kind])
    x = torch.cat(parts, 1)
    return norm(w, e + "layernorm", x, 1e-6) if g["embed_norm"] else x


@torch.no_grad()
def encode(w, about, video=None, audio=None):
    """CLS (B, D) and all tokens (B, N, D) of the last block."""
    g = about["geometry"]
    x = embed(w, g, video, audio)
    for i in range(g["depth"]):
        p = f"encoder.encoder.blocks.{i}."
        h = norm(w, p + "layernorm_1", x, 1e-5)
        q, k, v = (linear(w, p + "attention." + n, h).unflatten(2, (g["heads"], -1)).transpose(1, 2)
                   for n in ("query", "key", "value"))
        a = torch.softmax(q @ k.transpose(2, 3) / q.shape[-1] ** 0.5, -1) @ v
        x = x + linear(w, p + "attention.output_projection", a.transpose(1, 2).flatten(2))
        h = F.gelu(linear(w, p + "mlp.dense_1", norm(w, p + "layernorm_2", x, 1e-5)))
        x = x + linear(w, p + "mlp.dense_2", h)
    if g["final_norm"]:
        x = norm(w, "encoder.encoder.layernorm", x, 1e-5)
    return x[:, 0], x


@torch.no_grad()
def project(w, cls):
    """The projection (B, K) of a CLS, with running statistics."""
    x, p = cls, "projector.net."
    for i in (0, 3):
        n = f"{p}{i + 1}."
        x = F.batch_norm(linear(w, p + str(i), x), w[n + "running_mean"], w[n + "running_var"],
                         w[n + "weight"], w[n + "bias"])
        x = F.gelu(x)
    return linear(w, p + "6", x)


if __name__ == "__main__":
    weights, about = load(sys.argv[1])
    g = about["geometry"]
    print(json.dumps(about, indent=2))
    cls, tokens = encode(weights, about, torch.randn(1, 3, g["frames"], g["side"], g["side"]),
                         torch.randn(1, 1, g["mel_bands"], g["mel_frames"]))
    print("of noise: cls", tuple(cls.shape), "tokens", tuple(tokens.shape),
          "projection", tuple(project(weights, cls).shape))
