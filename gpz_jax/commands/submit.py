r"""Cuts a study into units and has them done: by processes here, Slurm or Kubernetes.

  python -m launch.submit --preset=cifar10_small --workdir=runs/big --cluster=local:4
  python -m launch.submit --preset=mi_small --workdir=runs/faces --cluster=local:2
  python -m launch.submit --preset=cifar10_small --workdir=runs/big --cluster=slurm \
    --sbatch='--partition=gpu --time=4:00:00 --gres=gpu:1'
  python -m launch.submit --workdir=runs/big --status
  python -m launch.submit --workdir=runs/big --resume

Units of a sweep are the targets of a seed, then each attack on each shape of
activation, and last a merge. Those of model inversion are the evaluator, the prior and
the targets of a seed, then each attack on each target, and last a merge. Submitting
twice is harmless. Nothing must stay alive: with --cluster=local:N this command runs the
processes, and may be killed and repeated. The exit status is 0 if everything was
submitted or done, 1 if a unit failed, 2 for bad input and 75 if it was interrupted.
"""

import pathlib
import shlex
import sys

from absl import flags

from gpz_jax.commands import command, studies
from gpz_jax.launching.studies import MODEL_INVERSION, SWEEP
from gpz_jax.types import InputError

SCRIPT = pathlib.Path(__file__).parents[2] / 'launch' / 'unit.sh'
CLUSTERS = 'local:N, slurm, kubernetes'


def define_flags(values: flags.FlagValues = flags.FLAGS, study: str = SWEEP) -> None:
  """The flags of a study, and those of submitting it."""
  studies.COMMANDS[study].define_flags(values)
  texts = {
    'study': (
      None,
      'What is submitted: sweep or model_inversion. If it is not set, the other flags'
      ' tell.',
    ),
    'cluster': (None, f'Where units are done: {CLUSTERS}.'),
    'units': (
      'cohort',
      'What a unit is: a cohort of a seed (in model inversion a target), or a whole'
      ' seed.',
    ),
    'python': (sys.executable, 'Python on the nodes, for Slurm.'),
    'sbatch': ('', 'Options for sbatch, as --partition=gpu --gres=gpu:1.'),
    'image': (None, 'Container image of gpz_jax, for Kubernetes.'),
    'volume': (
      None,
      'Claim of the volume with workdir and data, as NAME:PATH.',
    ),
    'queue': (None, "Kueue's queue, for Kubernetes."),
    'namespace': (None, 'Namespace, for Kubernetes.'),
  }
  for name, (default, text) in texts.items():
    flags.DEFINE_string(name, default, text, flag_values=values)
  for name, text in (
    ('dry_run', 'Print what would be submitted, and submit nothing.'),
    ('status', 'Print how far the units of --workdir are.'),
    (
      'resume',
      'Submit the units of --workdir that are not done, as planned.',
    ),
    ('estimate', 'Print the GPU hours that the arithmetic of the study takes.'),
  ):
    flags.DEFINE_bool(name, False, text, flag_values=values)
  for name, default, text in (
    ('retries', 5, 'How often a unit is begun again after a passing fault.'),
    ('parallel', 100, 'Most pods at a time, for Kubernetes.'),
  ):
    flags.DEFINE_integer(name, default, text, lower_bound=0, flag_values=values)
  for name, default, text in (
    ('retry_seconds', 60.0, 'Seconds until a unit is begun again, for local:N.'),
    ('peak_tflops', 67.0, 'Peak of a GPU in TFLOP/s, for --estimate.'),
    ('peak_share', 0.1, 'Share of the peak that is reached, for --estimate.'),
  ):
    flags.DEFINE_float(name, default, text, lower_bound=0.0, flag_values=values)


def main(argv: list[str]) -> int:
  """Plans, submits, or says how far things are."""
  from gpz_jax.launching.units import Store

  study = studies.choose(sys.argv)
  values = flags.FLAGS
  store = Store(values.workdir)
  if values.status:
    return _print_status(store)
  if values.estimate:
    return _print_estimate(study)
  kind, count = _parse_cluster(values.cluster, store)
  units = store.read() if values.resume else _plan(store, study)
  if kind == 'local':
    return _run_pool(store, units, count)
  if kind == 'kubernetes':
    return _write_manifests(store, units)
  return _submit_to_slurm(store, units)


def _parse_cluster(text: str | None, store) -> tuple[str, int]:
  """The kind of cluster, and how many processes a pool has.

  Raises:
    InputError: It is none of `CLUSTERS`.
  """
  if text is None and flags.FLAGS.resume and (store.submitted / 'jobs.jsonl').exists():
    text = 'slurm'
  kind, colon, number = (text or '').partition(':')
  if kind in ('slurm', 'kubernetes') and not colon:
    return kind, 0
  if kind == 'local' and number.isdecimal() and 0 < int(number) <= 1024:
    return kind, int(number)
  raise InputError(f'--cluster={text} is not allowed; give one of {CLUSTERS}')


def _plan(store, study: str):
  """The units of the study that the flags ask for, written unless it is a dry run."""
  from gpz_jax import model_inversion, sweep
  from gpz_jax.launching import inversion_units
  from gpz_jax.launching import units as units_lib
  from gpz_jax.types import check_known

  config, per = studies.COMMANDS[study].config_from_flags(), flags.FLAGS.units
  check_known('--units', per, units_lib.PER)
  if not flags.FLAGS.resume:
    config.check_begins()
  if study == MODEL_INVERSION:
    units = inversion_units.plan_units(model_inversion.make_plan(config), per)
  else:
    units = units_lib.plan_units(sweep.make_plan(config), per)
  if not flags.FLAGS.dry_run:
    store.write(units)
  return units


