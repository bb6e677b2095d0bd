"""AV-JEPA's encoder, projector and losses in PyTorch, after docs/method.md.

Shapes: B views of a call, N tokens, D width, A heads, V views of a clip, K
dimensions of a projection. Parameters are a dict with the names of the published
checkpoints, but for `qkv`: query, key and value are one (3D, D) product, as in
avjepa.
"""

import math

import torch
import torch.nn.functional as F
from torch.utils.checkpoint import checkpoint

PIXEL_MEAN = torch.tensor([0.485, 0.456, 0.406])
PIXEL_STD = torch.tensor([0.229, 0.224, 0.225])


class Geometry:
    """Sizes of an encoder, its views and its projector."""

    def __init__(self, width, depth, heads, frames, side, bands, mels,
                 hidden=2048, proj=128, directions=2048,
                 tube=2, patch=16, patch_mel=16, patch_mels=16):
        self.width, self.depth, self.heads = width, depth, heads
        self.frames, self.side, self.bands, self.mels = frames, side, bands, mels
        self.hidden, self.proj, self.directions = hidden, proj, directions
        self.tube, self.patch = tube, patch
        self.patch_mel, self.patch_mels = patch_mel, patch_mels
        self.times, self.places = frames // tube, (side // patch) ** 2
        self.audio = (bands // patch_mel, mels // patch_mels)
        self.video_tokens = self.times * self.places
        self.audio_tokens = self.audio[0] * self.audio[1]
        self.tokens = 1 + self.video_tokens + self.audio_tokens


def parameters(g, device="cpu"):
    """Initial parameters: {name: leaf tensor}."""
    d, p, e = g.width, {}, "encoder.embedding."

    def normal(name, *shape):
        p[name] = torch.randn(*shape) * 0.02

    def constant(name, value, n):
        p[name] = torch.full((n,), float(value))

    def norm(name, n):
        constant(name + ".weight", 1, n)
        constant(name + ".bias", 0, n)

    def linear(name, n_in, n_out):
        normal(name + ".weight", n_out, n_in)
        constant(name + ".bias", 0, n_out)

    normal(e + "audio_freq_pos_embed", 1, g.audio[0], 1, d)
    normal(e + "audio_time_pos_embed", 1, 1, g.audio[1], d)
    normal(e + "video_time_embed", 1, g.times, 1, d)
    normal(e + "video_spatial_embed", 1, 1, g.places, d)
    normal(e + "cls_token", 1, 1, d)
    normal(e + "video_patch_embed.projection.weight", d, 3, g.tube, g.patch, g.patch)
    constant(e + "video_patch_embed.projection.bias", 0, d)
    normal(e + "audio_patch_embed.projection.weight", d, 1, g.patch_mel, g.patch_mels)
    constant(e + "audio_patch_embed.projection.bias", 0, d)
    normal(e + "modality_type_embeddings.weight", 2, d)
    norm(e + "layernorm", d)
    for i in range(g.depth):
        b = "encoder.encoder.blocks.%d." % i
        linear(b + "attention.qkv", d, 3 * d)
        linear(b + "attention.output_projection", d, d)
        norm(b + "layernorm_1", d)
        linear(b + "mlp.dense_1", d, 4 * d)
        linear(b + "mlp.dense_2", 4 * d, d)
        norm(b + "layernorm_2", d)
    sizes = ((0, d, g.hidden), (3, g.hidden, g.hidden), (6, g.hidden, g.proj))
    for i, n_in, n_out in sizes:
        bound = 1 / math.sqrt(n_in)
        p["projector.net.%d.weight" % i] = torch.empty(n_out, n_in).uniform_(-bound, bound)
        p["projector.net.%d.bias" % i] = torch.empty(n_out).uniform_(-bound, bound)
    for i in (1, 4):
        norm("projector.net.%d" % i, g.hidden)
        constant("projector.net.%d.running_mean" % i, 0, g.hidden)
        constant("projector.net.%d.running_var" % i, 1, g.hidden)
    return trained({name: x.to(device) for name, x in p.items()})


def trained(p):
    """Marks all but running statistics as leaves with gradients."""
    for name, x in p.items():
        if "running_" not in name and x.is_floating_point():
            x.requires_grad_()
    return p


# Attention: softmax(q·kᵀ/√(D/A))·v of (B·A, n, D/A) tensors, in several forms; the
# last one takes (B, A, n, D/A), as strided views of the product they come from.

def attention_baddbmm(q, k, v):
    scale = 1 / math.sqrt(q.shape[-1])
    s = torch.baddbmm(q.new_empty(1, 1, 1), q, k.transpose(1, 2), beta=0, alpha=scale)
    return torch.bmm(s.softmax(-1), v)


def attention_bmm(q, k, v):
    s = torch.bmm(q * (1 / math.sqrt(q.shape[-1])), k.transpose(1, 2))
    return torch.bmm(s.softmax(-1), v)


def attention_einsum(q, k, v):
    s = torch.einsum("bnd,bmd->bnm", q * (1 / math.sqrt(q.shape[-1])), k)
    return torch.einsum("bnm,bmd->bnd", s.softmax(-1), v)


def attention_heads(q, k, v):
    q = q * (1 / math.sqrt(q.shape[-1]))
    return torch.stack([torch.mm((a @ b.t()).softmax(-1), c)
                        for a, b, c in zip(q.unbind(), k.unbind(), v.unbind())])


def attention_sdpa(q, k, v):
    return F.scaled_dot_product_attention(q, k, v)


ATTENTION = {"baddbmm": attention_baddbmm, "bmm": attention_bmm,
             "einsum": attention_einsum, "heads": attention_heads}
if hasattr(F, "scaled_dot_product_attention"):  # PyTorch 2
    ATTENTION["sdpa"] = attention_sdpa


def attend(attention, heads, q, k, v):
    """Attention of (B, n, D) tensors with so many heads, by one of the forms."""
    n, t, d = q.shape

    def split(y):  # to (B, A, n, D/A), a view
        return y.view(n, y.shape[1], heads, -1).transpose(1, 2)

    if attention is attention_sdpa and t == 1:
        # The last block's CLS alone: not every kernel takes a single query.
        s = split(q * (1 / math.sqrt(d // heads))) @ split(k).transpose(2, 3)
        return (s.softmax(-1).to(v.dtype) @ split(v)).reshape(n, t, d)
    if attention is attention_sdpa:
        return attention(split(q), split(k), split(v)).transpose(1, 2).reshape(n, t, d)
    o = attention(*(split(y.contiguous()).flatten(0, 1) for y in (q, k, v)))
    return o.view(n, heads, t, -1).transpose(1, 2).reshape(n, t, d)


def video_patches(g, video):
    """(B, T, H, W, 3) 8-bit or (B, 3, T, H, W) normalised to (B, Nv, 3·tube·patch·patch)."""
    if video.dtype == torch.uint8:
        video = video.permute(0, 4, 1, 2, 3).float().div_(255)
        mean, std = (x.to(video.device).view(1, 3, 1, 1, 1) for x in (PIXEL_MEAN, PIXEL_STD))
        video = video.sub_(mean).div_(std)
    side, t, p = g.side // g.patch, g.tube, g.patch
    x = video.reshape(-1, 3, g.times, t, side, p, side, p)
    return x.permute(0, 2, 4, 6, 1, 3, 5, 7).reshape(-1, g.video_tokens, 3 * t * p * p)


def audio_patches(g, audio):
    """(B, F, S) log-mel to (B, Na, patch); an incomplete last patch is unused."""
    (bands, times), f, s = g.audio, g.patch_mel, g.patch_mels
    x = audio.reshape(-1, g.bands, audio.shape[-1])[:, :, :times * s]
    x = x.reshape(-1, bands, f, times, s)
    return x.permute(0, 1, 3, 2, 4).reshape(-1, g.audio_tokens, f * s)


def embed(g, p, views, video, audio):
    """Tokens (views, N, D); an absent modality (None) costs no product."""
    e, d = "encoder.embedding.", g.width
    types = p[e + "modality_type_embeddings.weight"]
    vb, ab = (p[e + m + "_patch_embed.projection.bias"] for m in ("video", "audio"))
    v = (p[e + "video_time_embed"] + p[e + "video_spatial_embed"]).view(1, -1, d)
    a = (p[e + "audio_freq_pos_embed"] + p[e + "audio_time_pos_embed"]).view(1, -1, d)
    v, a = v + (vb + types[0]), a + (ab + types[1])
    if video is not None:
        w = p[e + "video_patch_embed.projection.weight"].view(d, -1)
        v = F.linear(video_patches(g, video), w) + v
    if audio is not None:
        w = p[e + "audio_patch_embed.projection.weight"].view(d, -1)
        a = F.linear(audio_patches(g, audio), w) + a
    return torch.cat([p[e + "cls_token"].expand(views, 1, d), v.expand(views, -1, d),
                      a.expand(views, -1, d)], 1)


def block(g, p, i, x, attention, cls_only):
    """One pre-norm block of x (B, N, D); with cls_only the CLS (B, 1, D) alone."""
    b, d = "encoder.encoder.blocks.%d." % i, g.width

    def linear(name, x):
        return F.linear(x, p[b + name + ".weight"], p[b + name + ".bias"])

    def norm(name, x):
        return F.layer_norm(x, (d,), p[b + name + ".weight"], p[b + name + ".bias"], 1e-5)

    h = norm("layernorm_1", x)
    if cls_only:
        w, c = p[b + "attention.qkv.weight"], p[b + "attention.qkv.bias"]
        q = F.linear(h[:, :1], w[:d], c[:d])
        k, v = F.linear(h, w[d:], c[d:]).chunk(2, -1)
        x = x[:, :1]
    else:
        q, k, v = linear("attention.qkv", h).chunk(3, -1)
    x = x + linear("attention.output_projection", attend(attention, g.heads, q, k, v))
    return x + linear("mlp.dense_2", F.gelu(linear("mlp.dense_1", norm("layernorm_2", x))))


def encode(g, p, groups, attention, cls_only, recompute=False):
    """Output tokens of groups (views, video, audio), all in one pass. With recompute
    backward runs each block again from its input."""
    x = torch.cat([embed(g, p, *group) for group in groups])
    e = "encoder.embedding.layernorm"
    x = F.layer_norm(x, (g.width,), p[e + ".weight"], p[e + ".bias"], 1e-6)
    for i in range(g.depth):
        args = (g, p, i, x, attention, cls_only and i == g.depth - 1)
        x = checkpoint(block, *args, use_reentrant=False) if recompute else block(*args)
    return x


def project(p, x, training):
    """The projector: (R, D) to (R, K)."""
    n = "projector.net."

    def linear(i, x):
        return F.linear(x, p[n + "%d.weight" % i], p[n + "%d.bias" % i])

    def norm(i, x):
        m = n + "%d." % i
        return F.gelu(F.batch_norm(x, p[m + "running_mean"], p[m + "running_var"],
                                   p[m + "weight"], p[m + "bias"], training, 0.1, 1e-5))

    return linear(6, norm(4, linear(3, norm(1, linear(0, x)))))


def sigreg(z, directions):
    """SIGReg of z (V, B, K) along directions (K, M), mean over views."""
    t = torch.linspace(-5, 5, 17, device=z.device)
    phi = torch.exp(-t * t / 2)
    weight = torch.full((17,), 10 / 16, device=z.device)
    weight[0] = weight[-1] = 5 / 16
    x = (z @ directions).unsqueeze(-1) * t  # (V, B, M, 17)
    c, s = x.cos().mean(1), x.sin().mean(1)
    return (((c - phi) ** 2 + s ** 2) @ (phi * weight)).mean() * z.shape[1]


def projections(g, p, batch, attention, globals_=2, recompute=False):
    """Projections (V, B, K) of a batch: (global video, global audio, local audio, local
    video), view-major, row = view·B + clip."""
    gv, ga, la, lv = batch
    clips = gv.shape[0] // globals_
    groups = [(gv.shape[0], gv, ga), (la.shape[0], None, la), (lv.shape[0], lv, None)]
    cls = encode(g, p, groups, attention, True, recompute)[:, 0]
    n = globals_ * clips
    # Projector and objective are float32, as avjepa's.
    with torch.autocast(cls.device.type, enabled=False):
        cls = cls.float()
        z = torch.cat([project(p, cls[:n], True), project(p, cls[n:], True)])
        return z.view(-1, clips, g.proj)


def parts(z, directions, globals_=2):
    """Prediction loss and SIGReg, unweighted, of projections."""
    with torch.autocast(z.device.type, enabled=False):
        center = z[:globals_].mean(0)
        return ((center - z) ** 2).mean(), sigreg(z, directions)


def loss(g, p, batch, directions, attention, globals_=2, lam=0.05, recompute=False):
    """The total of a batch, see projections."""
    z = projections(g, p, batch, attention, globals_, recompute)
    prediction, regular = parts(z, directions, globals_)
    return (1 - lam) * prediction + lam * regular
