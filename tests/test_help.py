"""--help: at once, with the values that will be used, the first decisions first."""

import dataclasses
import resource
import subprocess
import sys

import pytest

from gpz_jax.__main__ import COMMANDS
from gpz_jax.commands import layout, presets
from gpz_jax.sweep import SweepConfig
from gpz_jax.training.recipe import DECODER, TARGET_RECIPES
from gpz_jax.types import InputError

LONGEST = 2.0  # seconds; of the processor, because other tests run meanwhile
# tensorflow_datasets is none of them: it imports what is heavy when it is first used.
SLOW_IMPORTS = (
  *('jax', 'flax', 'optax', 'orbax', 'tensorflow', 'torch', 'tensorboardX'),
  *('matplotlib', 'scipy', 'sklearn', 'pyarrow'),
)
FIRST = [name for group in layout.GROUPS.values() for name in group]


def ask(*arguments, module='experiments.sweep'):
  done = subprocess.run(
    [sys.executable, '-m', module, *arguments],
    capture_output=True,
    text=True,
    check=False,
  )
  assert done.returncode == 0, done.stderr
  return ' '.join(done.stdout.split())


@pytest.fixture(scope='module')
def shown() -> str:
  return ask('--help')


def test_help_lists_every_field_and_succeeds():
  text = ask('--helpfull')
  for field in dataclasses.fields(SweepConfig):
    assert f'--{field.name}:' in text or f'--[no]{field.name}:' in text


def test_help_shows_the_first_decisions_in_their_order(shown):
  places = [shown.index(f'{name}:') for name in layout.GROUPS]
  assert places == sorted(places)
  assert all(f'--{n}:' in shown or f'--[no]{n}:' in shown for n in FIRST)
  assert len(FIRST) == len(set(FIRST))
  fields = {field.name for field in dataclasses.fields(SweepConfig)}
  assert {*FIRST} - fields == {'preset', 'flagfile'}
  assert '--save_seconds:' not in shown
  assert f'--helpfull shows {len(fields - {*FIRST})} more flags.' in shown


def test_help_of_model_inversion_shows_no_flag_that_it_refuses():
  text = ask('--help', module='experiments.model_inversion')
  assert 'Speed: --precision:' in text
  assert '--[no]tune:' not in text


@pytest.mark.parametrize('command', sorted(COMMANDS))
def test_help_needs_less_than_two_seconds(command):
  before = resource.getrusage(resource.RUSAGE_CHILDREN)
  ask('--help', module=f'experiments.{command.replace("-", "_")}')
  after = resource.getrusage(resource.RUSAGE_CHILDREN)
  spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
  assert spent < LONGEST


@pytest.mark.parametrize('command', sorted(COMMANDS))
def test_help_waits_for_no_library_that_is_slow_to_import(command):
  name = f'gpz_jax.commands.{command.replace("-", "_")}'
  code = f'import sys, {name}; print(*sys.modules)'
  done = subprocess.run(
    [sys.executable, '-c', code], capture_output=True, text=True, check=True
  )
  assert not {*SLOW_IMPORTS} & {*done.stdout.split()}


def test_help_names_the_recipe_that_a_value_comes_from(shown):
  vgg, ir = TARGET_RECIPES['vgg'], TARGET_RECIPES['ir_adamw']
  assert f'(default: {vgg.epochs}, from the recipe vgg of vgg11)' in shown
  assert f'(default: {DECODER.epochs}, from the recipe of the decoders)' in shown
  text = ask('--help', '--model=ir152')
  assert '(given: ir152)' in text
  assert '--target_batch_size: Batch size of the targets. (default: 128' in text
  assert 'from the recipe ir of ir152)' in text
  text = ask('--model=own.package:Net', '--help')
  assert 'from the recipe default of own.package:Net)' in text
  text = ask('--help', '--target_recipe=ir_adamw')
  assert f'(default: {ir.learning_rate:g}, from the recipe ir_adamw)' in text


def test_help_shows_what_a_preset_and_the_flags_behind_it_set():
  text = ask('--preset=quickstart', '--target_epochs=9', '--help')
  assert 'Epochs that the targets are trained for. (given: 9)' in text
  assert 'Epochs that the decoders are trained for. (given: 5)' in text


def test_a_preset_stands_for_its_flagfile():
  flagfile = f'--flagfile={presets.FOLDER / "flagfiles" / "quickstart.cfg"}'
  for arguments in (['--preset=quickstart'], ['-preset', 'quickstart']):
    assert presets.expand(['sweep', *arguments, '--flip']) == [
      'sweep',
      flagfile,
      '--flip',
    ]
  assert presets.expand(['sweep', '--', '--preset']) == ['sweep', '--', '--preset']
  assert 'quickstart' in presets.list_names()


@pytest.mark.parametrize(
  ('arguments', 'message'),
  [
    (['--preset=quickstrat'], "'quickstrat' is not known; did you mean 'quickstart'"),
    (['--preset=../flagfiles/quickstart'], 'is not known'),
    (['--preset='], "preset '' is not known"),
    (['--preset'], '--preset has no name'),
  ],
)
def test_a_preset_that_is_not_there_is_refused(arguments, message):
  with pytest.raises(InputError) as caught:
    presets.expand(['sweep', *arguments])
  assert message in str(caught.value)


def test_files_that_a_preset_names_are_found_in_every_folder(tmp_path, monkeypatch):
  name = 'experiments/paper/fig10_small_exclude.txt'
  config = SweepConfig(aux_exclude=name)
  monkeypatch.chdir(tmp_path)
  located = presets.locate(config).aux_exclude
  assert located == str(presets.FOLDER / 'paper' / 'fig10_small_exclude.txt')
  for other in ('classes.txt', '../LICENSE', 'experiments/paper/none.txt'):
    assert presets.locate(SweepConfig(aux_exclude=other)).aux_exclude == other
  (tmp_path / 'experiments' / 'paper').mkdir(parents=True)
  (tmp_path / name).touch()
  assert presets.locate(config) == config  # the user's own comes first
