"""MoCo v2 (He et al. 2020, arXiv:1911.05722; Chen et al. 2020, arXiv:2003.04297): negatives from a queue of earlier keys."""

import math
import warnings
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cl_course.losses import check_temperature, info_nce
from cl_course.methods.method import Method
from cl_course.momentum import check_momentum, ema_update, frozen_copy

KEY_NORMS = ("batch", "shuffled")


class MoCo(Method):
    """Algorithm 1 of the paper, with v2's MLP head.

    Args:
        encoder: f_q, images (n, 3, h, w) -> h; kept for later. The key encoder f_k is never evaluated.
        projector: h -> z (n, dim).
        queue_size: K, how many earlier keys serve as negatives.
        momentum: m in [0, 1], of the key encoder; the larger, the slower it drifts.
        temperature: T > 0 of InfoNCE.
        dim: the length of z.
        key_norm: with which others BatchNorm normalises a key. "batch": with the keys of the very images whose queries were normalised
            together; their common statistics tell a query which batch its key came from, so that it can cheat. "shuffled": with others,
            the paper's cure (sec. 3.3).
        norm_groups: into how many groups BatchNorm sees the batch cut, each normalised by itself, as each GPU does with its share of the
            batch; "shuffled" needs at least 2, the paper's runs had 8.
        symmetric: every view asks once and answers once, as in the authors' CIFAR demo: twice the work and twice the keys a step.
            Algorithm 1 has view1 ask and view2 answer.
    """

    def __init__(
        self,
        encoder: nn.Module,
        projector: nn.Module,
        queue_size: int = 4096,
        momentum: float = 0.99,
        temperature: float = 0.2,
        dim: int = 128,
        key_norm: str = "batch",
        norm_groups: int = 1,
        symmetric: bool = False,
    ):
        super().__init__()
        check_temperature(temperature)
        check_momentum(momentum)
        if key_norm not in KEY_NORMS:
            raise ValueError(f"key_norm must be one of {', '.join(KEY_NORMS)}, got {key_norm!r}")
        fewest = 2 if key_norm == "shuffled" else 1
        if norm_groups < fewest:
            raise ValueError(f"norm_groups must be at least {fewest} with key_norm {key_norm!r}, got {norm_groups}")
        if queue_size < 1:
            raise ValueError(f"queue_size must be at least 1, got {queue_size}")
        linear = [part for part in projector.modules() if isinstance(part, nn.Linear)]
        if linear and linear[-1].out_features != dim:  # heads without a linear layer are taken at their word
            raise ValueError(f"dim must be the length of z, got {dim}, but the projector makes vectors of {linear[-1].out_features}; pass dim={linear[-1].out_features}")
        self.encoder, self.projector = encoder, projector
        self.key_encoder, self.key_projector = frozen_copy(encoder), frozen_copy(projector)
        self.momentum, self.temperature, self.symmetric = momentum, temperature, symmetric
        self.key_norm, self.norm_groups = key_norm, norm_groups
        self.register_buffer("queue", F.normalize(torch.randn(queue_size, dim), dim=1))  # (K, dim)
        self.register_buffer("oldest", torch.zeros((), dtype=torch.long))  # where the next key goes
        self.new_keys: Tensor | None = None

    def embeddings(self, view1: Tensor, view2: Tensor) -> tuple[Tensor, Tensor]:
        """Queries of view1 and, without gradient, keys of view2."""
        q = self._in_groups(lambda x: self.projector(self.encoder(x)), view1)
        with torch.no_grad():
            k = self._in_groups(lambda x: self.key_projector(self.key_encoder(x)), view2, dealt=self.key_norm == "shuffled")
        return q, F.normalize(k, dim=1)

    def _in_groups(self, network: Callable[[Tensor], Tensor], x: Tensor, dealt: bool = False) -> Tensor:
        """The network on each group of the batch by itself; the answers in the batch's order.

        A group is a stretch of the batch or, `dealt` out like cards, some of each stretch; every stretch is dealt from another group on, so
        that the two views of an image, half a symmetric batch apart, part. The batch comes in a random order, which makes dealing a shuffle,
        and a run that was cut off needs no random numbers of its own to go on.
        """
        if self.norm_groups == 1:
            return network(x)
        order = torch.arange(len(x), device=x.device)
        if dealt:
            stretch = order * self.norm_groups // len(x)
            start = (stretch * len(x) + self.norm_groups - 1) // self.norm_groups  # where the stretch begins
            order = ((order - start + stretch) % self.norm_groups).argsort(stable=True)
        return torch.cat([network(x[group]) for group in order.tensor_split(self.norm_groups)])[order.argsort()]

    def loss(self, view1: Tensor, view2: Tensor) -> Tensor:
        if self.symmetric:
            view1, view2 = torch.cat([view1, view2]), torch.cat([view2, view1])
        q, self.new_keys = self.embeddings(view1, view2)
        return info_nce(q, self.new_keys, self.queue, self.temperature)

    def chance(self, n: int) -> float:
        """The loss of guessing among a key and the whole queue; a batch of n changes nothing."""
        return math.log(1 + len(self.queue))

    def check_data(self, images: int, batch_size: int) -> None:
        """Find out before training: the queue must hold the keys of a batch, and should not be longer than the data set.

        Raises:
            ValueError: more keys in a step than the queue holds; groups of fewer than 2 images, which BatchNorm cannot normalise.

        Warns:
            A queue longer than the data set still holds each image's own earlier keys.
        """
        keys = batch_size * (2 if self.symmetric else 1)
        self._check_room(keys)
        if keys < 2 * self.norm_groups:
            raise ValueError(f"{self.norm_groups} groups of {keys} keys leave BatchNorm fewer than 2 in a group; take fewer norm_groups or a larger batch")
        if len(self.queue) > images:
            warnings.warn(
                f"the queue holds {len(self.queue)} keys and the data set {images} images: each image meets its own earlier keys as negatives, "
                f"which pushes its views apart; take queue_size well under {images}",
                stacklevel=3,
            )

    def after_step(self) -> None:
        """The key encoder drifts, and the new keys replace the oldest."""
        ema_update(self.key_encoder, self.encoder, self.momentum)
        ema_update(self.key_projector, self.projector, self.momentum)
        self.enqueue(self.new_keys)

    @torch.no_grad()
    def enqueue(self, keys: Tensor) -> None:
        """Replace the oldest keys, modulo the queue's length, so that any batch size fits.

        Raises:
            ValueError: more keys than the queue holds.
        """
        n, length = len(keys), len(self.queue)
        self._check_room(n)
        places = (self.oldest + torch.arange(n, device=keys.device)) % length
        self.queue[places] = keys.to(self.queue.dtype)
        self.oldest.copy_((self.oldest + n) % length)

    def _check_room(self, keys: int) -> None:
        if keys > len(self.queue):
            raise ValueError(f"a batch of {keys} keys does not fit into a queue of {len(self.queue)}; take a larger queue_size or a smaller batch")
