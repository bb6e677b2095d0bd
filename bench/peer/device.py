"""What runs the peer: a CPU or a GPU, in float32 or with bf16 products."""

import contextlib
import resource
import time

import torch

DTYPES = {"f32": torch.float32, "bf16": torch.bfloat16}


class Device:
    """A device and the type of its products.

    On a GPU the clock is its own: events around a pass, which ends with reading the
    loss, so that no work of a pass is left when the next begins."""

    def __init__(self, name, dtype):
        self.torch, self.dtype = torch.device(name), dtype
        self.cuda = self.torch.type == "cuda"
        if self.cuda:
            if not torch.cuda.is_available():
                raise SystemExit("peer: --device %s: PyTorch %s sees no GPU"
                                 % (name, torch.__version__))
            torch.cuda.set_device(self.torch)

    def autocast(self):
        if self.dtype == "f32":
            return contextlib.nullcontext()
        return torch.autocast(self.torch.type, dtype=DTYPES[self.dtype])

    def seconds(self, run):
        """Of one pass."""
        if not self.cuda:
            start = time.perf_counter()
            run()
            return time.perf_counter() - start
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        run()
        end.record()
        end.synchronize()
        return begin.elapsed_time(end) / 1000

    def memory(self):
        """Most so far, in MB: of the process, and on the GPU."""
        m = {"rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}
        if self.cuda:
            m["device_mb"] = torch.cuda.max_memory_reserved(self.torch) / 2**20
        return m

    def describe(self):
        if not self.cuda:
            return {"device": "cpu", "dtype": self.dtype}
        return {"device": torch.cuda.get_device_name(self.torch), "dtype": self.dtype}

    def backends(self):
        """The kernels behind sdpa, {name: what turns them on}; none to choose on a CPU."""
        if not self.cuda:
            return {}
        b = torch.backends.cuda
        all_ = {"flash": b.enable_flash_sdp, "efficient": b.enable_mem_efficient_sdp,
                "math": b.enable_math_sdp}
        if hasattr(b, "enable_cudnn_sdp"):  # from 2.5
            all_["cudnn"] = b.enable_cudnn_sdp

        def only(name):
            def turn():
                for n, enable in all_.items():
                    enable(n == name)
            return turn

        return {name: only(name) for name in all_ if name != "math"}
