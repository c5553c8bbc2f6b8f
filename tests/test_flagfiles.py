"""The flagfiles of the paper's tables and figures, and the numbers they are held to."""

import csv
import pathlib
import re

import forked
import pytest

from gpz_jax import model_inversion, models, sweep
from gpz_jax.attacks.activation import specs
from gpz_jax.commands import model_inversion as inversion_flags
from gpz_jax.commands import reproduce
from gpz_jax.commands import sweep as sweep_flags
from gpz_jax.model_inversion import estimate
from gpz_jax.report.comparison import Cell, plain
from gpz_jax.study import fields
from gpz_jax.study.plan import treat
from gpz_jax.study.serialization import first_difference, to_json
from gpz_jax.types import InputError

FOLDER = reproduce.FOLDER
FLAGFILES = sorted((FOLDER / 'flagfiles').glob('*.cfg'))
SWEEPS = [path for path in FLAGFILES if not path.stem.startswith('mi_')]
INVERSIONS = [path for path in FLAGFILES if path.stem.startswith('mi_')]
TWINS = [path for path in INVERSIONS if path.stem.endswith('_small')]
PAPER = [path for path in FLAGFILES if re.match(r'(table|fig)\d', path.stem)]
FULL = [path for path in PAPER if not path.stem.endswith(('_small', '_medium'))]


def load(path: pathlib.Path) -> sweep.SweepConfig:
  return sweep_flags.parse_config([f'--flagfile={path}'])


@pytest.mark.parametrize('path', INVERSIONS, ids=lambda path: path.stem)
def test_every_flagfile_of_model_inversion_is_valid(path):
  config = inversion_flags.parse_config([f'--flagfile={path}'])
  models.make(config.model, num_classes=10, **config.parse_model_options())
  options = config.parse_evaluator_options()
  models.make(config.evaluator, num_classes=10, **options)
  side = config.image_size or 32
  models.check_image(config.model, (side, side, 3), config.parse_model_options())
  side = config.evaluator_size or side
  models.check_image(config.evaluator, (side, side, 3), options)


@pytest.mark.parametrize('path', INVERSIONS, ids=lambda path: path.stem)
def test_the_treatments_of_model_inversion_are_lanes_of_one_program(path):
  config = inversion_flags.parse_config([f'--flagfile={path}'])
  model = models.make(config.model, num_classes=10, **config.parse_model_options())
  treat(model, config, is_imported=False)  # refuses skips that the net has not
  least = 2 if path.stem.endswith('_small') else 3
  assert len(config.seeds) >= least


@pytest.mark.slow
@pytest.mark.parametrize('path', TWINS, ids=lambda path: path.stem)
def test_every_twin_of_model_inversion_can_be_planned_for_half_an_hour(path, tmp_path):
  arguments = [f'--flagfile={path}', f'--workdir={tmp_path / "none"}']
  plan = model_inversion.make_plan(inversion_flags.parse_config(arguments))
  costs = estimate.estimate(plan)
  assert 60 < sum(map(estimate.seconds, costs)) < 30 * 60
  assert not (tmp_path / 'none').exists()


@pytest.mark.parametrize('path', SWEEPS, ids=lambda path: path.stem)
def test_every_flagfile_is_a_valid_sweep(path):
  config = load(path)
  models.make(config.model, num_classes=10, **config.parse_model_options())
  if config.aux_exclude:
    assert pathlib.Path(config.aux_exclude).is_file()


@pytest.mark.parametrize('path', FLAGFILES, ids=lambda path: path.stem)
def test_the_command_of_the_other_study_says_whose_a_preset_is(path):
  is_inversion = path in INVERSIONS
  wrong = sweep_flags if is_inversion else inversion_flags
  owner = 'gpz-model-inversion' if is_inversion else 'gpz-sweep'
  wanted = f'--preset={path.stem} belongs to {owner}: it gives --'
  with pytest.raises(InputError, match=wanted):
    wrong.parse_config([f'--preset={path.stem}'])


