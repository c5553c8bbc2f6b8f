"""The fused form of a RepVGG is attacked as the net that was trained."""

import dataclasses
import types

import jax
import numpy as np
import pytest
from tiny_inversion import TINY

from gpz_jax import model_inversion
from gpz_jax.model_inversion import fusing
from gpz_jax.models import calls
from gpz_jax.study import targets as study_targets
from gpz_jax.training import lanes as lanes_lib
from gpz_jax.types import InputError

PLAIN = TINY | {
  'model': 'repvgg_a0',
  'model_options': ('width=0.03125',),
  'treatments': ('none', '1101'),
  'alphas': (0.0,),
  'face_embedding': None,
  'attack': TINY['attack'][:1],
}


def make_config(folder, **changes):
  fields = PLAIN | changes
  return model_inversion.ModelInversionConfig(workdir=str(folder / 'study'), **fields)


@pytest.mark.ci
def test_imported_fused_weights_compute_what_was_trained(tmp_path, monkeypatch):
  config = make_config(tmp_path)
  plan = model_inversion.make_plan(config)
  one = calls.arbitrary_variables(plan.model, (16, 16, 3))
  variables = lanes_lib.stack([one, one])
  found = types.SimpleNamespace(best=types.SimpleNamespace(variables=variables))
  monkeypatch.setattr(study_targets, 'load', lambda plan, workdir: found)
  ((seed, fused),) = fusing.fuse(config, tmp_path / 'shared')  # not the one without
  assert seed == 0
  fused = dataclasses.replace(fused, workdir=str(tmp_path / 'fused'))
  other = model_inversion.make_plan(fused)
  assert [lane.lane_id for lane in other.lanes] == [plan.lanes[0].lane_id]
  weights = lanes_lib.take(other.weights, 0) if _has_lanes(other) else other.weights
  images = np.random.default_rng(0).random((4, 16, 16, 3), np.float32)
  expected, logits = (
    np.asarray(jax.jit(model.apply)(each, images))
    for model, each in ((plan.model, one), (other.model, weights))
  )
  assert expected.std(axis=0).max() > 1e-3 * np.abs(expected).max()
  np.testing.assert_allclose(logits, expected, rtol=1e-3, atol=1e-4)


def _has_lanes(plan):
  return plan.weights['params']['logits']['kernel'].ndim == 3


def test_other_nets_have_no_fused_form(tmp_path):
  config = make_config(tmp_path, model='cnn', model_options=(), treatments=())
  with pytest.raises(InputError, match='has no fused form'):
    next(fusing.fuse(config, tmp_path))
