"""Pytrees as named arrays, which is what a store keeps."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np


def flatten(tree: Any) -> dict[str, np.ndarray]:
  """The arrays of a pytree by their paths, on the host."""
  leaves, _ = jax.tree_util.tree_flatten_with_path(jax.device_get(tree))
  return {jax.tree_util.keystr(path): np.asarray(leaf) for path, leaf in leaves}


def restore(like: Any, arrays: dict[str, np.ndarray]) -> Any:
  """The pytree that `flatten` made `arrays` of.

  Args:
    like: A pytree of the same structure; shapes will do.
    arrays: What `flatten` gave; entries with other names are not read.
  """
  leaves, structure = jax.tree_util.tree_flatten_with_path(like)
  found = [jnp.asarray(arrays[jax.tree_util.keystr(path)]) for path, _ in leaves]
  return jax.tree.unflatten(structure, found)
