"""What cannot be planned leaves the workdir as it was: absent, empty or begun."""

import pytest
from refused import begin, make_config, refuse, tree

from gpz_jax.types import InputError

# What no config can hold: refused before the workdir is looked at.
VALUES = {
  'alphas': ('x', '2', '', '0,0', 'nan'),
  'seeds': ('-1', '0,0', '1.5', str(2**31)),
  'data_seed': ('-1',),
  'image_size': ('10', '2000'),
  'train_limit': ('0',),
  'val_limit': ('0',),
  'test_limit': ('0',),
  'aux_limit': ('0', str(2**31)),
  'model': ('resnet', 'nothing'),
  'model_options': ('width', '=1', 'num_classes=3'),
  'expect_accuracy': ('0.5', '93'),
  'smoothing': ('other',),
  'target_recipe': ('other',),
  'target_epochs': ('0',),
  'target_batch_size': ('1', '100000'),
  'target_learning_rate': ('0', 'inf'),
  'jitter': ('1',),
  'shift': ('-1',),
  'strategy': ('other', 'chunk:0'),
  'conv': ('other',),
  'precision': ('other',),
  'save_seconds': ('-1',),
  'splits': ('', 'a,a'),
  'attack': (
    'other',
    'inversion:input=other',
    'inversion:enhance=other',
    'inversion:enhance=nn_concat+nn_residual',
    'inversion:enhance=nn_concat+normalize_input',
    'inversion:attention=other',
    'inversion:attention=se+se',
    'inversion:decoder=other',
    'inversion:act=other',
    'inversion:width=-1',
    'inversion:at=stem:at=sum',
    'inversion:input=prediction:at=stem',
    'rmle:steps=0',
    'rmle:steps=many',
    'rmle:images=0',
    'rmle:tv=-1',
    'rmle:l2=1e39',
    'rmle:learning_rate=0',
    'rmle:other=1',
    'rmle,rmle',
  ),
  'decoder_epochs': ('0',),
  'decoder_batch_size': ('1',),
  'decoder_learning_rate': ('0',),
  'decoder_schedule': ('steps',),
  'selection': ('other',),
  'activation_dtype': ('other',),
  'cache': ('other',),
  'cache_budget_gb': ('0',),
  'theory_limit': ('8',),
  'theory_every': ('0',),
  'max_edge_params': ('-1',),
  'max_edge_flops': ('-1',),
  'max_payload_bytes': ('nan',),
  'min_accuracy': ('93',),
  'private_enough': ('other', '0', 'nan', '2'),
  'judge_model': ('other',),
  'judge_options': ('width', 'skips=1110'),
  'no_such_flag': ('1',),
  'flagfile': ('missing.cfg',),
}
TOGETHER = (
  {'tune': 'true', 'conv': 'gemm'},
  {'target_weights': 'a.pth', 'targets_from': 'b'},
)

