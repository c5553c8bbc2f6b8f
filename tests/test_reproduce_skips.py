"""The second paper's table: runs that share what they train, verdicts, refusals."""

import csv
import dataclasses
import functools
import pathlib
import types

import chex
import forked
import made_up_inversions
import pytest
import safetensors.numpy

from gpz_jax import models, results, tradeoff
from gpz_jax.commands import reproduce_skips
from gpz_jax.models import vit
from gpz_jax.study.workdir import Workdir
from gpz_jax.types import InputError

pytestmark = pytest.mark.usefixtures('blank_charts')
COMMON = """# {note}
--dataset=portraits/private32_4x8
--public_dataset=portraits/public32_6x6
--image_size=16
--model={model}
--treatments={treatments}
--seeds=0,1
--target_epochs=1
--target_batch_size=8
--evaluator=cnn
--evaluator_options=width=0.125
--evaluator_epochs=1
--evaluator_batch_size=8
--prior_steps=3
--prior_width=2
--classes=3
--attack=ppa:preset=small:steps=2:candidates=3:final=2:latents=8:draws=2
"""
VIT = 'vit6\n--model_options=patch=8,heads=1,head_dim=8'
PAPER = """
[small]
mi_table1_big = "mi_table1_net"

[[row]]
table = "1"
net = "Net"
run = "mi_table1_big"
treatment = "none"
accuracy = 90.0
att_acc = 80.0

[[row]]
table = "1"
net = "Net"
run = "mi_table1_big"
treatment = "rolss"
accuracy = 88.0
att_acc = 60.0
delta = 10.0

[[finding]]
name = "helps"
text = "Skips help."
kind = "falls"
column = "att_acc1"
runs = ["mi_table1_big"]
before = ["none"]
after = ["rolss"]
margin = 0.02

[[finding]]
name = "fusion"
text = "Fusion changes nothing."
kind = "equal"
column = "att_acc1"
runs = ["mi_repvgg"]
against = ["mi_fused"]
before = ["none"]
after = ["none"]
margin = 0.02
"""


def write_flagfile(folder, name, note, model, treatments):
  text = COMMON.format(note=note, model=model, treatments=treatments)
  (folder / 'flagfiles' / f'{name}.cfg').write_text(text)


@pytest.fixture
def folder(tmp_path, monkeypatch):
  """A table of two runs and a net that can be fused, all of them tiny."""
  short = functools.partial(vit.ViT, depth=2)
  known = dataclasses.replace(models.info('vit6'), factory=short)
  monkeypatch.setitem(models.MODELS, 'vit6', known)
  (tmp_path / 'flagfiles').mkdir()
  (tmp_path / 'paper').mkdir()
  (tmp_path / 'paper' / 'skips.toml').write_text(PAPER)
  write_flagfile(tmp_path, 'mi_table1_net_small', 'Twin a.', VIT, 'none,rolss')
  write_flagfile(tmp_path, 'mi_table1_net_more_small', 'Twin b.', VIT, 'ssf')
  write_flagfile(tmp_path, 'mi_other_small', 'Not it.', VIT, 'none')
  net = 'repvgg_a0\n--model_options=width=0.03125'
  write_flagfile(tmp_path, 'mi_repvgg_small', 'Fused.', net, 'none')
  return tmp_path


def make_options(folder, **changes):
  given = {
    'table': '1',
    'figure': None,
    'finding': None,
    'plan': False,
    'scale': 'small',
    'root': str(folder / 'runs'),
    'data_dir': None,
    'seeds': None,
  }
  return types.SimpleNamespace(**given | changes)


def test_a_plan_writes_nothing_and_counts_once_what_runs_share(folder, capsys):
  options = make_options(folder, plan=True)
  assert reproduce_skips.reproduce(options, folder) == 0
  out = capsys.readouterr().out
  assert 'mi_table1_net_small: Twin a.' in out
  assert 'mi_table1_net_more_small: Twin b.' in out
  assert 'Not it.' not in out
  assert out.count('\nevaluator') == out.count('\ngenerator') == 1
  assert out.count('on two quiet cores, computed and not measured') == 2
  assert not (folder / 'runs').exists()


