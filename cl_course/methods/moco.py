"""MoCo v2 (He et al. 2020, arXiv:1911.05722; Chen et al. 2020, arXiv:2003.04297): negatives from a queue of keys."""

import math
import warnings

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cl_course.distributed import gather, processes
from cl_course.losses import check_temperature, info_nce
from cl_course.methods.method import Method, linear_widths
from cl_course.methods.norm_groups import in_groups
from cl_course.momentum import check_momentum, ema_update, frozen_copy
from cl_course.values import instance, one_of, whole

LONGEST_QUEUE = 2**22  # 2 GB of keys of 128 numbers, and more images than ImageNet has


class MoCo(Method):
    """Algorithm 1 of the paper, with v2's MLP head.

    Args:
        encoder: f_q, images (n, 3, h, w) -> h; kept for later. The key encoder f_k is never evaluated.
        projector: h -> z (n, dim).
        queue_size: K, how many earlier keys serve as negatives.
        momentum: m in [0, 1], of the key encoder; the larger, the slower it drifts.
        temperature: T > 0 of InfoNCE.
        dim: the length of z.
        key_norm: which images BatchNorm normalises a key with. "batch": those whose queries were normalised together;
            their common statistics tell a query which batch its key came from, so that it can cheat. "shuffled":
            others, the paper's cure (sec. 3.3).
        norm_groups: into how many groups BatchNorm cuts the batch, as each GPU normalises its share by itself;
            "shuffled" needs at least 2, the paper's runs had 8.
        symmetric: both views give queries and keys, as in the authors' CIFAR demo: twice the work and twice the keys a
            step. In Algorithm 1 view1 gives the queries and view2 the keys.
    """

    def __init__(
        self, encoder: nn.Module, projector: nn.Module, queue_size: int = 4096, momentum: float = 0.99,
        temperature: float = 0.2, dim: int = 128, key_norm: str = "batch", norm_groups: int = 1,
        symmetric: bool = False,
    ):
        super().__init__()
        self.momentum, self.temperature = check_momentum(momentum), check_temperature(temperature)
        self.key_norm = one_of("key_norm", key_norm, ("batch", "shuffled"))
        self.symmetric = instance("symmetric", symmetric, bool)
        fewest = 2 if key_norm == "shuffled" else 1
        self.norm_groups = whole("norm_groups", norm_groups, fewest, advice="key_norm 'shuffled' needs at least 2")
        queue_size = whole("queue_size", queue_size, 1, LONGEST_QUEUE, advice="the paper's is 65536")
        dim = whole("dim", dim, 1)
        _, width = linear_widths(projector) or (None, dim)
        if width != dim:
            raise ValueError(f"dim must be the length of z, got {dim}, but the projector makes vectors of {width}; "
                             f"pass dim={width}")
        self.encoder, self.projector = encoder, projector
        self.key_encoder, self.key_projector = frozen_copy(encoder), frozen_copy(projector)
        self.register_buffer("queue", F.normalize(torch.randn(queue_size, dim), dim=1))  # (K, dim)
        self.register_buffer("oldest", torch.zeros((), dtype=torch.long))  # where the next key goes
        self.new_keys: Tensor | None = None

    def embeddings(self, view1: Tensor, view2: Tensor) -> tuple[Tensor, Tensor]:
        """Queries of view1 and, without gradient, keys of view2."""
        q = in_groups(lambda x: self.projector(self.encoder(x)), view1, self.norm_groups)
        with torch.no_grad():
            dealt = self.key_norm == "shuffled"
            k = in_groups(lambda x: self.key_projector(self.key_encoder(x)), view2, self.norm_groups, dealt)
        return q, F.normalize(k, dim=1)

    def loss(self, view1: Tensor, view2: Tensor) -> Tensor:
        if self.symmetric:
            view1, view2 = torch.cat([view1, view2]), torch.cat([view2, view1])
        q, self.new_keys = self.embeddings(view1, view2)
        return info_nce(q, self.new_keys, self.queue, self.temperature)

    def after_step(self) -> None:
        """The key encoder drifts, and the new keys replace the oldest."""
        ema_update(self.key_encoder, self.encoder, self.momentum)
        ema_update(self.key_projector, self.projector, self.momentum)
        self.enqueue(gather(self.new_keys))

    @torch.no_grad()
    def enqueue(self, keys: Tensor) -> None:
        """Replace the oldest keys, modulo the queue's length, by as many as it can hold."""
        n, length = len(keys), len(self.queue)
        self._check_room(n)
        places = (self.oldest + torch.arange(n, device=keys.device)) % length
        self.queue[places] = keys.to(self.queue.dtype)
        self.oldest.copy_((self.oldest + n) % length)

    def chance(self, n: int) -> float:
        """The loss of guessing among a key and the whole queue; a batch of n changes nothing."""
        return math.log(1 + len(self.queue))

    def check_data(self, images: int, batch_size: int) -> None:
        """Refuse keys that the queue cannot hold and groups of fewer than 2 keys, which BatchNorm cannot normalise."""
        keys = batch_size * (2 if self.symmetric else 1)
        self._check_room(keys)
        if keys < 2 * self.norm_groups:
            raise ValueError(f"{self.norm_groups} groups of {keys} keys leave BatchNorm fewer than 2 in a group; take "
                             "fewer norm_groups or a larger batch")
        if self.norm_groups > 1 and (self.norm_groups % processes() or processes() > 1 and keys % self.norm_groups):
            raise ValueError(f"{processes()} processes cannot cut {keys} keys into {self.norm_groups} groups of one "
                             f"size and share them; take norm_groups={processes()} and a batch that it divides, "
                             "or another number of processes")
        if len(self.queue) > images:
            warnings.warn(
                f"the queue holds {len(self.queue)} keys and the data set {images} images: each image meets its own "
                f"earlier keys as negatives, which pushes its views apart; take queue_size well under {images}",
                stacklevel=3,
            )

    def _check_room(self, keys: int) -> None:
        if keys > len(self.queue):
            raise ValueError(f"a batch of {keys} keys does not fit into a queue of {len(self.queue)}; take a larger "
                             "queue_size or a smaller batch")