# What a plan refuses: the changed flags, and what the message says.
PLANS = {
  'dataset': ({'dataset': 'cifar11'}, "unknown dataset 'cifar11'"),
  'dataset name': ({'dataset': '../x'}, 'is not a dataset name'),
  'config': ({'dataset': 'shapes/1_low'}, 'has no config'),
  'not prepared': ({'dataset': 'mnist', 'data_dir': '{empty}'}, 'no prepared data'),
  'no images': ({'dataset': 'folder:{empty}'}, 'has no folder train or test'),
  'one label': ({'dataset': 'folder:{one_label}'}, 'at least 2 are needed'),
  'few images': ({'dataset': 'folder:{few}'}, 'are too few to divide'),
  'broken image': ({'dataset': 'folder:{broken}'}, 'is not a readable'),
  'sizes': ({'dataset': 'folder:{sizes}', 'image_size': ''}, 'set image_size'),
  'small images': ({'image_size': ''}, 'set --image_size to 11'),
  'aux is itself': ({'aux_dataset': 'folder:{images}'}, 'is the dataset itself'),
  'aux dataset': ({'aux_dataset': 'cifar11'}, "unknown dataset 'cifar11'"),
  'aux exclude': ({'aux_exclude': '{empty}/list'}, 'cannot read aux_exclude'),
  'one aux image': ({'aux_limit': 1}, '--aux_limit must leave 2'),
  'devices': ({'devices': 99}, 'devices=99 is not allowed'),
  'model import': ({'model': 'no_module:X'}, 'cannot be imported'),
  'model attribute': ({'model': 'tiny:Absent'}, 'cannot be imported'),
  'no model': ({'model': 'tiny:task'}, "model 'tiny:task' cannot be made"),
  'no module': ({'model': 'tiny:dataset', 'model_options': 'seed=1,count=3'}, 'model'),
  'model option': ({'model': 'cnn', 'model_options': 'widht=2'}, 'has no option'),
  'option word': ({'model': 'cnn', 'model_options': 'normalization=x'}, 'is not known'),
  'width': ({'model': 'cnn', 'model_options': 'width=-1'}, 'model'),
  'huge model': ({'model': 'cnn', 'model_options': 'width=900'}, 'make it smaller'),
  'image of model': ({'model': 'vgg11'}, 'vgg11'),
  'more than images': ({'model': 'tiny:Stubborn'}, 'cannot be called as'),
  'output': ({'model_output': '1'}, 'the model returns one array'),
  'output of ours': (
    {'model': 'cnn', 'model_output': '1'},
    'is for models of your own',
  ),
  'logits': ({'model': 'tiny:Wide'}, 'must have parameters and return logits'),
  'counter': ({'model': 'tiny:Counting'}, 'not called in evaluation'),
  'late statistics': ({'model': 'tiny:Late'}, 'has other batch_stats in training'),
  'counting': ({'model': 'tiny:Counting'}, 'not called in evaluation'),
  'late': ({'model': 'tiny:Late'}, 'has other batch_stats in training'),
  'no weights': ({'target_weights': '{empty}/a.pth'}, 'no such file'),
  'no format': ({'target_weights': '{images}/train/a/0.png'}, 'is not known'),
  'two targets': (
    {'target_weights': '{empty}/a.pth', 'seeds': '0,1'},
    'is one target; give one value each',
  ),
  'foreign weights': ({'model': 'cnn', 'target_weights': '{weights}'}, 'weights'),
  'no study': ({'targets_from': '{empty}'}, 'holds no study'),
  'other targets': ({'targets_from': '{other}'}, 'has other targets'),
  'targets lack': ({'targets_from': '{same}'}, 'lacks the targets of 1 of 1'),
  'split': ({'splits': 'stam'}, "did you mean 'stem'"),
  'split where': ({'split_where': 'x/*'}, 'meets no module'),
  'paper splits': ({'splits': 'paper'}, 'the paper attacks'),
  'false cut': ({'splits': 'left'}, 'is not a true cut'),
  'only false cuts': ({'splits': 'lef*'}, 'nothing is left to attack'),
  'fits nowhere': (
    {'attack': 'inversion,inversion:input=cls', 'splits': '*'},
    "'inversion:input=cls' cannot be used at any of the splits chosen for it",
  ),
  'own decoder': (
    {'attack': 'inversion,inversion:decoder=tiny:typo', 'splits': '*'},
    "decoder 'tiny:typo' cannot be imported",
  ),
  'own loss': (
    {'attack': 'inversion,inversion:loss=tiny:typo', 'splits': '*'},
    "loss 'tiny:typo' cannot be imported",
  ),
  'at': ({'attack': 'inversion:at=sum'}, "--splits does not choose 'sum'"),
  'at nowhere': ({'attack': 'inversion:at=other'}, "split 'other' is not in"),
  'tokens': ({'attack': 'inversion:input=cls'}, "at split 'stem'"),
  'search of all': ({'attack': 'rmle:images=99'}, 'images=99 is more than the'),
  'own attack': ({'attack': 'no_module:X'}, 'cannot be imported'),
  'no attack': ({'attack': 'tiny:task'}, 'give a subclass'),
  'own options': ({'attack': 'tiny:task:other=1'}, 'cannot be made with options'),
  'judge': ({'judge': '{empty}'}, 'holds no evaluator'),
  'judge of a kind': ({'judge': '{weights}'}, 'say by --judge_model'),
  'judge weights': ({'judge': '{weights}', 'judge_model': 'cnn'}, '--judge='),
  'theory': ({'theory': 'true'}, 'at least 512 training images'),
  'compile cache': ({'compile_cache': '/dev/null/x'}, '--compile_cache'),
  'profile': ({'profile': '/dev/null/x'}, '--profile'),
}


@pytest.mark.parametrize('name', VALUES)
def test_a_value_that_is_not_allowed_leaves_everything(name, places, tmp_path):
  begin(make_config(places, tmp_path / 'run'))
  before = tree(tmp_path)
  for value in VALUES[name]:
    for workdir in ('run', 'absent'):
      with pytest.raises(InputError):
        make_config(places, tmp_path / workdir, **{name: value})
    assert tree(tmp_path) == before, value


@pytest.mark.parametrize('changes', TOGETHER, ids=' '.join)
def test_values_that_do_not_go_together_leave_everything(changes, places, tmp_path):
  with pytest.raises(InputError):
    make_config(places, tmp_path / 'absent', **changes)
  assert tree(tmp_path) == {}


@pytest.mark.parametrize('case', PLANS)
def test_what_cannot_be_planned_leaves_the_workdir_as_it_was(
  case, places, tmp_path, monkeypatch
):
  monkeypatch.setenv('XDG_CACHE_HOME', str(places['empty'].parent / 'cache'))
  changes, message = PLANS[case]
  assert message in refuse(make_config(places, tmp_path / 'absent', **changes))
  assert tree(tmp_path) == {}
  (tmp_path / 'empty').mkdir()
  refuse(make_config(places, tmp_path / 'empty', **changes))
  assert tree(tmp_path) == {'empty': None}
  begun = make_config(places, tmp_path / 'begun', **changes)
  begin(begun)
  before = tree(tmp_path)
  assert message in refuse(begun)
  assert tree(tmp_path) == before
