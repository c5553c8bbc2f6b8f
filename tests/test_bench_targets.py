"""The suite of targets, tiny, and that its peer trains the nets that we train."""

import json
import math

import jax
import jax.numpy as jnp
import pytest
from absl import flags

from gpz_jax.commands import bench
from gpz_jax.commands.benchmarks import targets
from gpz_jax.types import InputError


def run(tmp_path, *arguments):
  values = flags.FlagValues()
  bench.define_flags(values)
  path = tmp_path / 'bench.json'
  given = ['--suite=target', '--batch=2', '--steps=1', '--repeats=1', f'--json={path}']
  values(['bench', *given, *arguments])
  assert bench.run(values) == 0
  return json.loads(path.read_text())


@pytest.mark.ci
def test_lanes_are_trained_beside_those_of_torch(tmp_path):
  pytest.importorskip('torch')
  small = ('--models=resnet18', '--widths=0.0625', '--lanes=3', '--peer=torch')
  (record,) = run(tmp_path, *small)
  assert record['case'] == 'resnet18 x0.0625'
  assert record['lanes'] == 3
  assert record['speedup'] == record['peer_seconds'] / record['seconds']
  work = record['gflops_per_second'] * record['seconds'] * 1e9
  forward = targets.count_operations('resnet18', 0.0625)
  # Forward, the two gradients, 2 images and 3 lanes
  assert work == pytest.approx(3 * 2 * 3 * forward)


@pytest.mark.parametrize('name', targets.MODELS)
def test_the_peer_has_our_targets(name):
  torch = pytest.importorskip('torch')
  from gpz_jax.commands.benchmarks import torch_targets

  with torch.device('meta'):
    theirs = torch_targets.make(name, targets.NUM_CLASSES, 0.25, targets.SIDE).eval()
    logits = theirs(torch.zeros(2, 3, targets.SIDE, targets.SIDE))
  assert logits.shape == (2, targets.NUM_CLASSES)
  image = jax.ShapeDtypeStruct((1, *targets.IMAGE), jnp.float32)
  ours = jax.eval_shape(targets.make_model(name, 0.25).init, jax.random.key(0), image)
  count = sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(ours['params']))
  assert sum(p.numel() for p in theirs.parameters()) == count


@pytest.mark.parametrize(
  ('arguments', 'message'),
  [
    (['--widths=wide'], '--widths=wide is not allowed'),
    (['--widths=0'], '--widths=0 is not allowed'),
    (['--models=vit6'], "model 'vit6' is not known"),
  ],
)
def test_bad_flags_are_refused(tmp_path, arguments, message):
  with pytest.raises(InputError, match=message):
    run(tmp_path, *arguments)
