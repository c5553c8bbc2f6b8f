"""Activations in two dimensions, as the paper's Figure 3 shows them."""

import numpy as np
import threadpoolctl

from gpz_jax.types import InputError

COMPONENTS = 50  # that t-SNE is given, as is usual for wide data
PERPLEXITY = 30.0


def embed(activations: np.ndarray, *, seed: int = 0) -> np.ndarray:
  """t-SNE of the principal components of activations.

  Args:
    activations: [N, ...] finite floats, N >= 4.
    seed: Seed of the embedding.

  Returns:
    [N, 2] float32. Whether clusters are apart means something; how far apart, little.

  Raises:
    InputError: There are too few examples, or values are not finite.
  """
  from sklearn import decomposition, manifold  # late, since it is slow to import

  flat = np.asarray(activations, np.float32).reshape(len(activations), -1)
  if len(flat) < 4:
    raise InputError(f'an embedding needs at least 4 examples, got {len(flat)}')
  if not np.isfinite(flat).all():
    raise InputError('activations to embed hold values that are not finite')
  if not flat.std(axis=0).any():
    return np.zeros((len(flat), 2), np.float32)  # all examples are in one place
  components = min(COMPONENTS, *flat.shape)
  reduced = decomposition.PCA(components, random_state=seed).fit_transform(flat)
  spread = float(reduced.std())
  perplexity = min(PERPLEXITY, (len(flat) - 1) / 3)
  tsne = manifold.TSNE(2, perplexity=perplexity, init='pca', random_state=seed)
  with threadpoolctl.threadpool_limits(1):  # more threads only wait for each other
    return tsne.fit_transform(reduced / spread).astype(np.float32)
