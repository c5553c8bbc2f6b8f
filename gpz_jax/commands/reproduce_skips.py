"""The paper on skip connections: its runs, its table beside ours, its findings judged.

`gpz-reproduce --paper=skips` calls it. Each run is a flagfile, mi_*.cfg.
"""

import dataclasses
import pathlib
import sys
import textwrap
from collections.abc import Iterator
from typing import Any

from gpz_jax import model_inversion
from gpz_jax.commands import model_inversion as inversion_flags
from gpz_jax.commands import presets
from gpz_jax.types import LINE_WIDTH, InputError, check_known

FOLDER = presets.FOLDER
FUSED_NETS = 'fused'  # the folder of fused nets, which runs are given
FUSED = 'mi_fused'  # the run that has no flagfile: it is made from that of RepVGG
REPVGG = 'mi_repvgg'


def reproduce(options: Any, folder: pathlib.Path = FOLDER) -> int:
  """Runs what is missing of a table or finding, prints it beside ours, and judges.

  Args:
    options: The flags table, finding, scale, root, data_dir, seeds and plan.
    folder: The folder that holds flagfiles/ and paper/.

  Returns:
    The exit status.
  """
  from gpz_jax import atomic, report, tradeoff
  from gpz_jax.study.workdir import Workdir
  from gpz_jax.tradeoff.judging import gather

  paper = tradeoff.read_paper(folder / 'paper' / 'skips.toml')
  is_small = options.scale == 'small'
  paper = paper.at_small_scale() if is_small else paper
  tables, names = _choose(paper, options)
  flagfiles = list_flagfiles(folder, names)
  if options.plan:
    promised: set[Any] = set()
    return max(_plan(flagfile, options, promised) for flagfile in flagfiles)
  root, status, done, comments = pathlib.Path(options.root), 0, [], []
  before = read_runs(root, options.seeds)
  for name in paper.list_runs():
    gather(before, name)  # refuses what cannot be judged while nothing is trained yet
  for flagfile in flagfiles:
    try:
      for found in _run(flagfile, options):
        done.append(found)
      comments.append(
        textwrap.fill(f'{flagfile.stem}: {_comment(flagfile)}', LINE_WIDTH)
      )
    except InputError as error:  # missing data must not stop the other runs
      print(f'reproduce: {flagfile.stem}: {error}', file=sys.stderr)
      status = 2
  if not done:
    return status
  runs = read_runs(root, options.seeds)
  judged = tradeoff.judge(paper, runs)
  wanted = [each for each in judged if not options.finding or _is_wanted(each, options)]
  parts = [tradeoff.format_beside(paper, table, runs) for table in tables]
  # A table of stand-ins must not be read as one of the paper's nets.
  told = ['\n'.join(comments)] if tables and comments else []
  text = '\n\n'.join([*told, *parts, tradeoff.format_findings(wanted)])
  for found in done:
    atomic.write_text(Workdir(found.workdir).comparison, text + '\n')
    report.build(found.workdir)
  atomic.write_text(root / 'claims.csv', tradeoff.write_csv(judged))
  print(f'\n{text}\n\nevery comparison: {root / "claims.csv"}')
  diverged = any(row['status'] == 'diverged' for found in done for row in found.rows)
  return status or (3 if diverged else 0)


def read_runs(root: pathlib.Path, seeds: str | None = None) -> 'dict[str, Any]':
  """The rows of all finished runs in a folder, by the name of their flagfile.

  Args:
    root: The folder.
    seeds: The seeds that were given in place of those of the flagfiles.
  """
  from gpz_jax import results, tradeoff
  from gpz_jax.results import CLASSES, INVERSIONS
  from gpz_jax.study.workdir import Workdir

  found = {}
  for path in sorted(root.glob('mi_*')):
    workdir, end = Workdir(path), _end(seeds)
    if workdir.table(INVERSIONS).exists() and path.name.endswith(end):
      name = path.name.removesuffix(end)
      if not seeds and '_seeds_' in name:
        continue
      found[name] = tradeoff.StudyRows(
        *(results.read_workdir(path, schema)[0] for schema in (INVERSIONS, CLASSES))
      )
  return found


def _choose(paper: Any, options: Any) -> tuple[list[str], list[str]]:
  """The tables that are printed, and the names of the runs that are wanted.

  Raises:
    InputError: A table or finding is not known, or neither is named.
  """
  if options.figure:
    raise InputError(
      f'--figure={options.figure}: the figures of this paper have no numbers that we'
      ' have read; give --table=1 or --finding=NAME'
    )
  if bool(options.table) == bool(options.finding):
    raise InputError('give one of --table and --finding, such as --table=1')
  if options.table:
    check_known('table', options.table, dict.fromkeys(row.table for row in paper.rows))
    return [options.table], [r.run for r in paper.rows if r.table == options.table]
  known = {finding.name: finding for finding in paper.findings}
  check_known('finding', options.finding, [*known, 'all'])
  chosen = [known[options.finding]] if options.finding in known else known.values()
  return [], [name for each in chosen for name in (*each.runs, *each.against)]


