"""Manifests for Kubernetes: against its schema, and their command as bare processes."""

import os
import pathlib
import re
import signal
import subprocess
import sys
import time

import pytest
import yaml
from made_up_units import make_units

from gpz_jax.launching import kubernetes, outcomes, states
from gpz_jax.launching.units import Store
from gpz_jax.types import InputError

ROOT = pathlib.Path(__file__).parents[2]
SETTINGS = kubernetes.Settings('registry/gpz_jax:1', 'data:/data', queue='gpus')


def make(path='runs/big', settings=SETTINGS, wanted=None):
  units = make_units(2, 2)
  names = wanted or [unit.name for unit in units]
  return kubernetes.make_files(Store(path), units, names, settings)


def load(files, name):
  (text,) = (text for path, text in files.items() if path.name == name)
  return yaml.safe_load(text)


@pytest.mark.parametrize('kind', ['targets', 'cohort', 'merge'])
def test_each_job_meets_the_schema_of_kubernetes(kind):
  validate = pytest.importorskip('kubernetes_validate', reason='it is not installed')
  version = validate.latest_version()
  validate.validate(load(make(), f'{kind}.yaml'), version, strict=True)


# Name -> type of the fields of JobSet v1alpha2, as its API reference lists them; those
# of `template` are a Job's own. None stands for a type that no manifest here needs.
JOBSET = {
  'apiVersion': str,
  'kind': str,
  'metadata': dict,
  'spec': {
    'replicatedJobs': [
      {
        'name': str,
        'groupName': str,
        'template': {'metadata': dict, 'spec': dict},
        'replicas': int,
        'dependsOn': [{'name': str, 'status': str}],
      }
    ],
    'network': None,
    'successPolicy': None,
    'failurePolicy': None,
    'startupPolicy': None,
    'suspend': bool,
    'coordinator': None,
    'managedBy': str,
    'ttlSecondsAfterFinished': int,
    'volumeClaimPolicies': None,
  },
}
LONGEST_NAME = 63  # of a pod: it is a label of DNS


def list_faults(found, expected, place='jobset') -> list[str]:
  """Where a manifest has a field that there is not, or one of another type."""
  if isinstance(expected, list):
    if not isinstance(found, list):
      return [f'{place} is no list']
    each = (list_faults(x, expected[0], f'{place}[{i}]') for i, x in enumerate(found))
    return [fault for faults in each for fault in faults]
  if isinstance(expected, dict):
    if not isinstance(found, dict):
      return [f'{place} is no object']
    faults = [f'{place}.{name} is not known' for name in found.keys() - expected.keys()]
    for name in found.keys() & expected.keys():
      faults += list_faults(found[name], expected[name], f'{place}.{name}')
    return faults
  return [] if type(found) is expected else [f'{place} is no {expected}']


def list_jobset_faults(jobset) -> list[str]:
  """Where a JobSet breaks what its API says: fields, order and length of names."""
  faults = list_faults(jobset, JOBSET)
  if (jobset['apiVersion'], jobset['kind']) != ('jobset.x-k8s.io/v1alpha2', 'JobSet'):
    faults.append('jobset is of another kind')
  before: set[str] = set()
  for job in jobset['spec']['replicatedJobs']:
    name, waits = job['name'], job.get('dependsOn', [])
    if len(waits) > 1:  # several are not supported by every release
      faults.append(f'{name} waits for {len(waits)} jobs')
    for wait in waits:
      if wait['name'] not in before or wait['status'] not in ('Ready', 'Complete'):
        faults.append(f'{name} cannot wait for {wait}')
    last = job['template']['spec']['completions'] - 1
    pod = f'{jobset["metadata"]["name"]}-{name}-{job["replicas"] - 1}-{last}-abcde'
    if not re.fullmatch('[a-z]([-a-z0-9]*[a-z0-9])?', pod) or len(pod) > LONGEST_NAME:
      faults.append(f'{pod} is no name of a pod')
    before.add(name)
  return faults


def test_a_jobset_has_only_fields_of_its_api_and_its_jobs_meet_their_schema():
  jobset = load(make(), 'jobset.yaml')
  assert list_jobset_faults(jobset) == []
  validate = pytest.importorskip('kubernetes_validate', reason='it is not installed')
  for job in jobset['spec']['replicatedJobs']:
    alone = {'apiVersion': 'batch/v1', 'kind': 'Job', 'metadata': {'name': job['name']}}
    whole = alone | {'spec': job['template']['spec']}
    validate.validate(whole, validate.latest_version(), strict=True)


@pytest.mark.parametrize(
  ('place', 'value', 'fault'),
  [
    ('spec.suspended', True, 'jobset.spec.suspended is not known'),
    ('spec.suspend', 'true', 'jobset.spec.suspend is no'),
    ('spec.replicatedJobs.1.replicas', '1', 'replicas is no'),
    ('spec.replicatedJobs.1.depends_on', [], 'depends_on is not known'),
    (
      'spec.replicatedJobs.1.dependsOn',
      [{'name': 'merge', 'status': 'Complete'}],
      'cannot wait for',
    ),
    (
      'spec.replicatedJobs.1.dependsOn',
      [{'name': 'targets', 'status': 'Completed'}],
      'cannot wait for',
    ),
    ('metadata.name', 'x' * 60, 'is no name of a pod'),
    ('metadata.name', '1a', 'is no name of a pod'),
    ('apiVersion', 'jobset.x-k8s.io/v1', 'of another kind'),
  ],
)
def test_the_check_of_a_jobset_finds_what_is_wrong(place, value, fault):
  jobset = load(make(), 'jobset.yaml')
  *path, last = [int(x) if x.isdecimal() else x for x in place.split('.')]
  node = jobset
  for step in path:
    node = node[step]
  node[last] = value
  if place.endswith('replicas'):  # names are made of the number
    assert fault in '\n'.join(list_faults(jobset, JOBSET))
  else:
    assert fault in '\n'.join(list_jobset_faults(jobset))


