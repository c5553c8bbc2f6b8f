"""The script of a benchmark visit, with a stand-in for python that prints its flags."""

import pathlib
import subprocess

import pytest

SCRIPT = pathlib.Path(__file__).parents[1] / 'launch' / 'gpu_bench.sh'


@pytest.fixture
def environment(tmp_path):
  stand_in = tmp_path / 'python'
  stand_in.write_text('#!/bin/sh\necho "$@"\n')
  stand_in.chmod(0o755)
  return {'PATH': f'{tmp_path}:/usr/bin:/bin'}


def bench(environment, *arguments):
  return subprocess.run(
    ['bash', SCRIPT, *arguments],
    env=environment,
    capture_output=True,
    text=True,
    check=False,
  )


def stages(out):
  """The stages that have ended, in order."""
  lines = (out / 'status.txt').read_text().splitlines()
  return [line.split(':')[0] for line in lines]


STAGES = {
  '1': ['tests', 'conv'],
  '2': ['step', 'sweep', 'sweep_compiled', 'real_float32', 'real_bfloat16'],
  '3': ['figure_5', 'figure_5'],  # how it ended, and its rows
  '4': ['inversion_256', 'inversion', 'target'],
}


def test_a_visit_runs_every_stage_and_says_how_it_ended(environment, tmp_path):
  out, data = tmp_path / 'out', tmp_path / 'data'
  data.mkdir()
  given = f'--out={out}', f'--data_dir={data}'
  done = bench(environment, *given)
  assert done.returncode == 0
  assert stages(out) == [
    'machine',
    *(name for part in STAGES.values() for name in part),
  ]
  assert f'--choices={out}/choices.json' in (out / 'conv.txt').read_text()
  assert '--peer=torch' in (out / 'sweep.txt').read_text()
  assert f'--targets_from={out}/real_float32' in (out / 'real_bfloat16.txt').read_text()
  assert '--sizes=256' in (out / 'inversion_256.txt').read_text()
  again = bench(environment, *given)
  assert again.stdout.splitlines() == ['figure_5: 0 rows']  # all has ended well


@pytest.mark.parametrize('part', STAGES)
def test_a_part_runs_its_stages_alone(environment, tmp_path, part):
  out, data = tmp_path / 'out', tmp_path / 'data'
  data.mkdir()
  given = f'--out={out}', f'--data_dir={data}', f'--part={part}'
  done = bench(environment | {'FLAGS': '--seeds=0 --alphas=0'}, *given)
  assert done.returncode == 0
  assert stages(out) == ['machine', *STAGES[part]]
  if part == '3':
    assert '--seeds=0 --alphas=0' in (out / 'figure_5.txt').read_text()


def test_wheels_and_an_archive_are_unpacked_once(environment, tmp_path):
  out, wheels, archive = tmp_path / 'out', tmp_path / 'wheels', tmp_path / 'data.tar'
  wheels.mkdir()
  (wheels / 'jax_cuda13_plugin-0.11.0-cp312.whl').touch()
  (wheels / 'torch-2.13.whl').touch()
  (tmp_path / 'cifar10').mkdir()
  subprocess.run(['tar', '-cf', archive, '-C', tmp_path, 'cifar10'], check=True)
  stand_in = tmp_path / 'python3.12'  # makes an environment of the other stand-in
  stand_in.write_text(
    f'#!/bin/sh\nmkdir -p "$3"/bin && cp {tmp_path}/python "$3"/bin/python\n'
  )
  stand_in.chmod(0o755)
  given = f'--out={out}', '--part=2', f'--wheels={wheels}', f'--data_dir={archive}'
  bench(environment | {'PYTHON': str(stand_in)}, *given)
  assert stages(out)[:3] == ['install', 'data', 'machine']
  installed = (out / 'install.txt').read_text()
  assert f'--no-index --find-links={wheels} gpz_jax[test,cuda13,torch]' in installed
  assert (out / 'data' / 'cifar10').is_dir()
  assert f'--data_dir={out}/data' in (out / 'real_float32.txt').read_text()
  assert 'install' not in bench(environment, *given).stdout


def test_a_stage_out_of_time_is_ended_and_the_next_one_runs(environment, tmp_path):
  slow = tmp_path / 'python'
  slow.write_text('#!/bin/sh\n[ "$2" = pytest ] && sleep 60\necho "$@"\n')
  done = bench(environment | {'SHARE': '0.01'}, f'--out={tmp_path}')
  assert 'tests: exit 124' in done.stdout
  assert 'conv: exit 0' in done.stdout


@pytest.mark.parametrize(
  ('arguments', 'message'),
  [
    ([], '--out is missing'),
    (['--out=x', '--fast'], '--fast is not known'),
    (['--out=x', '--part=5'], '--part=5 is not known'),
    (['--out=x', '--data_dir=/nowhere'], "there is no '/nowhere'"),
  ],
)
def test_bad_arguments_are_refused(environment, arguments, message):
  done = bench(environment, *arguments)
  assert done.returncode == 2
  assert message in done.stderr