def _is_wanted(judged: Any, options: Any) -> bool:
  return options.finding in ('all', judged.finding.name)


def list_flagfiles(folder: pathlib.Path, names: list[str]) -> list[pathlib.Path]:
  """The flagfiles of some runs and of their parts, in the order of the names."""
  from gpz_jax.tradeoff.judging import is_part

  known = sorted((folder / 'flagfiles').glob('mi_*.cfg'))
  found = dict.fromkeys(
    path
    for name in names
    for path in known
    if is_part(path.stem, name.replace(FUSED, REPVGG))
  )
  if not found:
    raise InputError(f'{folder / "flagfiles"} has no flagfile of {", ".join(names)}')
  return list(found)


def _config(flagfile: pathlib.Path, options: Any):
  """The config of a run in its own folder, with what other runs have trained."""
  arguments = [f'--flagfile={flagfile}']
  if options.data_dir:
    arguments.append(f'--data_dir={options.data_dir}')
  if options.seeds:
    arguments.append(f'--seeds={options.seeds}')
  workdir = pathlib.Path(options.root) / f'{flagfile.stem}{_end(options.seeds)}'
  return inversion_flags.parse_config([*arguments, f'--workdir={workdir}'])


def _end(seeds: str | None) -> str:
  """How the names of folders end where seeds are given."""
  return f'_seeds_{seeds.replace(",", "_")}' if seeds else ''


def _plan(flagfile: pathlib.Path, options: Any, promised: set[Any]) -> int:
  """Prints what a run would do and how long it takes; trains and writes nothing.

  Args:
    flagfile: The run.
    options: The flags.
    promised: What the runs before will leave; that of this one is added.
  """
  from gpz_jax.model_inversion import estimate, sharing

  print(f'\n{flagfile.stem}: {_comment(flagfile)}')
  try:
    config = _config(flagfile, options)
    root = pathlib.Path(options.root)
    plan = model_inversion.make_plan(_borrow(config, root))
  except InputError as error:
    print(f'reproduce: {flagfile.stem}: {error}', file=sys.stderr)
    return 2
  needed = sharing.identify(config)
  costs = [
    cost
    for cost in estimate.estimate(plan)
    if cost.kind not in needed or needed[cost.kind] not in promised
  ]
  promised |= set(needed.values())
  print(estimate.describe(costs))
  return 0


def _comment(flagfile: pathlib.Path) -> str:
  """The comments of a flagfile as one text, which say what it runs."""
  lines = [line for line in flagfile.read_text().splitlines() if line.startswith('#')]
  return ' '.join(line.removeprefix('#').strip() for line in lines)


def _borrow(config: Any, root: pathlib.Path) -> Any:
  """The config with the first runs whose evaluator, generator and targets it can take.

  A run that was begun keeps those it began with, whose epochs it may need again.
  """
  from gpz_jax import results
  from gpz_jax.model_inversion import sharing
  from gpz_jax.results import INVERSIONS
  from gpz_jax.study.borrowing import find_targets
  from gpz_jax.study.workdir import Workdir

  config = sharing.borrow(config, sorted(root.glob('mi_*')))
  if config.target_weights and not config.finetune:
    return config
  if begun := results.read_object(Workdir(config.workdir).config):
    return dataclasses.replace(config, targets_from=begun.get('targets_from'))
  finished = [
    path
    for path in sorted(root.glob('mi_*'))
    if Workdir(path).table(INVERSIONS).exists()
    # Targets at an accuracy of their own are taken from epochs that were kept.
    and (config.at_accuracy is None or Workdir(path).epochs.is_dir())
  ]
  return dataclasses.replace(config, targets_from=find_targets(config, finished))


def _run(flagfile: pathlib.Path, options: Any) -> 'Iterator[model_inversion.Results]':
  """Runs a flagfile, and the fused form of RepVGG behind it."""
  from gpz_jax.model_inversion import fusing

  root = pathlib.Path(options.root)
  config = _borrow(_config(flagfile, options), root)
  print(f'gpz-model-inversion --flagfile={flagfile} --workdir={config.workdir}')
  sys.stdout.flush()
  yield model_inversion.run(config)
  if not flagfile.stem.startswith(REPVGG):
    return
  for seed, fused in fusing.fuse(config, root / FUSED_NETS):
    name = pathlib.Path(config.workdir).name.replace(REPVGG, f'{FUSED}_{seed}', 1)
    named = dataclasses.replace(fused, workdir=str(root / name))
    print(f'{name}: the targets of {config.workdir}, fused', flush=True)
    yield model_inversion.run(_borrow(named, root))
