"""Which pictures to label first: those in the middle of what the encoder holds for one kind.

A dozen labels cannot teach what is rare, so the first ones go to typical pictures (Hacohen, Dekel & Weinshall 2022,
arXiv:2202.02794): k-means cuts the features into k groups, and the picture nearest to each centre comes first, then the
second nearest of each, and so on. (The paper takes the densest picture of each group instead.)
"""

import torch
import torch.nn.functional as F
from sklearn.cluster import KMeans
from threadpoolctl import threadpool_limits
from torch import Tensor

from cl_course.values import whole


def labelling_order(h: Tensor, k: int, seed: int = 0) -> Tensor:
    """All pictures, the ones to label first at the front: positions (n,).

    Args:
        h: features, (n, d), of any length; only their directions count.
        k: groups, such as ten for each class that is expected; at most n are made.
        seed: of k-means.
    """
    k = min(whole("k", k, 1), len(h))
    x = F.normalize(h.float(), dim=1)
    with threadpool_limits(1):
        groups = KMeans(k, n_init=1, random_state=seed).fit(x.numpy())
    group, centres = torch.from_numpy(groups.labels_).long(), torch.from_numpy(groups.cluster_centers_)
    distance = (x - centres[group]).norm(dim=1)
    place = torch.empty(len(h), dtype=torch.int64)  # of a picture in its group, from the centre outwards
    for number in range(k):
        members = torch.nonzero(group == number).flatten()
        place[members[distance[members].argsort(stable=True)]] = torch.arange(len(members))
    size = group.bincount(minlength=k)[group]
    turn = sorted(range(len(h)), key=lambda i: (int(place[i]), -int(size[i]), int(group[i])))  # large groups first
    return torch.tensor(turn)