@pytest.mark.ci
def test_a_table_is_run_set_beside_the_paper_and_judged(folder, capsys):
  assert reproduce_skips.reproduce(make_options(folder), folder) == 0
  out = capsys.readouterr().out
  root = folder / 'runs'
  assert '\nmi_table1_net_more_small: Twin b.\nmi_table1_net_small: Twin a.\n\n' in out
  lines = out[out.index('\nnet ') :].splitlines()
  assert lines[2].split()[:3] == ['Net', 'none', '90.00']
  assert lines[3].split()[:3] == ['Net', 'rolss', '88.00']
  # Targets of one epoch decide nothing, and the runs of RepVGG are missing.
  assert 'Skips help. Cannot decide: ' in out
  assert 'Cannot decide: The run mi_repvgg_small is missing.' in out
  table = list(csv.DictReader((root / 'claims.csv').read_text().splitlines()))
  assert [line['finding'] for line in table] == ['helps', 'fusion']
  assert (root / 'mi_table1_net_small' / 'comparison.txt').read_text() in out
  page = (root / 'mi_table1_net_small' / 'report' / 'index.html').read_text()
  assert 'Beside the paper' in page
  assert 'Skips help. Cannot decide' in page
  runs = reproduce_skips.read_runs(root)
  assert [len(runs[name].rows) for name in sorted(runs)] == [2, 4]
  # The second run was given what the first one by name trained, and judges alike.
  judges = {row['evaluator_accuracy'] for study in runs.values() for row in study.rows}
  assert len(judges) == 1
  first, second = (Workdir(root / name) for name in sorted(runs))
  taken = results.read_object(second.config)
  assert taken['evaluator_from'] == taken['prior_from'] == str(first)
  priors = [safetensors.numpy.load_file(each.generator) for each in (first, second)]
  chex.assert_trees_all_equal(*priors)

  claims = (root / 'claims.csv').read_text()
  assert reproduce_skips.reproduce(make_options(folder), folder) == 0
  assert '4 of 4 rows are there already' in capsys.readouterr().out
  assert (root / 'claims.csv').read_text() == claims


@pytest.mark.slow
def test_fused_nets_are_attacked_beside_those_that_were_trained(folder, capsys):
  options = make_options(folder, table=None, finding='fusion')
  assert reproduce_skips.reproduce(options, folder) == 0
  assert 'Fusion changes nothing. ' in capsys.readouterr().out
  runs = reproduce_skips.read_runs(folder / 'runs')
  assert sorted(runs) == ['mi_fused_0_small', 'mi_fused_1_small', 'mi_repvgg_small']
  for seed in (0, 1):
    plain = runs['mi_repvgg_small'].rows[seed]
    (fused,) = runs[f'mi_fused_{seed}_small'].rows
    assert 'fused=True' in fused['model_options']
    assert fused['lane_id'] == plain['lane_id']
    for column in ('target_accuracy', 'confidence', 'delta_eval'):
      assert fused[column] == pytest.approx(plain[column], rel=1e-3)


@pytest.mark.parametrize(
  ('changes', 'message'),
  [
    ({'table': None}, 'give one of --table and --finding'),
    ({'finding': 'helps'}, 'give one of --table and --finding'),
    ({'table': '2'}, "table '2' is not known"),
    ({'table': None, 'finding': 'hepls'}, "did you mean 'helps'"),
    ({'figure': '3'}, 'figures of this paper'),
    ({'scale': 'full'}, 'has no flagfile of mi_table1_big'),
  ],
  ids=str,
)
def test_what_the_paper_has_not_is_refused(folder, changes, message):
  with pytest.raises(InputError, match=message):
    reproduce_skips.reproduce(make_options(folder, **changes), folder)


def test_a_copy_of_a_run_is_refused_before_anything_is_trained(folder):
  names = ('mi_table1_net_small', 'mi_table1_net_old_small')
  for name in names:
    (folder / 'runs' / name).mkdir(parents=True)
    rows = [made_up_inversions.make_inversion(0.9, 0.5)]
    made_up_inversions.write(folder / 'runs' / name, rows)
  with pytest.raises(InputError, match='mi_table1_net_small both hold ppa on alpha 0'):
    reproduce_skips.reproduce(make_options(folder), folder)
  assert sorted(path.name for path in (folder / 'runs').iterdir()) == sorted(names)


def test_data_that_is_missing_stops_one_run_only(folder, capsys):
  path = folder / 'flagfiles' / 'mi_table1_net_small.cfg'
  path.write_text(path.read_text().replace('private32_4x8', 'private32_1x1'))
  assert reproduce_skips.reproduce(make_options(folder, plan=True), folder) == 2
  out, err = capsys.readouterr()
  assert err.startswith('reproduce: mi_table1_net_small: ')
  assert 'Twin b.' in out


def test_flags_of_the_second_paper_need_it():
  done = forked.run('reproduce', '--table=4', '--plan')
  assert (done.returncode, done.stdout) == (2, '')
  assert done.stderr == (
    'reproduce: --plan needs --paper=skips; leave it out, or give both\n'
  )
  done = forked.run('reproduce', '--paper=skip')
  assert "did you mean 'skips'" in done.stderr


def test_every_run_of_the_paper_has_flagfiles_of_both_sizes():
  folder = reproduce_skips.FOLDER
  paper = tradeoff.read_paper(folder / 'paper' / 'skips.toml')
  for scale in (paper, paper.at_small_scale()):
    for name in scale.list_runs():
      found = reproduce_skips.list_flagfiles(folder, [name])
      assert all(isinstance(path, pathlib.Path) for path in found)