@pytest.mark.parametrize(
  ('inversions', 'sweeps'),
  [
    ('mi_small', 'treatments_small'),
    ('mi_table1_resnet_small', 'treatments_table1_small'),
    ('mi_table1_resnet_smoothing_small', 'treatments_table1_small'),
  ],
)
def test_documented_pairs_of_studies_have_the_same_targets(inversions, sweeps):
  files = FOLDER / 'flagfiles'
  ours = inversion_flags.parse_config([f'--flagfile={files}/{inversions}.cfg'])
  theirs = load(files / f'{sweeps}.cfg')
  scope = fields.in_scope(type(ours), 'targets')
  assert not first_difference(ours, to_json(theirs), scope)
  lanes = {lane.lane_id for lane in ours.list_lanes()}
  assert lanes <= {lane.lane_id for lane in theirs.list_lanes()}


def test_flags_of_the_other_study_are_told_from_unknown_ones(tmp_path):
  with pytest.raises(InputError, match=r'^--splits is a flag of gpz-sweep and not'):
    inversion_flags.parse_config(['--splits=a'])
  with pytest.raises(InputError, match=r'^--nokes is a flag of gpz-model-inversion'):
    sweep_flags.parse_config(['--nokes'])
  (tmp_path / 'own.cfg').write_text('--classes=3\n')
  with pytest.raises(InputError, match=r'own\.cfg belongs to gpz-model-inversion'):
    sweep_flags.parse_config([f'--flagfile={tmp_path}/own.cfg'])
  with pytest.raises(InputError, match=r"^Unknown command line flag 'kess'"):
    sweep_flags.parse_config(['--kess=3'])


@pytest.mark.parametrize('path', FULL, ids=lambda path: path.stem)
def test_every_full_flagfile_has_twins_with_the_same_attacks(path):
  full = load(path)
  assert (full.image_size, full.target_epochs, full.decoder_epochs) == (64, 300, 100)
  twins = [path.with_stem(f'{path.stem}_{scale}') for scale in ('small', 'medium')]
  assert twins[0].is_file()
  for twin in filter(pathlib.Path.is_file, twins):
    config = load(twin)
    assert [plain(a) for a in full.attack] == [plain(a) for a in config.attack]
    assert set(config.alphas) <= set(full.alphas)


def cells():
  for name in ('numbers', 'claims'):
    with (FOLDER / 'paper' / f'{name}.csv').open(newline='') as file:
      for line in csv.DictReader(file):
        if name == 'numbers':
          names = ('run', 'alpha', 'split', 'attack', 'column')
          yield line['artefact'], Cell.parse('|'.join(line[n] for n in names))
        else:
          yield line['artefact'], Cell.parse(line['left'])
          yield line['artefact'], Cell.parse(line['right'])


@pytest.mark.parametrize('scale', reproduce.SCALES)
def test_every_published_number_and_claim_has_a_lane(scale):
  configs = {path.stem: load(path) for path in PAPER}
  for artefact, cell in cells():
    if isinstance(cell, float):
      continue
    assert cell.run.startswith(f'{artefact}_')
    config = configs.get(cell.run + reproduce.SCALES[scale])
    if config is None:  # Some have no medium twin.
      assert scale == 'medium'
      continue
    assert cell.alpha in config.alphas
    splits = config.splits
    if splits == ('paper',):
      splits = models.info(config.model).paper_splits
    stand_in = {} if scale == 'full' else reproduce.TWIN_SPLITS
    split = stand_in.get(cell.split, cell.split)
    assert cell.attack in map(plain, config.attack)
    attacks = [specs.parse(a) for a in config.attack if plain(a) == cell.attack]
    if split != 'prediction':
      assert split in splits
      assert any(not attack.at or split in attack.at for attack in attacks)


@pytest.mark.parametrize(
  ('arguments', 'message'),
  [
    ([], 'give one of --table and --figure'),
    (['--table=7'], "'table7' has no flagfiles; did you mean"),
    (['--table=4', '--scale=tiny'], "scale 'tiny' is not known"),
    (['--figure=2', '--scale=medium'], 'fig2 has no flagfile at --scale=medium'),
    (['--paper=skips', '--table=1', '--scale=medium'], 'give full or small'),
  ],
)
def test_reproduce_refuses_what_it_has_not(arguments, message):
  done = forked.run('reproduce', *arguments)
  assert (done.returncode, done.stdout) == (2, '')
  assert message in done.stderr
  assert done.stderr.count('\n') == 1
