"""Units as indexed jobs of Kubernetes: manifests, which a person applies.

One JobSet has what is trained, then the attacks, then the merge. The same jobs are also
written one by one, for a cluster without JobSet. None of it has run on a cluster: tests
check the jobs against Kubernetes' schema and the JobSet against its published fields,
and run the jobs' command as a process for each index.
"""

import dataclasses
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from gpz_jax.launching.units import Store, Unit
from gpz_jax.types import InputError

Manifest = dict[str, Any]
GRACE = 120  # seconds between SIGTERM and SIGKILL
USER = 1000  # of the image, see launch/Dockerfile
INTERRUPTED = (75,)
FINAL = (2,)
GAPS = (1,)  # of a merge


@dataclasses.dataclass(frozen=True)
class Settings:
  """What manifests need beside the units.

  Attributes:
    image: Container image of gpz_jax.
    volume: NAME:PATH, the claim with the workdir and the data, and where it is mounted.
    queue: Kueue's queue; None without Kueue.
    namespace: Namespace of the jobs; None for that of the person who applies them.
    retries: How often a unit is begun again after a passing fault.
    parallel: Most pods of a job at a time.
  """

  image: str | None
  volume: str | None
  queue: str | None = None
  namespace: str | None = None
  retries: int = 5
  parallel: int = 100


def make_files(
  store: Store, units: Sequence[Unit], wanted: Sequence[str], settings: Settings
) -> dict[pathlib.Path, str]:
  """The files to write: a list of units for each job, the jobs, and the JobSet.

  Args:
    store: Where the units lie, as the pods see it.
    units: All units.
    wanted: Names of the units to do.
    settings: What manifests need beside them.

  Raises:
    InputError: A setting is missing, or the pods cannot see the workdir.
  """
  _check(store, settings)
  number = len(list(store.submitted.glob('kubernetes-*')))
  folder = store.submitted / f'kubernetes-{number}'
  name = f'gpz-{units[-1].name}-{number}'
  files: dict[pathlib.Path, str] = {}
  jobs: dict[str, Manifest] = {}
  for stage, names in _list_stages(units, wanted).items():
    listed = folder / f'{stage}.txt'
    files[listed] = ''.join(f'{each}\n' for each in names)
    jobs[stage] = make_spec(store, stage, len(names), listed, settings)
    job = {
      'apiVersion': 'batch/v1',
      'kind': 'Job',
      'metadata': _metadata(f'{name}-{stage}', settings),
      'spec': _suspended(jobs[stage], settings),
    }
    files[folder / f'{stage}.yaml'] = yaml.safe_dump(job, sort_keys=False)
  jobset = make_jobset(name, jobs, settings)
  files[folder / 'jobset.yaml'] = yaml.safe_dump(jobset, sort_keys=False)
  return files


def _list_stages(units: Sequence[Unit], wanted: Sequence[str]) -> dict[str, list[str]]:
  """The names of the units of each stage, which needs the stages before it.

  A stage has the name of its units' kind. Where different things are trained side by
  side it is `training`: a JobSet's job may wait for a single other one.
  """
  chosen = set(wanted)
  depths: dict[str, int] = {}
  stages: dict[int, list[Unit]] = {}
  for unit in units:
    depths[unit.name] = 1 + max((depths[name] for name in unit.needs), default=-1)
    if unit.name in chosen:
      stages.setdefault(depths[unit.name], []).append(unit)
  named = {}
  for _, those in sorted(stages.items()):
    kinds = {unit.kind for unit in those}
    name = those[0].kind if len(kinds) == 1 else 'training'
    named[name] = [unit.name for unit in those]
  return named


def _check(store: Store, settings: Settings) -> None:
  if not settings.image:
    raise InputError(
      '--image is missing; build one by docker build -f launch/Dockerfile, and name it'
    )
  claim, colon, path = (settings.volume or '').partition(':')
  if not (claim and colon and path.startswith('/')):
    raise InputError(
      f'--volume={settings.volume} is not allowed; give the claim and where it is'
      ' mounted, as data:/data'
    )
  if store.path.is_absolute() and pathlib.Path(path) not in store.path.parents:
    raise InputError(
      f'--workdir={store.path} is not in --volume={settings.volume}, where alone pods'
      f' can write; name a folder in {path}, or a relative one'
    )