def test_the_lists_hold_the_units_of_each_kind_in_order():
  files = make()
  texts = {path.name: text for path, text in files.items()}
  assert texts['targets.txt'] == 't0\nt1\n'
  assert texts['cohort.txt'] == 'c0x0\nc0x1\nc1x0\nc1x1\n'
  assert texts['merge.txt'] == 'm\n'
  assert load(files, 'cohort.yaml')['spec']['completions'] == 4


def test_python_is_the_first_process_not_root_and_has_a_gpu():
  pod = load(make(), 'cohort.yaml')['spec']['template']['spec']
  (container,) = pod['containers']
  assert container['command'][0] == 'python'
  assert container['resources'] == {'limits': {'nvidia.com/gpu': 1}}
  assert pod['securityContext']['runAsNonRoot'] is True
  assert pod['restartPolicy'] == 'Never'  # podFailurePolicy asks for it
  merge = load(make(), 'merge.yaml')['spec']['template']['spec']['containers'][0]
  assert 'resources' not in merge


def test_a_jobset_has_each_kind_wait_for_the_one_before_and_kueue_is_told():
  jobset = load(make(), 'jobset.yaml')
  assert jobset['metadata']['labels'] == {'kueue.x-k8s.io/queue-name': 'gpus'}
  waits = {
    job['name']: job.get('dependsOn') for job in jobset['spec']['replicatedJobs']
  }
  assert waits == {
    'targets': None,
    'cohort': [{'name': 'targets', 'status': 'Complete'}],
    'merge': [{'name': 'cohort', 'status': 'Complete'}],
  }


@pytest.mark.parametrize(
  ('status', 'expected'),
  [
    (0, 'Complete'),
    (2, 'FailIndex'),
    (73, 'Count'),
    (74, 'Count'),
    (75, 'Ignore'),
    (137, 'Count'),
  ],
)
def test_the_policy_is_the_rule_of_the_other_launchers(status, expected):
  job_spec = load(make(), 'cohort.yaml')['spec']
  assert kubernetes.decide(job_spec, status) == expected
  outcome = outcomes.decide(status, 0)
  assert {
    'done': 'Complete',
    'again': 'Ignore',
    'later': 'Count',
    'failed': 'FailIndex',
  }[outcome] == expected


def test_two_writers_are_never_asked_for():
  assert load(make(), 'cohort.yaml')['spec']['podReplacementPolicy'] == 'Failed'


@pytest.mark.parametrize(
  ('changes', 'message'),
  [
    ({'image': None}, '--image is missing'),
    ({'volume': 'data'}, '--volume=data is not allowed'),
  ],
)
def test_settings_that_are_missing_are_named(changes, message):
  settings = kubernetes.Settings(**{'image': 'i', 'volume': 'd:/d'} | changes)
  with pytest.raises(InputError, match=message):
    make(settings=settings)


def test_a_workdir_that_pods_do_not_see_is_refused():
  with pytest.raises(InputError, match='is not in --volume=data:/data'):
    make('/home/me/runs')


def test_the_command_of_the_job_does_each_index_and_saves_on_term(tmp_path):
  """The manifest's own command, but for the module, which a stand-in replaces."""
  store, units = Store(tmp_path / 'big'), make_units(2, 0)[:2]
  store.write(units)
  settings = kubernetes.Settings('i', f'data:{tmp_path}')
  names = [unit.name for unit in units]
  files = kubernetes.make_files(store, units, names, settings)
  for path, text in files.items():
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
  job_spec = load(files, 'targets.yaml')['spec']
  (container,) = job_spec['template']['spec']['containers']
  stand_in = ROOT / 'tests' / 'launch' / 'slurm' / 'stand_in.py'

  def start(index):
    return subprocess.Popen(
      [sys.executable, stand_in, *container['command'][1:], *container['args']],
      cwd=container['workingDir'],
      env=os.environ
      | {'PYTHONPATH': os.pathsep.join([str(ROOT), *sys.path]), 'STEPS': '60'}
      | {'JOB_COMPLETION_INDEX': str(index)},
    )

  first, second = start(0), start(1)
  history = store.workdir('t0') / 'history'
  deadline = time.monotonic() + 60
  while not history.exists() and time.monotonic() < deadline:
    time.sleep(0.1)
  time.sleep(0.5)
  first.send_signal(signal.SIGTERM)
  assert kubernetes.decide(job_spec, first.wait(60)) == 'Ignore'
  assert kubernetes.decide(job_spec, start(0).wait(60)) == 'Complete'
  assert kubernetes.decide(job_spec, second.wait(60)) == 'Complete'
  assert int(history.read_text().splitlines()[1].split()[0]) > 0
  assert all(states.is_done(store, unit) for unit in units)
