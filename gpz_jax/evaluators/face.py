"""A face embedding of the user's own weights: a second opinion on reconstructions.

Source: docs/paper.md#the-face-embedding.
"""

import pathlib
import re
from collections.abc import Iterator, Mapping

import jax
import jax.numpy as jnp
import numpy as np
from flax import traverse_util

from gpz_jax.evaluators.evaluator import Evaluator
from gpz_jax.interop import entries, layouts, misfits
from gpz_jax.interop import torch as interop
from gpz_jax.models import inception_resnet
from gpz_jax.training.engine import AUTO, Engine
from gpz_jax.types import InputError

NAME = 'inception_resnet_v1'
PIECE = 32  # images at once, whose maps are large
# Their last layer, which tells the people whom they were trained on, and counters
_UNUSED = re.compile(r'logits\.(weight|bias)|.*\.num_batches_tracked')
_NUMBERED = re.compile(r'_(\d+)(?=/|$)')


def load_face(path: str | pathlib.Path, *, engine: Engine = AUTO) -> Evaluator:
  """The face embedding whose weights lie in a file.

  Args:
    path: File of a state dict of facenet-pytorch's InceptionResnetV1, see
      `interop.load_state_dict`.
    engine: How it is computed.

  Returns:
    An evaluator without classes: its answer is 512 features of length 1.

  Raises:
    InputError: There is no such file, it cannot be read, or its names, shapes or
      numbers are not those of the published layout.
  """
  model = inception_resnet.InceptionResnetV1()
  state_dict = interop.load_state_dict(path)
  return from_state_dict(model, state_dict, str(path), engine=engine)


def from_state_dict(
  model: inception_resnet.InceptionResnetV1,
  state_dict: Mapping[str, np.ndarray],
  what: str,
  *,
  engine: Engine = AUTO,
) -> Evaluator:
  """The face embedding of a state dict, see `load_face`.

  Args:
    model: Its architecture.
    state_dict: Name -> array, in torch's layout.
    what: Where it is from, for messages.
    engine: How it is computed.

  Raises:
    InputError: Names, shapes or numbers are not those of the layout.
  """
  shape = (inception_resnet.SIDE, inception_resnet.SIDE, 3)
  leaves = interop.variable_shapes(model, shape)
  shapes = {name: leaf.shape for name, leaf in leaves.items()}
  given = {
    name: array for name, array in state_dict.items() if not _UNUSED.fullmatch(name)
  }
  table = list(make_table(model))
  if problems := misfits.find_problems(table, shapes, given):
    raise InputError(
      f"face embedding '{what}' does not have the layout of facenet-pytorch's"
      f' InceptionResnetV1: {"; ".join(problems)}; give its state dict'
    )
  flat = {
    entry.linen: entry.layout.to_linen(given[entry.torch], shapes[entry.linen])
    for entry in table
  }
  variables = traverse_util.unflatten_dict(flat, sep='/')
  variables = jax.device_put(
    jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float32), variables)
  )
  return Evaluator(
    NAME, model, variables, shape, embeds=True, engine=engine, piece=PIECE
  )


def make_table(model: inception_resnet.InceptionResnetV1) -> entries.Table:
  """Which array of facenet-pytorch's layout is which of ours."""
  for ours in _list_convolutions(model):
    theirs = _NUMBERED.sub(r'.\1', ours).replace('/', '.')
    yield from entries.convolution(f'{theirs}.conv', f'{ours}/conv')
    yield from entries.batch_norm(f'{theirs}.bn', f'{ours}/norm')
  for name, stage in model.list_blocks():
    if stage.scale is not None:
      theirs = _NUMBERED.sub(r'.\1', name)
      yield from entries.convolution(f'{theirs}.conv2d', f'{name}/conv2d')
      yield entries.bias(f'{theirs}.conv2d', f'{name}/conv2d')
  yield entries.Entry('last_linear.weight', 'params/last_linear/kernel', layouts.linear)
  yield from entries.batch_norm('last_bn', 'last_bn')


def _list_convolutions(model: inception_resnet.InceptionResnetV1) -> Iterator[str]:
  """Our paths of all convolutions that a norm follows."""
  for step in inception_resnet.STEM:
    yield step.name
  for name, stage in model.list_blocks():
    for branch in stage.branches:
      for step in branch:
        yield f'{name}/{step.name}'
