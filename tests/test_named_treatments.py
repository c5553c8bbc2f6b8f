"""--treatments names what alphas, skips and defences say, and combinations of them."""

import dataclasses

import pytest

from gpz_jax import treatments
from gpz_jax.commands import model_inversion as inversion_flags
from gpz_jax.commands import sweep as sweep_flags
from gpz_jax.model_inversion import ModelInversionConfig
from gpz_jax.study.serialization import from_json, to_flags, to_json
from gpz_jax.sweep import SweepConfig
from gpz_jax.types import InputError, Treatment

ISSUE = 'none,rolss,ssf:0.01,bido,alpha:0.3,rolss+bido'
EXPECTED = [
  Treatment(),
  Treatment(skips='1110'),
  Treatment(skips='1111/0.01'),
  Treatment(defence='bido'),
  Treatment(alpha=0.3),
  Treatment(skips='1110', defence='bido'),
]


def list_lanes(config):
  return [lane.treatment for lane in config.list_lanes()]


@pytest.mark.parametrize(
  ('text', 'model', 'expected'),
  [
    ('none', 'vgg11', Treatment()),
    ('rolss', 'resnet18', Treatment(skips='1110')),
    ('rolss', 'efficientnet_b0', Treatment(skips='11110')),
    ('ssf', 'resnet18', Treatment(skips='1111/0.2')),
    ('ssf', 'densenet121', Treatment(skips='1111/0.01')),
    ('tts', 'resnet18', Treatment(skips='1110@5')),
    ('tts:2', 'resnet18', Treatment(skips='1110@2')),
    ('0111', 'resnet18', Treatment(skips='0111')),
    ('111l', 'resnet18', Treatment(skips='111l')),
    ('alpha:-0.05', 'vgg11', Treatment(alpha=-0.05)),
    ('bido:ly=2:lx=0.1', 'vgg11', Treatment(defence='bido:lx=0.1:ly=2')),
    (
      'bido+ssf+alpha:0.3',
      'resnet18',
      Treatment(alpha=0.3, skips='1111/0.2', defence='bido'),
    ),
  ],
)
def test_a_name_is_a_treatment(text, model, expected):
  found = treatments.parse(text, model)
  assert found == expected
  assert treatments.parse(treatments.write(found)) == found


def test_both_studies_have_the_same_lanes_in_the_order_of_the_names():
  arguments = ['--model=resnet18', f'--treatments={ISSUE}', '--seeds=0,1']
  arguments.append('--dataset=portraits/private32_50x60')
  studies = [
    parse([*arguments])
    for parse in (sweep_flags.parse_config, inversion_flags.parse_config)
  ]
  first, second = (config.list_lanes() for config in studies)
  assert [lane.lane_id for lane in first] == [lane.lane_id for lane in second]
  assert [lane.treatment for lane in first[::2]] == EXPECTED


@pytest.mark.parametrize(
  ('names', 'flags'),
  [
    (('none', 'rolss', 'ssf'), {'skips': ('1111', '1110', '1111/0.2')}),
    (
      ('none', 'bido', 'rolss', 'alpha:0.3'),
      {
        'alphas': (0.0, 0.3),
        'skips': ('intact', '1110'),
        'defence': ('none', 'bido'),
        'one_at_a_time': True,
      },
    ),
    (
      ('none', 'bido', 'rolss', 'rolss+bido'),
      {'skips': ('intact', '1110'), 'defence': ('none', 'bido')},
    ),
  ],
)
def test_names_that_other_flags_can_say_give_the_config_of_those(names, flags):
  assert ModelInversionConfig(treatments=names) == ModelInversionConfig(**flags)


def test_combinations_survive_files_and_changes(tmp_path):
  config = SweepConfig(model='resnet18', treatments=tuple(ISSUE.split(',')))
  assert config.skips == ('intact', '1110', '1111/0.01')
  assert config.alphas == (0.0, 0.3)
  assert from_json(SweepConfig, to_json(config)) == config
  path = tmp_path / 'run.flags'
  path.write_text(to_flags(config))
  assert sweep_flags.parse_config([f'--flagfile={path}']) == config
  other = dataclasses.replace(config, seeds=(3,))
  assert list_lanes(other) == list_lanes(config) == EXPECTED


@pytest.mark.parametrize(
  ('names', 'message'),
  [
    (('rols',), "'rols' is not known; did you mean 'rolss'"),
    (('none+rolss',), 'leave it out'),
    (('rolss+ssf',), 'has two parts about skips'),
    (('rolss', '1110'), "'1110' and 'rolss' are the same"),
    (('rolss:2',), 'give rolss alone'),
    (('tts:0',), "'0' are no epochs"),
    (('alpha',), 'has no number between -1 and 1'),
    (('ssf:1.5',), 'has no number between 0 and 1'),
    (('bido:x=1',), "option 'x=1'"),
    (('12',), 'one character for each stage'),
  ],
)
def test_what_is_no_treatment_is_refused_in_one_line(names, message):
  with pytest.raises(InputError, match=message) as caught:
    ModelInversionConfig(treatments=names)
  assert '\n' not in str(caught.value)


@pytest.mark.parametrize(
  ('model', 'message'),
  [
    ('vgg11', 'vgg11 has none'),
    ('repvgg_a0', 'give 1101'),
    ('my.nets:make', 'is not known before it is made'),
  ],
)
def test_a_name_without_a_meaning_for_the_model_is_refused(model, message):
  with pytest.raises(InputError, match=message):
    ModelInversionConfig(model=model, treatments=('rolss',))


@pytest.mark.parametrize(
  'others',
  [{'skips': ('0111',)}, {'alphas': (0.0, 0.2)}, {'one_at_a_time': True}],
  ids=str,
)
def test_names_and_the_flags_they_replace_are_not_mixed(others):
  with pytest.raises(InputError, match='that or --treatments, not both'):
    ModelInversionConfig(treatments=('none', 'rolss'), **others)
