"""Says where to cut under limits, what the alternatives are, and how sure the zone is.

  gpz-recommend --workdir=runs/quickstart --max_payload_bytes=4096

The cheapest cut within the limits is recommended on which no attack is better than a
simple guess of the image (--private_enough). It reads what a sweep has written, which
may still be running. The limits of the sweep itself hold unless a flag replaces them.
The value inf removes a limit. The exit status is 0 where a cut is recommended, 4 where
none is, and 2 for bad input.
"""

import functools
import math
import os
import pathlib
from collections.abc import Sequence
from typing import Any

from absl import flags

from gpz_jax import vocabulary
from gpz_jax.commands import command
from gpz_jax.types import InputError

NO_CUT = 4  # exit status


def define_flags() -> None:
  """The flags of this command."""
  flags.DEFINE_list(
    'workdir', [], 'The folders of the sweeps, each of which gets an answer of its own.'
  )
  limits = functools.partial(flags.DEFINE_float, default=None, lower_bound=0.0)
  limits(
    'max_payload_bytes',
    help='The most bytes that may be sent for one image, as the sweep sends it.',
  )
  limits('max_edge_params', help='The most parameters that the device may hold.')
  limits(
    'max_edge_flops', help='The most FLOPs that the device may spend on one image.'
  )
  limits(
    'min_accuracy',
    help='The least test accuracy that the model must have. Where it is not set, half'
    ' of the best accuracy is the least.',
    upper_bound=1.0,
  )
  flags.DEFINE_string(
    'private_enough',
    None,
    'What no attack may be better than, in MSE and SSIM:'
    f' {", ".join(vocabulary.PRIVATE_ENOUGH)}, or an MSE such as 0.02. By default it is'
    ' what the sweep was given, or 4x4.',
  )


def main(argv: list[str]) -> int:
  """Prints what is recommended for each --workdir, its alternatives and the votes."""
  from gpz_jax.report import agreements

  del argv
  workdirs = flags.FLAGS.workdir
  if not workdirs:
    raise InputError('--workdir is missing; name the folder of a sweep')
  _check_distinct(workdirs)
  are_cuts = []
  for i, workdir in enumerate(workdirs):
    if len(workdirs) > 1:
      print(f'{chr(10) if i else ""}{workdir}:')
    are_cuts.append(show(pathlib.Path(workdir), given_limits()))
  if len(workdirs) > 1 and (text := agreements.describe(workdirs)):
    print(f'\n{text}')
  return 0 if all(are_cuts) else NO_CUT


def _check_distinct(workdirs: Sequence[str]) -> None:
  """Refuses a folder given twice: its lanes would count twice in the table of all.

  Raises:
    InputError: naming the folder.
  """
  seen = set()
  for workdir in workdirs:
    place = os.path.realpath(workdir)
    if place in seen:
      raise InputError(f'--workdir names {workdir} twice; name each sweep once')
    seen.add(place)


def show(workdir: pathlib.Path, limits: dict[str, Any]) -> bool:
  """Prints the recommendation for a workdir, its alternatives and the votes.

  Args:
    workdir: Folder of the sweep.
    limits: Arguments of `zone.recommend`. Where one is None or missing, that of the
      sweep holds.

  Returns:
    Whether a cut is recommended.

  Raises:
    InputError: There is no such folder, or its content cannot be used.
  """
  from gpz_jax import results, zone
  from gpz_jax.study.workdir import Workdir
  from gpz_jax.zone import bars

  if not os.path.isdir(workdir):
    raise InputError(f'--workdir={workdir} is not a folder; name the folder of a sweep')
  rows, is_final = results.read_workdir(workdir)
  theory_rows, _ = results.read_workdir(workdir, results.THEORY, missing_ok=True)
  bounds = _with_those_of(workdir, limits)
  ladder = results.read_ladder(Workdir(workdir).ladder)
  found = zone.recommend(rows, ladder=ladder, **bounds)
  if not is_final:
    print(f'The sweep is not finished: {len(rows)} rows so far.')
  print(found.sentence())
  if bars.make_bar(bounds['private_enough'], ladder) is None:
    print(
      'No ladder.json has a 4x4 thumbnail, so nothing tells what is private enough.'
    )
  if found.doubts:
    print('\nThe numbers of some cuts, from which nothing can be concluded:')
    print(zone.format_candidates(found))
  elif found.alternatives:
    is_limited = any(bounds[name] not in (None, math.inf) for name in zone.LIMITS)
    of_all = found.binding is not None or not is_limited
    among = 'all cuts' if of_all else 'the cuts within the limits'
    print(f'\nOf {among}, no other outdoes these in error, device cost and payload:')
    print(zone.format_candidates(found))
    if found.bar is not None:
      print('(* recommended, + most private)')
  print('\n'.join(_describe_zone(found, rows, theory_rows, ladder)))
  return found.split is not None


def given_limits() -> dict[str, Any]:
  """The limits that the flags give, and what they call private enough."""
  from gpz_jax.zone import bounds

  return {name: getattr(flags.FLAGS, name) for name in bounds.NAMES}


def _with_those_of(workdir: pathlib.Path, limits: dict[str, Any]) -> dict[str, Any]:
  """The limits, completed by those that the sweep itself was given."""
  from gpz_jax import zone
  from gpz_jax.study.workdir import Workdir

  given = {name: value for name, value in limits.items() if value is not None}
  return zone.read_bounds(Workdir(workdir).config) | given


def _describe_zone(advice, rows, theory_rows, ladder) -> list[str]:
  """The zone by the attack, the votes with their agreement, and the probe's record."""
  from gpz_jax import zone
  from gpz_jax.zone.golden_zone import MEANING

  votes = zone.vote(rows, theory_rows, ladder=ladder)
  attacks = {cast.treatment: cast.by('attack') for cast in votes.treatments}
  found, lines = zone.golden_zone(rows), []
  if not advice.tells_all_of(found):
    lines += ['', f'{MEANING}.']
    for finding in found.list_findings():
      attack = attacks[finding.zones[0].treatment]
      worth = f' The attack there is {attack.note}.' if attack and attack.note else ''
      lines.append(finding.text + worth)
  if any(cast.votes for cast in votes.treatments):
    has_shares = any(vote.shares for cast in votes.treatments for vote in cast.votes)
    sure = ' (in % of resamples over seeds and intervals)' if has_shares else ''
    lines += ['', f'Votes on where the zone begins{sure}:', zone.format_votes(votes)]
  if not theory_rows:
    return [*lines, 'No theory.parquet: the attack votes alone.']
  record = zone.agreement(rows, theory_rows)
  lines += ['', *(cast.sentence() for cast in votes.treatments), '']
  return lines + [each.sentence() for each in record if each.is_measured]


def start() -> None:
  """What gpz-recommend runs."""
  command.run('recommend', main, define_flags, needs_reader=True)


if __name__ == '__main__':
  start()
