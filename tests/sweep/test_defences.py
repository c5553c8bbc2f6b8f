"""Defences in a sweep: the config, what is refused first, and one run of all kinds."""

import dataclasses
import sys
import types

import pytest
import tiny

from gpz_jax import defences, results, sweep
from gpz_jax.study.verify import Rescored
from gpz_jax.study.workdir import Workdir
from gpz_jax.sweep import SweepConfig, make_plan, probe
from gpz_jax.sweep import rescore as rescore_lib
from gpz_jax.types import InputError, Lane, Treatment

pytestmark = pytest.mark.usefixtures('blank_charts', 'short_resnet')


def test_treatments_are_the_product_with_defences():
  config = SweepConfig(alphas=(0.0, 0.3), defence=('none', 'bido:ly=0.5:lx=1.0'))
  assert config.defence == ('none', 'bido:lx=1')
  assert [str(lane.treatment) for lane in config.list_lanes()] == [
    'alpha 0',
    'alpha 0, defence bido:lx=1',
    'alpha 0.3',
    'alpha 0.3, defence bido:lx=1',
  ]
  bare = Lane('vgg11', 'shapes', Treatment(0.0), 0)
  assert config.list_lanes()[0].lane_id == bare.lane_id


@pytest.mark.parametrize(
  ('changes', 'message'),
  [
    ({'defence': ('bidoo',)}, "defence 'bidoo' is not known; did you mean 'bido'"),
    ({'defence': ('bido', 'bido:lx=0.05')}, 'give no two that are the same'),
    ({'defence': ()}, r'--defence=\(\) is not allowed; give at least one value'),
    ({'batches': '16'}, '--batches=16 is not allowed; give classes x examples'),
    (
      {'batches': '16x4', 'target_batch_size': 64},
      '--batches=16x4 is not allowed; give that or --target_batch_size, not both',
    ),
  ],
)
def test_bad_fields_are_one_line(changes, message):
  with pytest.raises(InputError, match=message) as caught:
    SweepConfig(**changes)
  assert '\n' not in str(caught.value)


def test_batches_give_the_batch_size():
  assert SweepConfig(batches='16x4').make_target_recipe().batch_size == 64


@pytest.mark.parametrize(
  ('changes', 'message'),
  [
    (
      {'defence': ('bido:at=conv_9',)},
      "defence 'bido:at=conv_9': split 'conv_9' is not in the model; did you mean 'con",
    ),
    ({'defence': ('noise:at=conv_9',)}, "split 'conv_9' is not in the model"),
    ({'defence': ('none', 'vib')}, 'changes the layers of the model'),
    ({'defence': ('tl:frozen=7',)}, 'freezes 7 stages, and the model has 4'),
    ({'defence': ('noise',), 'theory': True}, "--theory meas.*'noise' changes what is"),
    (
      {'defence': ('noise',), 'theory_every': 1},
      "--theory_every meas.*'noise' changes",
    ),
    (
      {'batches': '99x2', 'target_batch_size': None},
      '--batches=99x2 asks for 99 classes in a batch, and the targets are trained on',
    ),
  ],
)
def test_what_does_not_fit_is_refused_before_anything_is_trained(
  changes, message, tmp_path
):
  config = tiny.sweep_config(tmp_path / 'run', **changes)
  with pytest.raises(InputError, match=message) as caught:
    make_plan(config)
  assert '\n' not in str(caught.value)
  assert not (tmp_path / 'run').exists()


def test_a_probe_of_what_is_not_sent_is_refused(tmp_path, monkeypatch):
  # The model of this test is never made: the refusal comes first.
  monkeypatch.setattr(probe, 'opened', lambda *args, **kwargs: pytest.fail('too late'))
  for texts in (('noise',), ('none', 'dropout')):
    config = tiny.sweep_config(tmp_path / 'run', defence=texts)
    with pytest.raises(InputError, match=r'gpz-probe meas.*changes what is') as caught:
      probe.probe(config, quiet=True)
    assert '\n' not in str(caught.value)
  assert not (tmp_path / 'run').exists()


@dataclasses.dataclass(frozen=True)
class Dim(defences.Defence):
  """Sends every activation at a share of its size."""

  share: float = 0.5

  traced = ('share',)

  def send(self, activation, key):
    return self.share * activation


@pytest.fixture(scope='module')
def finished(tmp_path_factory):
  """A sweep of skips and defences on a narrow ResNet."""
  module = types.ModuleType('users')
  module.Dim = Dim
  with pytest.MonkeyPatch.context() as patch:
    patch.setitem(sys.modules, 'users', module)
    config = tiny.sweep_config(
      tmp_path_factory.mktemp('defences') / 'run',
      model='resnet18',
      splits=('layer4_0',),
      attack=('inversion', 'inversion:input=prediction'),
      skips=('1111', '1110'),
      defence=('none', 'bido', 'noise:sigma=5', 'users:Dim:share=1.0'),
      batches='2x4',
      target_batch_size=None,
      decoder_epochs=2,  # the second one with another draw of the noise
    )
    yield sweep.run(config, quiet=True), config


@pytest.mark.ci
def test_a_sweep_compares_skips_and_defences(finished):
  found, _ = finished
  rows = found.rows
  assert len(rows) == 2 * 4 * 2
  assert {row['status'] for row in rows} == {'done'}
  treatments = results.list_treatments(rows)
  assert len(treatments) == 8
  assert {(each.skips, each.defence) for each in treatments} == {
    (skips, defence)
    for skips in ('intact', '1110')
    for defence in ('none', 'bido', 'noise:sigma=5', 'users:Dim:share=1.0')
  }
  assert found.report.is_file()


@pytest.mark.ci
def test_accuracy_is_that_of_what_is_sent(finished):
  rows = {(row['skips'], row['defence'], row['split']): row for row in finished[0].rows}
  for (skips, defence, split), row in rows.items():
    assert 0 <= row['target_accuracy'] <= 1
    if defence == 'users:Dim:share=1.0' and split != 'prediction':
      # what is sent as it was is as good as the answer itself
      answer = rows[skips, defence, 'prediction']
      assert row['target_accuracy'] == answer['target_accuracy']


@pytest.mark.ci
def test_rows_are_scored_again_as_they_were(finished):
  found, config = finished
  rescored = Rescored()
  problems = rescore_lib.rescore(
    Workdir(config.workdir), config, found.rows, rescored, sample=3
  )
  assert list(problems) == []
  assert rescored.done == 3
