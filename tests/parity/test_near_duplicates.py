"""Groups of near-duplicates are those of scikit-learn's complete linkage."""

import numpy as np
import pytest
from sklearn.cluster import AgglomerativeClustering

from clipwarden.tuning.design.groups import near_duplicates


@pytest.mark.parametrize("seed", range(12))
def test_groups_are_those_of_scikit_learn(seed: int) -> None:
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(40, 8))
    vectors = (centres[rng.integers(0, 40, 300)] + rng.normal(0, 0.3, (300, 8))).astype(np.float32)
    threshold = float(rng.uniform(0.02, 0.4))
    linked = AgglomerativeClustering(
        n_clusters=None, metric="cosine", linkage="complete", distance_threshold=threshold
    ).fit_predict(vectors.astype(np.float64))
    pairs = set(zip(near_duplicates(vectors, threshold).tolist(), linked.tolist(), strict=True))
    assert len(pairs) == len(set(linked.tolist())) == len({mine for mine, _ in pairs})
