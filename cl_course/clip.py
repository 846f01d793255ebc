"""Images and captions in one space: CLIP (Radford et al. 2021, arXiv:2103.00020) and SigLIP (Zhai et al. 2023).

Two encoders, one loss between them. No `methods.Method`: those see two views of one image, these an image and a text.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Generator, Tensor, nn

from cl_course.augment import augment
from cl_course.captions import LONGEST, WORDS, tokens
from cl_course.data import ImageSet, shuffled_batches, to_float
from cl_course.evaluate import embed
from cl_course.losses import check_temperature, clip_loss, siglip_loss
from cl_course.optimizers import make_optimizer, set_rate
from cl_course.tensor_types import Embeddings, Labels, check_finite, checked
from cl_course.train import NonFiniteLoss, TrainConfig, learning_rate_at
from cl_course.values import instance, whole

SHARPEST = 100.0  # 1 / T is never larger: CLIP's clamp (sec. 2.5)
OF_PRETRAIN = ("precision", "compile", "checkpointing", "chunk_size")  # settings that training on pairs does not use


class TextEncoder(nn.Module):
    """A transformer of one block, pre-norm, that reads at most `LONGEST` words; their mean is the text's feature.

    CLIP's has 12 blocks, reads from left to right, and takes the feature at its end token (sec. 2.4).
    """

    def __init__(self, dim: int = 64, heads: int = 4):
        super().__init__()
        self.dim, self.heads = dim, heads
        self.word = nn.Embedding(len(WORDS) + 1, dim, padding_idx=0)
        self.place = nn.Parameter(torch.empty(LONGEST, dim))
        self.norm1, self.norm2, self.norm3 = (nn.LayerNorm(dim) for _ in range(3))
        self.attention = nn.MultiheadAttention(dim, heads, batch_first=True)
        self.mlp = nn.Sequential(nn.Linear(dim, 2 * dim), nn.ReLU(), nn.Linear(2 * dim, dim))
        for weights in (self.word.weight, self.place):
            nn.init.normal_(weights, std=0.1)

    def forward(self, words: Tensor) -> Tensor:
        """Numbers of words, int64 (n, length), 0 where a text has ended -> features (n, dim)."""
        ended = words == 0
        x = self.word(words) + self.place[: words.shape[1]]  # (n, length, dim)
        y = self.norm1(x)
        x = x + self.attention(y, y, y, key_padding_mask=ended, need_weights=False)[0]
        x = self.norm3(x + self.mlp(self.norm2(x)))
        return x.masked_fill(ended[..., None], 0).sum(dim=1) / (~ended).sum(dim=1, keepdim=True)


class CLIP(nn.Module):
    """Fig. 3 of the paper: both features through a linear map into one space, in which `clip_loss` compares them.

    Args:
        encoder: of images, (n, 3, h, w) -> h (n, encoder.dim).
        text_encoder: of words, int64 (n, length) -> (n, text_encoder.dim).
        dim: of the space that both share.
        temperature: where T starts; it is learned, as exp(-log_scale).
    """

    rate_factors: Mapping[str, float] = MappingProxyType({})  # all parts learn at one rate, see `make_optimizer`

    def __init__(self, encoder: nn.Module, text_encoder: nn.Module, dim: int = 64, temperature: float = 0.07):
        super().__init__()
        self.encoder, self.text_encoder = encoder, text_encoder
        self.image_projection = nn.Linear(encoder.dim, dim, bias=False)
        self.text_projection = nn.Linear(text_encoder.dim, dim, bias=False)
        self.log_scale = nn.Parameter(torch.tensor(-math.log(check_temperature(temperature))))

    @property
    def temperature(self) -> Tensor:
        return (-self.log_scale).exp()

    def loss(self, images: Tensor, words: Tensor) -> Tensor:
        """Of images (n, 3, h, w) and the words of their captions (n, length), row i of both is pair i."""
        return clip_loss(*self.embeddings(images, words), self.temperature)

    def embeddings(self, images: Tensor, words: Tensor) -> tuple[Tensor, Tensor]:
        """z_image, z_text (n, dim), of any length."""
        return self.image_projection(self.encoder(images)), self.text_projection(self.text_encoder(words))

    @torch.no_grad()
    def after_step(self) -> None:
        """Keep 1 / T at most at 100, as the paper does for stability."""
        self.log_scale.clamp_(max=math.log(SHARPEST))

    @torch.no_grad()
    def embed_images(self, images: ImageSet) -> Tensor:
        """Unit vectors (n, dim) on the CPU, in eval mode."""
        device = self.log_scale.device
        h = embed(self.encoder, images).to(device)
        return F.normalize(self.image_projection(h), dim=1).cpu()

    @torch.no_grad()
    def embed_texts(self, texts: Sequence[str]) -> Tensor:
        """Unit vectors (n, dim) on the CPU; a ValueError for a word that no caption has.

        The mode does not matter: the text encoder has no dropout and no batch statistics.
        """
        words = tokens(texts).to(self.log_scale.device)
        return F.normalize(self.text_projection(self.text_encoder(words)), dim=1).cpu()


class SigLIP(CLIP):
    """The same two encoders under `siglip_loss`; temperature and bias start as in the paper (sec. 3.2).

    Unlike the paper's, 1 / T is clamped, as in CLIP.
    """

    def __init__(self, encoder: nn.Module, text_encoder: nn.Module, dim: int = 64, temperature: float = 0.1):
        super().__init__(encoder, text_encoder, dim, temperature)
        self.bias = nn.Parameter(torch.tensor(-10.0))

    def loss(self, images: Tensor, words: Tensor) -> Tensor:
        return siglip_loss(*self.embeddings(images, words), self.temperature, self.bias)


def train_pairs(method: CLIP, images: ImageSet, texts: Sequence[str], config: TrainConfig,
                on_epoch: Callable[[dict], None] | None = None) -> list[dict]:  # fmt: skip
    """Train on images and their captions, as `train.pretrain` does on two views of an image.

    Args:
        texts: one for each image.
        config: `augment` is applied to each image once: only what no caption names may change. `weight_decay` also
            acts on the temperature and the bias, unlike CLIP's.
        on_epoch: is given each row when it is there.

    Returns:
        A row an epoch: "epoch", "loss" (the mean) and "temperature" (at its end).

    Raises:
        ValueError: images and texts differ in number; the config asks for what is done in `train.pretrain` alone.
        NonFiniteLoss: the loss is infinite or not a number.
    """
    instance("method", method, CLIP)
    instance("config", config, TrainConfig)
    if len(images) != len(texts):
        raise ValueError(f"{len(images)} images came with {len(texts)} captions; give one caption for each image")
    if unused := [name for name in OF_PRETRAIN if getattr(config, name) != getattr(TrainConfig, name)]:
        raise ValueError(f"train_pairs does not use {', '.join(unused)}; leave out what was given for it")
    words, device = tokens(texts), method.log_scale.device
    optimizer = make_optimizer(method, config.optimizer, config.weight_decay)
    generator = Generator().manual_seed(config.seed)
    total, step, rows = config.epochs * (len(images) // config.batch_size), 0, []
    for epoch in range(1, config.epochs + 1):
        method.train()
        losses = []
        for batch in shuffled_batches(len(images), config.batch_size, generator):
            pixels = augment(to_float(images.images[batch]), config.augment, generator)
            loss = method.loss(pixels.to(device), words[batch].to(device))
            optimizer.zero_grad()
            loss.backward()
            set_rate(optimizer, learning_rate_at(step, total, config))
            optimizer.step()
            method.after_step()
            losses.append(loss.detach())
            step += 1
        row = {"epoch": epoch, "loss": float(torch.stack(losses).mean()), "temperature": method.temperature.item()}
        if not math.isfinite(row["loss"]):
            raise NonFiniteLoss(f"the loss became {row['loss']} in epoch {epoch}, at the learning rate "
                                f"{config.learning_rate:g}; try a third of it")  # fmt: skip
        rows.append(row)
        if on_epoch is not None:
            on_epoch(row)
    return rows


@checked
def zero_shot(z_image: Embeddings, z_prompts: Float[Tensor, "classes prompts d"]) -> Labels:
    """Which class each image is nearest to, (n,): a class is the mean direction of its prompts (CLIP, sec. 3.1.4)."""
    if 0 in z_prompts.shape[:2]:
        raise ValueError(f"zero_shot needs a class and for each a prompt, got {tuple(z_prompts.shape)}; give one")
    check_finite("embeddings", z_image, z_prompts)
    directions = F.normalize(F.normalize(z_prompts, dim=2).mean(dim=1), dim=1)  # (classes, d)
    return (F.normalize(z_image, dim=1) @ directions.T).argmax(dim=1)


@checked
def recall_at_k(z_query: Embeddings, z_gallery: Embeddings, k: int = 1, same: Tensor | None = None) -> float:
    """Share of queries that have a right row of the gallery among their k most similar.

    Of rows that are equally similar, `topk` decides which come first.

    Args:
        z_query, z_gallery: (n, d), of any length.
        k: 1 to n.
        same: bool (n, n), True where row j of the gallery is right for query i, as where two cards have one caption.
            Without it only row i is, and by chance the share is k / n.

    Raises:
        ValueError: k is not a whole number from 1 to n; `same` has another shape.
    """
    k = whole("k", k, 1, len(z_gallery), advice="it is a number of rows of the gallery")
    check_finite("embeddings", z_query, z_gallery)
    similarity = F.normalize(z_query, dim=1) @ F.normalize(z_gallery, dim=1).T  # (n, n)
    if same is None:
        same = torch.eye(len(similarity), dtype=torch.bool, device=similarity.device)
    if same.shape != similarity.shape:
        raise ValueError(
            f"same must have the shape {tuple(similarity.shape)}, got {tuple(same.shape)}; for whole numbers that tell "
            "the captions apart, captions[:, None] == captions makes it"
        )
    found = similarity.topk(k, dim=1).indices  # (n, k)
    return float(same.gather(1, found).any(dim=1).float().mean())


@checked
def modality_gap(z_image: Embeddings, z_text: Float[Tensor, "m d"]) -> float:
    """Distance between the mean of the images and that of the texts on the unit sphere: 0 to 2.

    Liang et al. 2022, arXiv:2203.02053, sec. 4.2: there the gap is the vector between the means, and this its length.
    """
    return float((F.normalize(z_image, dim=1).mean(dim=0) - F.normalize(z_text, dim=1).mean(dim=0)).norm())


@checked
def without_gap(z_image: Embeddings, z_text: Float[Tensor, "m d"]) -> tuple[Float[Tensor, "n d"], Float[Tensor, "m d"]]:
    """Each side without its mean on the unit sphere, and its rows of length 1 again: then the gap is nearly 0."""
    z_image, z_text = F.normalize(z_image, dim=1), F.normalize(z_text, dim=1)
    z_image, z_text = z_image - z_image.mean(dim=0), z_text - z_text.mean(dim=0)
    return F.normalize(z_image, dim=1), F.normalize(z_text, dim=1)