def make_spec(
  store: Store, stage: str, count: int, listed: pathlib.Path, settings: Settings
) -> Manifest:
  """The spec of an indexed job of `count` units."""
  assert settings.volume is not None
  claim, _, path = settings.volume.partition(':')
  has_gpu = stage != 'merge'
  final = FINAL if has_gpu else (*GAPS, *FINAL)
  container: Manifest = {
    'name': 'unit',
    'image': settings.image,
    # Python is the first process, so that it gets the signals.
    'command': ['python', '-m', 'gpz_jax.commands.unit'],
    'args': [f'--workdir={store.path}', f'--list={listed}'],
    'workingDir': path,
    'env': [{'name': 'XDG_CACHE_HOME', 'value': '/tmp/cache'}],
    'volumeMounts': [{'name': 'work', 'mountPath': path}],
    'securityContext': {
      'allowPrivilegeEscalation': False,
      'capabilities': {'drop': ['ALL']},
    },
  }
  if has_gpu:
    container['resources'] = {'limits': {'nvidia.com/gpu': 1}}
  else:
    container['env'].append({'name': 'JAX_PLATFORMS', 'value': 'cpu'})
  return {
    'completionMode': 'Indexed',
    'completions': count,
    'parallelism': min(count, settings.parallel),
    'backoffLimitPerIndex': settings.retries,
    # Never two writers: the next pod of a unit begins when the last one has ended.
    'podReplacementPolicy': 'Failed',
    'podFailurePolicy': {
      'rules': [
        {
          'action': 'Ignore',
          'onPodConditions': [{'type': 'DisruptionTarget', 'status': 'True'}],
        },
        _on_exit('Ignore', INTERRUPTED),
        _on_exit('FailIndex', final),
      ]
    },
    'template': {
      'spec': {
        'restartPolicy': 'Never',
        'terminationGracePeriodSeconds': GRACE,
        'securityContext': {
          'runAsNonRoot': True,
          'runAsUser': USER,
          'fsGroup': USER,
          'seccompProfile': {'type': 'RuntimeDefault'},
        },
        'containers': [container],
        'volumes': [{'name': 'work', 'persistentVolumeClaim': {'claimName': claim}}],
      }
    },
  }


def _on_exit(action: str, statuses: Sequence[int]) -> Manifest:
  return {
    'action': action,
    'onExitCodes': {
      'containerName': 'unit',
      'operator': 'In',
      'values': list(statuses),
    },
  }


def make_jobset(
  name: str, jobs: Mapping[str, Manifest], settings: Settings
) -> Manifest:
  """A JobSet in which each stage begins when the one before it is complete."""
  replicated: list[Manifest] = []
  for stage, spec in jobs.items():
    job: Manifest = {'name': stage, 'replicas': 1, 'template': {'spec': spec}}
    if replicated:
      job['dependsOn'] = [{'name': replicated[-1]['name'], 'status': 'Complete'}]
    replicated.append(job)
  return {
    'apiVersion': 'jobset.x-k8s.io/v1alpha2',
    'kind': 'JobSet',
    'metadata': _metadata(name, settings),
    'spec': _suspended({'replicatedJobs': replicated}, settings),
  }


def _metadata(name: str, settings: Settings) -> Manifest:
  found: Manifest = {'name': name}
  if settings.namespace:
    found['namespace'] = settings.namespace
  if settings.queue:
    found['labels'] = {'kueue.x-k8s.io/queue-name': settings.queue}
  return found


def _suspended(content: Manifest, settings: Settings) -> Manifest:
  """The spec; Kueue wants it suspended, and lets it run when there is room."""
  return {'suspend': True, **content} if settings.queue else content


def decide(job_spec: Manifest, status: int) -> str:
  """What the podFailurePolicy of a job's spec does about an exit status.

  Returns:
    `Complete`, `Ignore` (the index is begun again and nothing is counted), `FailIndex`,
    or `Count` (it is begun again and counted).
  """
  if status == 0:
    return 'Complete'
  for rule in job_spec['podFailurePolicy']['rules']:
    if status in rule.get('onExitCodes', {}).get('values', ()):
      return rule['action']
  return 'Count'
