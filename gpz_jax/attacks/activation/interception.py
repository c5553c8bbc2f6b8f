"""What the attacker intercepts, computed once: the activations of all images.

The edge is frozen and nothing is augmented, so all attacks read the same activations
in all epochs. Only what is drawn, by a defence or the model, is captured again for a
decoder's later epochs: an attacker can ask the edge again. Activations are kept on the
device if they fit there. If not, they are kept in the host's memory, and failing that
in a file that is mapped into it.
"""

import functools
import os
import pathlib
import zlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from gpz_jax import interruption, partition
from gpz_jax.attacks.activation.cohorts import AttackLane
from gpz_jax.data import eval_order
from gpz_jax.defences import Defence, cuts, parse
from gpz_jax.models import calls
from gpz_jax.targets import Targets
from gpz_jax.training import compiling, programs
from gpz_jax.training import lanes as lanes_lib
from gpz_jax.training.engine import AUTO, Engine
from gpz_jax.training.step import check_bytes
from gpz_jax.types import PREDICTION
from gpz_jax.vocabulary import Place

CHUNK = 128  # examples that the host hands over at a time
HOST_SHARE = 0.5  # the share of the host's memory that activations may take
Activations = jax.Array | np.ndarray  # [L, N, ...]; an ndarray lies outside the device


def choose_place(num_bytes: int, budget_bytes: float) -> Place:
  """The first place where activations of some size fit.

  On CPU the device's memory is the host's, so that only the disk remains.

  Args:
    num_bytes: Size of all activations in bytes.
    budget_bytes: Most bytes of the device that activations may take.
  """
  if num_bytes <= budget_bytes:
    return 'device'
  room = HOST_SHARE * programs.host_bytes()
  if jax.default_backend() != 'cpu' and num_bytes <= room:
    return 'host'
  return 'disk'


class Intercepted(NamedTuple):
  """What the attacker sees of L lanes."""

  aux: Activations  # [L, N, ...], of the attacker's own images
  test: Activations  # [L, N, ...], of the user's images
  place: Place

  def take(self, index: np.ndarray) -> 'Intercepted':
    """What the attacker sees of the lanes at `index`."""
    return self._replace(aux=self.aux[index], test=self.test[index])


def intercept(
  model: nn.Module,
  targets: Any,
  lanes: Sequence[AttackLane],
  images: np.ndarray,
  dtype: Any = jnp.float32,
  *,
  bits: int = 32,
  engine: Engine = AUTO,
  place: Place = 'device',
  path: pathlib.Path | None = None,
  number: int = 0,
  known: Activations | None = None,
) -> Activations:
  """The activation of every image for each lane, kept in the wanted place.

  Args:
    model: Architecture of the targets.
    targets: What `targets.train` returns, or the variables of the targets, stacked.
    lanes: The L lanes, whose splits have the same activation shape. What they send is
      what their defence makes of it.
    images: [N, H, W, C] uint8.
    dtype: Number format to store activations in; they are computed in float32.
    bits: Bits of each number that is sent, see `quantize`.
    engine: The engine, of which only the convolutions are used.
    place: Where activations are kept.
    path: File that holds them if the place is disk.
    number: Number of the draw, where something that is sent is drawn.
    known: Another draw [L, >= N, ...] of these images, which begins with them. Lanes
      that draw nothing are copied from it.

  Returns:
    [L, N, ...], a jax.Array if the place is the device and an ndarray otherwise.

  Raises:
    AssertionError: The images have another rank, or a lane has no target.
    InputError: The images are no uint8.
    Interrupted: A signal came.
  """
  chex.assert_rank(images, 4, custom_message='images [N, H, W, C]')
  check_bytes(images)
  if isinstance(targets, Targets):
    targets = targets.best.variables
  # JAX clamps an index that is too large, and would take the last target in silence.
  num_targets = 1 + max(lane.target for lane in lanes)
  message = f'targets must hold the {num_targets} targets of the lanes, stacked'
  for leaf in jax.tree.leaves(targets):
    chex.assert_axis_dimension_gteq(leaf, 0, num_targets, custom_message=message)
  shape = images.shape[1:]
  index = range(len(lanes))
  drawn = [i for i in index if known is None or draws(model, lanes[i], shape)]
  changes = _list_changes(model, [lanes[i] for i in drawn], shape)
  engine, dtype = engine.resolve(), jnp.dtype(dtype)
  kept: Any = None
  for rows, mask in chunks(len(images)):
    chunk = images[rows]
    # Noise that a target draws must not be that of another subset at the same place:
    # an attack could learn it there.
    seen = zlib.crc32(chunk.tobytes(), int(rows[0]))
    draw = np.uint32(zlib.crc32(number.to_bytes(4, 'big') if number else b'', seen))
    form = (dtype, bits)
    found = _intercept_chunk(model, targets, chunk, changes, form, engine, draw)
    if len(drawn) < len(lanes):
      assert known is not None
      found = jnp.asarray(read(known, rows)).at[np.array(drawn)].set(found)
    start, count = int(rows[0]), int(mask.sum())
    if kept is None:
      size = (len(lanes), len(images), *found.shape[2:])
      kept = _make_store(size, dtype, place, path)
    if place == 'device':
      kept = _write(kept, found[:, :count], start)
    else:
      kept[:, start : start + count] = found[:, :count]
  return kept


