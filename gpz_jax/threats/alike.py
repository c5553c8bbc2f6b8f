"""Whether studies that are crossed are of the same targets and attackers."""

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import NamedTuple

from gpz_jax.results import Row
from gpz_jax.tradeoff.alike import JUDGED, tell_difference
from gpz_jax.types import InputError, Treatment

# What must be the same of an attack on all treatments, or attackers are compared.
_OF_ATTACK = {
  'n_test': 'was scored on {} test images',
  'n_aux': "was fitted to {} of the attacker's images",
  'epochs': 'had {} epochs or steps',
  'decoder': 'had the decoder {}',
}
_OF_SEARCH = {
  'generator': 'searched the generator {}',
  'generator_fid': 'searched a generator of FID {}',
  'num_attacked': 'was asked for {} classes',
  'num_candidates': 'had {} candidates',
}

# What must be the same of rows of one attack on one target, as far as they have it.
_OF_ROW = (
  *('status', 'aux_dataset', 'activation_shape', *_OF_ATTACK),
  *(*JUDGED, *_OF_SEARCH, 'target_accuracy', 'att_acc1', 'test_mse'),
)


class Study(NamedTuple):
  """A study that was crossed.

  Attributes:
    workdir: Its folder, as it was given.
    rows: What it has found, of `results.RESULTS` or of `results.INVERSIONS`.
    is_final: Whether these are all its rows.
  """

  workdir: str
  rows: list[Row]
  is_final: bool


def join(
  studies: Mapping[str, Sequence[Row]], key: Callable[[Row], Hashable]
) -> dict[Hashable, tuple[Row, str]]:
  """Each row of several studies once, with the first study that has it, by its key.

  Args:
    studies: The rows of each study, by the name of its folder.
    key: What a row is the result of.

  Raises:
    InputError: Two studies have other results or settings for one key.
  """
  found: dict[Hashable, tuple[Row, str]] = {}
  for study, rows in studies.items():
    for row in rows:
      first, other = found.setdefault(key(row), (row, study))
      shared = [column for column in _OF_ROW if column in row]
      if difference := tell_difference((first, row), shared):
        raise InputError(
          f'{other} and {study} both attacked {Treatment.of(row)} with seed'
          f' {row["seed"]} by {row["attack"]}, and differ in {difference}; leave one of'
          ' the two out, or run one without that treatment'
        )
  return found


def check_same(sweep: Sequence[Row], inversions: Sequence[Row]) -> None:
  """Refuses rows of different targets, and those that were judged differently."""
  for column in ('model', 'dataset', 'model_options'):
    ours, theirs = ({row[column] for row in rows} for rows in (sweep, inversions))
    if len(ours | theirs) > 1:
      raise InputError(
        f'the sweep has {column} {_list(ours)} and the study of model inversion'
        f' {_list(theirs)}; give two studies of the same targets'
      )
  for name, rows, columns in (
    ('sweeps', sweep, ('aux_dataset', 'payload_bits', 'selection')),
    ('studies of model inversion', inversions, JUDGED),
  ):
    if difference := tell_difference(rows, columns):
      raise InputError(f'the {name} differ in {difference}; give those of one kind')
  _check_alike(sweep, _OF_ATTACK, ('attack', 'split'))
  _check_alike(inversions, _OF_SEARCH, ('attack',))


def _check_alike(
  rows: Sequence[Row], columns: Mapping[str, str], keys: tuple[str, ...]
) -> None:
  """Refuses treatments that were not attacked alike.

  Args:
    rows: Rows of one kind of study.
    columns: The columns that must agree, and what each says of an attack.
    keys: The columns of which rows must agree in them.
  """
  known: dict[tuple[str, ...], Row] = {}
  for row in rows:
    first = known.setdefault(tuple(row[key] for key in keys), row)
    for column, words in columns.items():
      if tell_difference((first, row), (column,)):
        at = ''.join(f' at {row[key]}' for key in keys[1:])
        raise InputError(
          f'attack {row["attack"]}{at} {words.format(first[column])} against'
          f' {Treatment.of(first)}, and {row[column]} against {Treatment.of(row)};'
          ' give studies whose attacks are the same'
        )


def _list(values: Iterable[str]) -> str:
  return ' and '.join(sorted(values))
