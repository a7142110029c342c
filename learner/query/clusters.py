"""Images by their features: clusters, what is typical of them, and choices that are far from each other. Pure.

Shape legend: P images, M images that are covered already, F features of unit length.
"""

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

MOST_CLUSTERS = 500
"""More say nothing new and take long (TypiClust's own limit)."""
NEIGHBOURS = 20
"""Of the same cluster, whose mean distance says how typical an image is (TypiClust's own number)."""
LARGE = 10_000
"""Images from which on clusters are found in small batches."""


def clusters_of(feature_PF: NDArray[np.float32], count: int, *, seed: int) -> NDArray[np.intp]:
    """Cluster images with k-means.

    Args:
        feature_PF: of the images.
        count: clusters that are wanted; there are never more than images, or than 500.
        seed: of the first centres.

    Returns:
        The cluster of each image, int P.
    """
    from sklearn.cluster import KMeans, MiniBatchKMeans

    count = max(1, min(count, len(feature_PF), MOST_CLUSTERS))
    if count == len(feature_PF):
        return np.arange(count)
    kind = MiniBatchKMeans if len(feature_PF) > LARGE else KMeans
    distinct = len(np.unique(feature_PF, axis=0))
    fitted = kind(n_clusters=min(count, distinct), n_init=1, random_state=seed).fit_predict(feature_PF)
    return np.asarray(fitted, dtype=np.intp)


def typicality(feature_PF: NDArray[np.float32], cluster_P: NDArray[np.intp]) -> NDArray[np.float64]:
    """Say how typical each image is of its cluster: the inverse of the mean distance to its nearest neighbours in it.

    Returns:
        float P, above 0; larger is more typical. Of an image that is alone in its cluster, the least there is.
    """
    from sklearn.neighbors import NearestNeighbors

    found_P = np.full(len(feature_PF), 1e-9)
    for cluster in np.unique(cluster_P):
        members = np.flatnonzero(cluster_P == cluster)
        if len(members) < 2:
            continue
        count = min(NEIGHBOURS, len(members) - 1)
        near = NearestNeighbors(n_neighbors=count + 1).fit(feature_PF[members])
        # The nearest is the image itself, or its copy.
        distance_PK = near.kneighbors(feature_PF[members])[0][:, 1:]
        found_P[members] = 1 / (distance_PK.mean(axis=1) + 1e-6)
    return found_P


def spread_out(
    feature_PF: NDArray[np.float32],
    weight_P: NDArray[np.float64],
    known_MF: NDArray[np.float32],
    chance: Generator,
) -> list[int]:
    """Order images so that the first are far from each other and from what is covered, the weighty ones sooner.

    As k-means++ draws its first centres: each in proportion to its weight times the squared distance to the nearest
    that was taken before.

    Args:
        feature_PF: of the images.
        weight_P: at least 0.
        known_MF: of images that are covered already.
        chance: source of random numbers.

    Returns:
        Every position once.
    """
    left = list(range(len(feature_PF)))
    nearest_P = np.full(len(feature_PF), np.inf)
    for start in range(0, len(known_MF), LARGE):
        product_PM = feature_PF @ known_MF[start : start + LARGE].T
        nearest_P = np.minimum(nearest_P, np.maximum(0, 2 - 2 * product_PM).min(axis=1))
    order: list[int] = []
    while left:
        weights = weight_P[left] * np.where(np.isinf(nearest_P[left]), 1.0, nearest_P[left])
        total = weights.sum()
        chosen = int(chance.choice(len(left), p=weights / total)) if total > 0 else 0
        position = left.pop(chosen)
        order.append(position)
        nearest_P = np.minimum(nearest_P, np.maximum(0, 2 - 2 * (feature_PF @ feature_PF[position])))
    return order