def draws(
  model: nn.Module, lane: AttackLane, image_shape: tuple[int, int, int]
) -> bool:
  """Whether what a lane sends of an image of a shape (H, W, C) differs by the draw."""
  return cuts.is_drawn(lane.lane.treatment.defence, model, image_shape, lane.split)


def _make_store(shape, dtype, place: Place, path: pathlib.Path | None) -> Activations:
  if place == 'device':
    return jnp.zeros(shape, dtype)
  if place == 'host':
    return np.empty(shape, dtype)
  assert path is not None, 'disk needs a file'
  path.parent.mkdir(parents=True, exist_ok=True)
  store = np.lib.format.open_memmap(path, 'w+', dtype, shape)
  if hasattr(os, 'posix_fallocate'):  # macOS has none
    # A full disk raises an error here. Later, writing to the map would end the process
    # by the signal SIGBUS.
    with path.open('r+b') as file:
      os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
  return store


@functools.partial(jax.jit, donate_argnums=(0,))
def _write(kept: jax.Array, found: jax.Array, start: jax.Array) -> jax.Array:
  """Writes a chunk into the activations [L, N, ...], in place, from row `start`."""
  return lax.dynamic_update_slice_in_dim(kept, found, start, axis=1)


def _intercept_chunk(model, targets, images, changes, form, engine, draw):
  """[CHUNK, H, W, C] -> [L, CHUNK, ...]; each target runs once for all its splits."""
  wanted: dict[tuple[int, Defence], dict[str, None]] = {}
  for target, split, defence in changes:
    wanted.setdefault((target, defence), {})[split] = None
  found = {}
  for (target, defence), splits in wanted.items():
    interruption.check()
    forms = (*form, defence.form)
    draws = draw, defence.numbers
    one = _run_edge(model, targets, target, images, tuple(splits), forms, engine, draws)
    found[target, defence] = jax.block_until_ready(one)
  return jnp.stack([found[t, defence][split] for t, split, defence in changes])


def _list_changes(model, lanes: Sequence[AttackLane], image_shape):
  """The target and the split of each lane, and the defence that acts at this split."""
  splits = tuple(dict.fromkeys(lane.split for lane in lanes))
  changes = []
  for lane in lanes:
    text = lane.lane.treatment.defence
    changed = cuts.list_changed(text, model, image_shape, splits)
    # What changes nothing here is no part of the program.
    defence = parse(text) if lane.split in changed else Defence()
    changes.append((lane.target, lane.split, defence))
  return changes


