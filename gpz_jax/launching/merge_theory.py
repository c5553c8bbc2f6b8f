"""The theory that units have measured, joined: its rows and its embeddings."""

from collections.abc import Iterable, Sequence
from typing import Any

from gpz_jax import results
from gpz_jax.launching import copying, parts
from gpz_jax.launching.parts import Part, Say
from gpz_jax.study.session import Session
from gpz_jax.sweep import theory
from gpz_jax.sweep.plan import Plan
from gpz_jax.theory import entropy
from gpz_jax.theory.quantity import Quantity
from gpz_jax.types import InputError

# Quantities of a split and the first one, which is another one in each part.
COMPARED = ('delta_h_', 'residual_gain_')


def join(session: Session[Plan], found: list[Part], say: Say, is_whole: bool) -> None:
  """Joins the rows and pictures of the theory, where units have measured it.

  Args:
    session: The whole.
    found: Its units.
    say: Told of gaps.
    is_whole: Whether all rows of results are there, which the theory does not ask for.
  """
  del is_whole
  plan, workdir, schema = session.plan, session.workdir, results.THEORY
  shown = []
  first = {lane.lane_id for lane in plan.lanes if lane.seed == plan.lanes[0].seed}
  joined = join_rows(
    [(part.rows, parts.read_rows(part.workdir, schema, say)) for part in found]
  )
  for part in found:
    paths = part.workdir.embeddings.glob('*.npy')
    names = [p.name for p in paths if p.name.partition('-')[0] in first]
    if names:
      shown.append((part, names))
  for row in parts.read_earlier(
    workdir, schema, found, joined, results.theory_key, say
  ):
    joined[results.theory_key(row)] = row
  if shown:
    workdir.embeddings.mkdir(exist_ok=True)
    copying.copy_pictures(shown, workdir.embeddings, say)
  if joined:
    rows = sorted(compare_again(joined.values()), key=schema.sort_key)
    results.write_rows(workdir.lines(schema), rows, schema)
    if not theory.missing(plan, workdir):
      results.write_parquet(workdir.table(schema), rows, schema)
  if plan.config.theory and theory.missing(plan, workdir):
    session.say(
      'the theory is not measured by units of cohorts; python -m experiments.sweep'
      f' --flagfile={workdir.flags} measures it once all rows are there'
    )


def join_rows(
  measured: Sequence[tuple[Sequence[results.Row], Sequence[results.Row]]],
) -> dict[tuple[Any, ...], results.Row]:
  """The rows of the theory by what they measure, the last one where several do.

  Of what rests on a decoder, parts have what their own attacks gave. That of the
  strongest attack stays, as in a study that made all of these attacks.

  Args:
    measured: The rows of attacks and those of the theory that each part has.
  """
  with_theory = [(attacks, rows) for attacks, rows in measured if rows]
  strongest = {
    (row['lane_id'], row['split']): results.row_key(row)
    for row in results.strongest(row for attacks, _ in with_theory for row in attacks)
  }
  joined: dict[tuple[Any, ...], results.Row] = {}
  for attacks, rows in with_theory:
    made = {results.row_key(row) for row in attacks}
    for row in rows:
      key = results.theory_key(row)
      is_weaker = (
        row['quantity'] in theory.OF_ATTACKS
        and strongest.get((row['lane_id'], row['split'])) not in made
      )
      if key not in joined or not is_weaker:
        joined[key] = row
  return joined


def compare_again(rows: Iterable[results.Row]) -> list[results.Row]:
  """The rows with each split compared with the first one of all parts.

  What a part compared with the first split of its own is computed again from the bounds
  of the two splits. It is left out where such a bound has no row.

  Args:
    rows: Rows of the theory, each lane's of the same examples.
  """
  rows = list(rows)
  lanes: dict[str, dict[tuple[int, str], list[Quantity]]] = {}
  for row in rows:
    if row['epoch'] == theory.FINISHED:
      at = row['split_index'], row['split']
      quantity = Quantity(row['quantity'], row['value'])
      lanes.setdefault(row['lane_id'], {}).setdefault(at, []).append(quantity)
  again = {
    (lane_id, split, quantity.name): quantity
    for lane_id, splits in lanes.items()
    for (_, split), bounds in splits.items()
    for quantity in _compare(splits[min(splits)], bounds)
  }
  found = []
  for row in rows:
    if row['epoch'] == theory.FINISHED and row['quantity'].startswith(COMPARED):
      quantity = again.get((row['lane_id'], row['split'], row['quantity']))
      if quantity is None:
        continue
      row = row | {'value': quantity.value, 'assumes': quantity.assumes}
    found.append(row)
  return found


def _compare(first: Sequence[Quantity], bounds: Sequence[Quantity]) -> list[Quantity]:
  try:
    return entropy.compare(first, bounds)
  except InputError:  # a bound is missing
    return []