def _list_missing(store, units, queued=()) -> list[str]:
  """Names of the units that are neither done nor queued.

  The merge is among them where another unit is, or where it has not seen all.
  """
  from gpz_jax.launching import states

  *others, merge = units
  missing = [
    unit.name
    for unit in others
    if unit.name not in queued and not states.is_done(store, unit)
  ]
  if merge.name not in queued and (missing or not states.is_done(store, merge)):
    missing.append(merge.name)
  return missing


def _run_pool(store, units, count: int) -> int:
  from gpz_jax.launching import local

  slots = local.make_slots(count)
  if flags.FLAGS.dry_run:
    for name in _list_missing(store, units):
      print(shlex.join(local.make_command(store.path, name)))
    return 0
  pool = local.Pool(
    store,
    units,
    slots,
    lambda text: print(text, flush=True),
    retries=flags.FLAGS.retries,
    delay=flags.FLAGS.retry_seconds,
  )
  return 0 if pool.run() else 1


def _submit_to_slurm(store, units) -> int:
  from gpz_jax.launching import slurm

  is_dry = flags.FLAGS.dry_run
  queued = slurm.ask(store, slurm.run_command)
  stale = {name: q for name, q in queued.items() if q.state == 'never'}
  missing = _list_missing(store, units, queued.keys() - stale.keys())
  merge = units[-1].name
  if missing and merge in queued and merge not in stale:
    # It would not wait for what is new.
    stale[merge] = queued[merge]
    missing.append(merge)
  if stale and not is_dry:
    slurm.run_command(['scancel', *(q.task for q in stale.values())])
  queued = {name: q for name, q in queued.items() if name not in stale}
  if not missing:
    print('nothing is to be submitted; --status shows the units')
    return 0
  arrays = slurm.plan_arrays(units, missing, queued)
  script = [str(SCRIPT), flags.FLAGS.python, str(flags.FLAGS.retries)]
  if not SCRIPT.exists():
    raise InputError(f'{SCRIPT} is not there; submit from a checkout of gpz_jax')
  options = shlex.split(flags.FLAGS.sbatch)
  if is_dry:
    for i, array in enumerate(arrays):
      jobs = {j: f'JOB{j}' for j in range(i)}
      listed = store.submitted / f'{i}.txt'
      print(shlex.join(slurm.make_command(array, jobs, store, listed, script, options)))
    return 0
  options = options or _recall_options(store)
  _keep_options(store, options)
  jobs = slurm.submit(arrays, store, script, options, slurm.run_command)
  count = len(missing)
  print(f'{count} units in {len(jobs)} arrays: {" ".join(jobs)}; --status shows them')
  return 0


def _recall_options(store) -> list[str]:
  """The options of sbatch that were given before."""
  path = store.submitted / 'sbatch.txt'
  return shlex.split(path.read_text()) if path.exists() else []


def _keep_options(store, options: list[str]) -> None:
  store.submitted.mkdir(parents=True, exist_ok=True)
  (store.submitted / 'sbatch.txt').write_text(shlex.join(options) + '\n')


def _write_manifests(store, units) -> int:
  from gpz_jax.launching import kubernetes

  values = flags.FLAGS
  settings = kubernetes.Settings(
    image=values.image,
    volume=values.volume,
    queue=values.queue,
    namespace=values.namespace,
    retries=values.retries,
    parallel=values.parallel,
  )
  missing = _list_missing(store, units)
  files = kubernetes.make_files(store, units, missing, settings)
  for path, text in files.items():
    if values.dry_run:
      print(f'# {path}\n{text}')
    else:
      path.parent.mkdir(parents=True, exist_ok=True)
      path.write_text(text)
      print(path)
  return 0


def _print_status(store) -> int:
  from gpz_jax.launching import slurm, states

  queued = {}
  if (store.submitted / 'jobs.jsonl').exists():
    try:
      queued = slurm.ask(store, slurm.run_command)
    except InputError as error:
      print(f'submit: note: {error}', file=sys.stderr)
  print(states.format_table(states.list_states(store, store.read(), queued)))
  return 0


def _print_estimate(study: str) -> int:
  from gpz_jax import model_inversion, sweep
  from gpz_jax.model_inversion import estimate as inversion
  from gpz_jax.study import estimates
  from gpz_jax.sweep import estimate

  config = studies.COMMANDS[study].config_from_flags()
  if study == MODEL_INVERSION:
    costs = inversion.estimate(model_inversion.make_plan(config))
    uncounted = inversion.UNCOUNTED
  else:
    costs, uncounted = estimate.estimate(sweep.make_plan(config)), estimate.UNCOUNTED
  values = flags.FLAGS
  print(
    estimates.describe_gpu_hours(
      costs, values.peak_tflops, values.peak_share, uncounted
    )
  )
  return 0


def start() -> None:
  """Runs the command."""
  try:
    study = studies.choose(sys.argv)
  except InputError as error:
    command.fail('submit', error)
  command.run('submit', main, lambda: define_flags(study=study))


if __name__ == '__main__':
  start()