@compiling.brief_jit(static_argnums=(0, 4, 5, 6))
def _run_edge(model, targets, target, images, splits, forms, engine, draws):
  """Maps each split of one target to its activations [CHUNK, ...]."""
  (dtype, bits, defence), (draw, numbers) = forms, draws

  @engine.traced
  def run(variables, images):
    images = images.astype(jnp.float32) / 255
    key = calls.evaluation_key(draw)
    _, found = partition.capture(model, variables, images, splits, key=key)
    if defence.sends:
      for split in splits:
        found[split] = cuts.send(defence, numbers, found[split], split, key)
    return {split: _send(value, split, dtype, bits) for split, value in found.items()}

  return run(lanes_lib.take(targets, target), images)


def _send(activation: jax.Array, split: str, dtype: Any, bits: int) -> jax.Array:
  """What is kept of an activation [B, ...]; answers are never quantised."""
  sent = activation if split == PREDICTION else quantize(activation, bits)
  if dtype == jnp.float16:  # what it cannot hold becomes its largest, not infinity
    sent = quantize(sent, 16)
  return sent.astype(dtype)


def quantize(activation: jax.Array, bits: int) -> jax.Array:
  """What the cloud reads of an activation that is sent in few bits.

  Below 16 bits this is dynamic affine quantisation. The range of each example is
  divided into 2^bits - 1 equal steps, and its ends are sent beside the numbers.

  Args:
    activation: [B, ...] float32.
    bits: 32 changes nothing, 16 rounds to float16, and fewer quantise.

  Returns:
    [B, ...] float32, the numbers after they were sent.
  """
  if bits >= 32:
    return activation
  if bits == 16:
    limit = float(jnp.finfo(jnp.float16).max)
    return jnp.clip(activation, -limit, limit).astype(jnp.float16).astype(jnp.float32)
  axes = tuple(range(1, activation.ndim))
  low = activation.min(axes, keepdims=True)
  step = (activation.max(axes, keepdims=True) - low) / (2**bits - 1)
  levels = jnp.round((activation - low) / jnp.where(step > 0, step, 1))
  return low + levels * step


def chunks(num_examples: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
  """Divides a subset into equal chunks, so that one compiled program serves them all.

  Args:
    num_examples: Size of the subset.

  Yields:
    Rows [CHUNK] of the subset and their mask [CHUNK] float32. The last chunk is filled
    up with other rows, whose mask is 0.

  Raises:
    Interrupted: A signal came.
  """
  for rows, mask in zip(*eval_order(num_examples, CHUNK), strict=True):
    interruption.check()
    yield rows, mask


def read(activations: Activations, rows: np.ndarray) -> Activations:
  """The activations [L, n, ...] of rows [n]."""
  if jax.default_backend() == 'cpu':
    activations = np.asarray(activations)  # not copied: this is the host's memory
  return activations[:, rows]


def convert(
  activations: Activations, function: Callable[[jax.Array], jax.Array]
) -> Activations:
  """Applies a function of a batch to every lane, where the activations are kept.

  Args:
    activations: [L, N, ...].
    function: Function from a batch [N, ...] to another batch of N, example by example.
      What is compiled for it is kept, so give the same one again.

  Returns:
    [L, N, ...], on the device if `activations` are there.

  Raises:
    Interrupted: A signal came.
  """
  if isinstance(activations, jax.Array):
    return _convert(function, activations)
  pieces = [
    np.asarray(_convert(function, activations[:, rows]))[:, mask == 1]
    for rows, mask in chunks(activations.shape[1])
  ]
  return np.concatenate(pieces, axis=1)


@functools.partial(jax.jit, static_argnums=0)
def _convert(
  function: Callable[[jax.Array], jax.Array], activations: jax.Array
) -> jax.Array:
  """Applies a function of a batch to every lane [L, n, ...]."""
  return jax.vmap(function)(activations)
