"""Runs a search for every class of every target, chunk by chunk.

A chunk is some classes of one target. What a class needs is kept as soon as its chunk
is done, and is never computed again. Random keys follow from the target's lane and the
class, so that a result does not depend on the order in which anything was done.
"""

import logging
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gpz_jax.attacks.model.chunk_programs import HISTORY, ChunkPrograms
from gpz_jax.attacks.model.protocol import Scenario
from gpz_jax.attacks.model.search import Item, Search, Shared
from gpz_jax.training import lanes as lanes_lib
from gpz_jax.training import programs
from gpz_jax.training.loop import OnProgress
from gpz_jax.types import Lane, stable_hash

CANDIDATES_AT_A_TIME = 256  # of all classes of a chunk, where memory allows it
_log = logging.getLogger(__name__)


class _TooLargeError(Exception):
  """The programs say that they do not fit the device."""


def run(
  search: Search,
  scenario: Scenario,
  name: str,
  given: Any = None,
  *,
  extra: Shared | None = None,
  at_once: int,
  groups: int | None = None,
  on_progress: OnProgress = lambda done, total, values: None,
) -> dict[str, np.ndarray]:
  """Searches for all classes of all targets.

  Args:
    search: The search for one class of one target.
    scenario: Who is attacked, how, and where finished pieces are kept.
    name: What the pieces of this search are called. It must tell it from any other
      search whose pieces are in the same store, see `piece_name`.
    given: A pytree of arrays [L, T, ...], what each search starts from; [L, T, G, ...]
      where there are groups.
    extra: Entries that `Shared` has beside 'target' and 'prior'.
    at_once: The most classes, or groups, in a chunk; `fitting` gives a number for most
      searches. Chunks that do not fit the device are halved.
    groups: G, how many searches there are for each class, each with a key of its own;
      without it there is one, and no axis for it. An attack with many candidates that
      know nothing of each other divides them, so that no device has to hold all at a
      time.
    on_progress: Receives the steps done and the steps in all, counted over chunks.

  Returns:
    The arrays that `search.finish` makes and the histories as 'history/NAME', each
    with [L, T] in front; [L, T, G] where there are groups.

  Raises:
    Interrupted: A signal came; what was finished is in the store.
  """
  runner = _Runner(search, scenario, name, given, extra or {}, groups, on_progress)
  size = max(1, min(at_once, len(scenario.classes) * (groups or 1)))
  while True:
    try:
      return runner.run(size)
    except (jax.errors.JaxRuntimeError, _TooLargeError) as error:
      is_large = isinstance(error, _TooLargeError) or programs.is_exhausted(error)
      if not is_large or size == 1:
        raise
      size = -(-size // 2)
      _log.warning('the device is too small; chunks of %d classes are tried', size)


def fitting(candidates: int) -> int:
  """How many classes make a chunk of about CANDIDATES_AT_A_TIME candidates."""
  return max(1, CANDIDATES_AT_A_TIME // candidates)


def piece_name(kind: str, settings: Any, scenario: Scenario) -> str:
  """A name for the pieces of an attack: its kind, and a hash of all its settings.

  Args:
    kind: A word, such as 'ppa'.
    settings: Whatever has a `repr` that says all that changes a result.
    scenario: The scenario, whose seed and image shape count too.
  """
  text = f'{settings!r}|{scenario.seed}|{scenario.image_shape}'
  return f'{kind}-{stable_hash(text):08x}'


def item_key(lane: Lane, label: int, seed: int, group: int = 0) -> jax.Array:
  """The random key of one class of one target, or of a group of its candidates."""
  key = jax.random.fold_in(lane.key(), stable_hash(f'model inversion {seed}'))
  key = jax.random.fold_in(key, label)
  return jax.random.fold_in(key, stable_hash(f'group {group}')) if group else key


def split_history(
  found: dict[str, np.ndarray],
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
  """The arrays of `run` without the histories, and the histories by their names."""
  history = {k.removeprefix(HISTORY): v for k, v in found.items() if HISTORY in k}
  return {k: v for k, v in found.items() if HISTORY not in k}, history


class _Runner:
  """One call of `run`; chunks of another size go on where those before failed."""

  def __init__(
    self,
    search: Search,
    scenario: Scenario,
    name: str,
    given: Any,
    extra: Shared,
    groups: int | None,
    on_progress: OnProgress,
  ):
    self._search = search
    self._scenario = scenario
    self._name = name
    self._groups = groups
    # A column is a group of a class; most searches have one for each.
    self._columns = [(int(c), g) for c in scenario.classes for g in range(groups or 1)]
    count = len(self._columns)
    if groups is not None:
      given = jax.tree.map(
        lambda leaf: leaf.reshape(len(leaf), count, *leaf.shape[3:]), given
      )
    self._given = given
    self._extra = extra
    self._on_progress = on_progress
    self._kept: dict[tuple[int, int], dict[str, np.ndarray]] = {}  # by row, column

  def run(self, size: int) -> dict[str, np.ndarray]:
    """All columns of all targets, in chunks of `size` columns."""
    compiled: ChunkPrograms | None = None
    num_lanes = len(self._scenario.lanes)
    chunks = list(_cut(len(self._columns), size))
    total = num_lanes * len(chunks) * self._search.steps
    done = 0
    for row in range(num_lanes):
      for chunk in chunks:
        if not self._are_kept(row, chunk):
          items, shared = self._arguments(row, chunk)
          if compiled is None:
            compiled = self._compile(items, shared)
          begun = done
          self._run_chunk(
            compiled,
            (row, chunk),
            (items, shared),
            lambda steps, begun=begun: self._on_progress(begun + steps, total, {}),
          )
        done += self._search.steps
        self._on_progress(done, total, {})
    return self._joined()

  def _compile(self, items: Item, shared: Shared) -> ChunkPrograms:
    compiled = ChunkPrograms(self._search, self._scenario.engine.resolve())
    compiled.compile(items, shared)
    peak = compiled.peak_bytes()
    if peak is not None and peak > programs.device_bytes():
      raise _TooLargeError(f'a chunk takes {peak / 2**30:.1f} GiB')
    return compiled

  def _run_chunk(
    self,
    compiled: ChunkPrograms,
    at: tuple[int, Sequence[int]],
    arguments: tuple[Item, Shared],
    tick: Callable[[int], None],
  ) -> None:
    found = compiled.run(*arguments, tick)
    row, chunk = at
    for i, column in enumerate(chunk):
      if (row, column) in self._kept:  # from the store, or it only fills the chunk up
        continue
      piece = {name: array[i] for name, array in found.items()}
      if self._scenario.store is not None:
        self._scenario.store.save(self._piece(row, column), piece)
      self._kept[row, column] = piece

  def _are_kept(self, row: int, chunk: Sequence[int]) -> bool:
    """Whether all columns of a chunk are finished; what the store has is fetched."""
    store = self._scenario.store
    for column in dict.fromkeys(chunk):
      if (row, column) in self._kept or store is None:
        continue
      if (piece := store.load(self._piece(row, column))) is not None:
        self._kept[row, column] = piece
    return all((row, column) in self._kept for column in chunk)

  def _piece(self, row: int, column: int) -> str:
    lane, (label, group) = self._scenario.lanes[row], self._columns[column]
    end = '' if self._groups is None else f'-{group}'
    return f'{self._name}-{lane.lane_id}-{label}{end}'

  def _arguments(self, row: int, chunk: Sequence[int]) -> tuple[Item, Shared]:
    scenario = self._scenario
    lane, columns = scenario.lanes[row], [self._columns[column] for column in chunk]
    items = Item(
      jnp.array([label for label, _ in columns], jnp.int32),
      jnp.stack([item_key(lane, label, scenario.seed, g) for label, g in columns]),
      jax.tree.map(lambda leaf: jnp.asarray(leaf[row][list(chunk)]), self._given),
    )
    target = lanes_lib.take(scenario.targets, row)
    return items, {'target': target, 'prior': scenario.prior, **self._extra}

  def _joined(self) -> dict[str, np.ndarray]:
    shape = len(self._scenario.lanes), len(self._columns)
    pieces = [self._kept[index] for index in np.ndindex(shape)]
    if self._groups is not None:
      shape = (shape[0], len(self._scenario.classes), self._groups)
    return {
      name: np.stack([piece[name] for piece in pieces]).reshape(
        *shape, *pieces[0][name].shape
      )
      for name in pieces[0]
    }


def _cut(count: int, size: int) -> Sequence[Sequence[int]]:
  """Cuts 0 .. count - 1 into chunks of one length, `size` at most.

  They are as even as can be, and the last one is filled up with its last entry, so
  that one compiled program takes all.
  """
  length = -(-count // -(-count // size))
  starts = range(0, count, length)
  return [[min(start + i, count - 1) for i in range(length)] for start in starts]
