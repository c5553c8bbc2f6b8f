"""Sweeps of models of the user's own, and which of them are refused."""

import dataclasses

import pytest
import tiny

from gpz_jax import sweep
from gpz_jax.sweep.verify import verify
from gpz_jax.types import InputError

pytestmark = pytest.mark.usefixtures('blank_charts')


@pytest.mark.ci
def test_a_sweep_of_all_of_it_is_computed_again_bit_for_bit(tmp_path, capfd):
  kinds = 'noise+constants+boxed+vmap+scan'
  config = tiny.sweep_config(
    tmp_path / 'run',
    model='own_models:Own',
    model_options=(f'kinds={kinds}',),
    splits=('*o*', 'scan'),
  )
  rows = sweep.run(config).rows
  assert [row['split'] for row in rows] == ['scan', 'body']
  assert 'left out rows: a transform such as nn.vmap' in capfd.readouterr().out
  verdict = verify(tmp_path / 'run', sample=2)
  assert not verdict.problems
  assert (verdict.rescored.done, verdict.rescored.inexact) == (2, 0)


@pytest.mark.parametrize(
  ('changes', 'message'),
  [
    ({'model': 'own_models:Moving'}, 'in training .*collection "memory" is immutable'),
    ({'model': 'own_models:LateMemory'}, 'in training .*memory'),
    ({'model': 'own_models:Growing'}, 'other batch_stats in training'),
    ({'model': 'own_models:Secret'}, 'keeps a random key in a collection'),
    ({'model': 'tiny:Counting'}, 'in evaluation .*collection "batch_stats"'),
    ({'model': 'own_calls:Counting'}, 'in training .the variable calls is'),
    ({'model': 'tiny:Late'}, 'other batch_stats in training'),
    (
      {
        'model': 'own_models:Own',
        'model_options': ('kinds=vmap',),
        'splits': ('rows',),
      },
      "split 'rows' cannot be sent: a transform such as nn.vmap",
    ),
    (
      {
        'model': 'own_models:Own',
        'model_options': ('kinds=shared',),
        'splits': ('body', 'tw*'),
      },
      "split 'twice' cannot be sent: it is called more than once",
    ),
  ],
)
def test_a_refusal_is_one_line_and_leaves_no_workdir(tmp_path, changes, message):
  changes = {'model_options': (), 'splits': ('*',)} | changes
  config = tiny.sweep_config(tmp_path / 'run', **changes)
  with pytest.raises(InputError, match=message) as caught:
    sweep.run(config, quiet=True)
  assert '\n' not in str(caught.value)
  assert not (tmp_path / 'run').exists()


def said(capfd, config) -> str:
  """What a sweep prints, and that it has a row of every split."""
  found = sweep.run(config)
  assert [row['status'] for row in found.rows] == ['done'] * len(found.rows)
  return capfd.readouterr().out


@pytest.mark.ci
def test_a_sweep_of_a_wrapped_net_with_deterministic(tmp_path, capfd):
  config = tiny.sweep_config(
    tmp_path / 'run',
    model='own_calls:wrapped',
    model_options=(),
    splits=('*',),
    target_learning_rate=0.01,
  )
  text = said(capfd, config)
  assert 'the splits are those of net, which the model wraps' in text
  assert (
    'targets of own_calls:wrapped train by the recipe default: adam (betas 0.9 and'
    ' 0.999), learning rate 0.01 times 0.5'
  ) in text
  rows = sweep.run(config, quiet=True).rows
  assert [row['split'] for row in rows] == ['net/first', 'net/second']
  assert not verify(tmp_path / 'run', sample=1).problems


def test_a_sweep_of_one_output_of_several(tmp_path, capfd):
  config = tiny.sweep_config(
    tmp_path / 'run',
    model='own_calls:Several',
    model_options=('form=dict',),
    splits=('stem',),
  )
  message = 'returns a dict of features, logits; choose .* --model_output=features'
  with pytest.raises(InputError, match=message) as caught:
    sweep.run(config, quiet=True)
  assert '\n' not in str(caught.value)
  assert not (tmp_path / 'run').exists()
  config = dataclasses.replace(config, model_output='logits')
  said(capfd, config)
  assert '--model_output=logits\n' in (tmp_path / 'run' / 'run.flags').read_text()
  assert not verify(tmp_path / 'run', sample=1).problems
  other = dataclasses.replace(config, model_output='features')
  with pytest.raises(InputError, match='model_output is'):
    sweep.run(other, quiet=True)


@pytest.mark.parametrize('form', ['tuple', 'dataclass'])
def test_outputs_of_any_kind_are_named_in_one_line(tmp_path, form):
  config = tiny.sweep_config(
    tmp_path / 'run', model='own_calls:Several', model_options=(f'form={form}',)
  )
  words = {'tuple': r'tuple of 0, 1; .*=0$', 'dataclass': r'Found of logits, name; .*'}
  with pytest.raises(InputError, match=words[form]):
    sweep.run(config, quiet=True)


@pytest.mark.ci
def test_a_sweep_of_an_nnx_module_is_computed_again_bit_for_bit(tmp_path, capfd):
  config = tiny.sweep_config(
    tmp_path / 'run', model='own_calls:Twice', model_options=(), splits=('units_*',)
  )
  said(capfd, config)
  verdict = verify(tmp_path / 'run', sample=2)
  assert not verdict.problems
  assert (verdict.rescored.done, verdict.rescored.inexact) == (2, 0)


@pytest.mark.ci
def test_a_sweep_of_a_sequential(tmp_path, capfd):
  config = tiny.sweep_config(
    tmp_path / 'run',
    model='own_calls:sequential',
    model_options=(),
    splits=('layers_0', 'layers_3'),
    test_limit=6,
  )
  said(capfd, config)
