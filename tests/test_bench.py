"""The benchmark command, tiny, and that its peer computes what we do."""

import json
import math

import jax
import pytest
from absl import flags

from gpz_jax import models, partition
from gpz_jax.attacks.activation import decoders
from gpz_jax.commands import bench
from gpz_jax.commands.benchmarks import estimators, options, records
from gpz_jax.types import InputError


def run(tmp_path, *arguments):
  values = flags.FlagValues()
  bench.define_flags(values)
  path = tmp_path / 'bench.json'
  values(
    ['bench', '--batch=2', '--steps=1', '--repeats=2', f'--json={path}', *arguments]
  )
  status = bench.run(values)
  return status, json.loads(path.read_text()) if path.exists() else None


@pytest.mark.ci
def test_convolutions_are_timed_in_every_way(tmp_path, capsys):
  status, found = run(tmp_path, '--suite=conv', '--case=64x64 64>3', '--lanes=1,2')
  assert status == 0
  assert len(found) == 2 * 5  # lanes, implementations
  assert {r['conv'] for r in found} == {'lax', 'canonical', 'taps', 'gemm', 'scatter'}
  for record in found:
    assert record['seconds'] > 0
    assert record['compile_seconds'] > 0
    # by hand: 2 images of 64x64, 9 taps, 64 > 3 channels, forward and two gradients
    work = 3 * 2 * 2 * 64 * 64 * 9 * 64 * 3 * record['lanes']
    assert record['gflops_per_second'] * record['seconds'] * 1e9 == pytest.approx(work)
    assert record['peak_bytes'] > 4 * record['lanes'] * 2 * 64 * 64 * 64
  assert 'dense 3x3 64x64 64>3' in capsys.readouterr().out


def test_a_decoder_step_beside_torch(tmp_path):
  pytest.importorskip('torch')
  status, found = run(
    tmp_path, '--suite=step', '--case=4x4x512', '--lanes=1', '--peer=torch'
  )
  assert status == 0
  (record,) = found
  assert record['peer_seconds'] > 0
  assert record['speedup'] == record['peer_seconds'] / record['seconds']


@pytest.mark.parametrize(
  ('arguments', 'message'),
  [
    (['--suite=steps'], "suite 'steps' is not known; did you mean 'step'"),
    (['--peer=tensorflow'], "peer 'tensorflow' is not known"),
    (['--lanes=0'], '--lanes=0 is not allowed'),
    (['--strategy=pmap'], "strategy 'pmap' is not known"),
    (['--json=/nowhere/at/all.json'], 'is in no folder'),
  ],
)
def test_bad_flags_are_refused(tmp_path, arguments, message):
  with pytest.raises(InputError, match=message):
    run(tmp_path, *arguments)


def test_the_peer_has_our_decoders():
  pytest.importorskip('torch')
  from gpz_jax.commands.benchmarks import torch_peer

  for activation in options.ACTIVATIONS[:-1]:
    theirs = torch_peer.make_decoder(list(activation), list(options.IMAGE))
    ours = decoders.make(activation, options.IMAGE)
    shapes = jax.eval_shape(
      ours.init, jax.random.key(0), jax.ShapeDtypeStruct((1, *activation), float)
    )
    count = sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(shapes['params']))
    assert sum(p.numel() for p in theirs.parameters()) == count


@pytest.mark.parametrize('name', ['vgg19', 'ir152'])
def test_the_peer_has_our_edges(name):
  torch = pytest.importorskip('torch')
  from gpz_jax.commands.benchmarks import torch_peer

  make = {'vgg19': torch_peer.make_vgg19_edge, 'ir152': torch_peer.make_ir152_edge}
  splits = models.info(name).paper_splits
  model = models.make(name, num_classes=10)
  shapes = partition.list_splits(model, options.IMAGE)
  costs = partition.split_costs(model, options.IMAGE, 10, splits)
  for split in splits:
    edge = make[name](int(split.rpartition('_')[2])).eval().to('meta')
    with torch.device('meta'):
      sent = edge(torch.zeros(1, 3, *options.IMAGE[:2]))
    channels, height, width = sent.shape[1:]
    assert (height, width, channels) == shapes[split].shape
    assert sum(p.numel() for p in edge.parameters()) == costs[split]['edge_params']


def test_medians_of_alternating_runs():
  peer = iter([9.0, 1.0, 2.0, 30.0])
  calls = []
  timing = records.alternate(lambda: calls.append(0), lambda: next(peer), 3)
  assert timing.peer_seconds == 2.0  # the untimed 9 is left out
  assert len(calls) == 4
  assert timing.repeats == 3


def test_the_fastest_way_of_each_convolution_is_kept(tmp_path):
  path = tmp_path / 'choices.json'
  _, found = run(
    tmp_path, '--suite=conv', '--case=64x64 64>3', f'--choices={path}', '--lanes=1'
  )
  (table,) = json.loads(path.read_text()).values()
  by_case = {}
  for record in found:
    by_case.setdefault(record['case'], {})[record['conv']] = record['seconds']
  assert table == {case: min(ways, key=ways.get) for case, ways in by_case.items()}
  timed = [records.Record(**_fields(record)) for record in found]
  assert records.find_fastest(timed[:2]) == {}  # not all that may be the fastest


def _fields(record):
  return {name: value for name, value in record.items() if name != 'speedup'}


def test_estimators_are_held_against_known_truths(tmp_path, monkeypatch, capsys):
  small = {
    'cases': [estimators.CASES['linear d=2 I=1']],
    'networks': (),
  }
  original = estimators.estimators
  monkeypatch.setattr(
    estimators, 'estimators', lambda **options: original(**options, **small)
  )
  status, found = run(tmp_path, '--suite=estimators', '--seeds=3', '--examples=200')
  assert status == 0
  assert 'linear d=2 I=1' in capsys.readouterr().out
  (exact,) = [r for r in found if r['estimator'] == 'information_gaussian']
  assert exact['truth'] == 1
  assert abs(exact['bias']) < 0.2
