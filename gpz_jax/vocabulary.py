"""The words that a config may hold, and nothing that needs JAX.

A command must read its flags and answer --help before JAX is imported, which takes
seconds. So each list stands here and not in the module that is named beside it, which
says what the words mean. `tests/test_vocabulary.py` holds the two together.
"""

from typing import Literal, get_args

# models.table: each model, and the recipe that its targets are trained by, which is a
# key of training.recipe.TARGET_RECIPES.
MODELS = {
  'cnn': 'ir',
  'vgg11': 'vgg',
  'vgg13': 'vgg',
  'vgg16': 'vgg',
  'vgg19': 'vgg',
  'ir50': 'ir',
  'ir100': 'ir',
  'ir152': 'ir',
  'resnet18': 'ir',
  'resnet34': 'ir',
  'resnet50': 'ir',
  'resnet101': 'ir',
  'resnet152': 'ir',
  'densenet121': 'default',
  'densenet161': 'default',
  'densenet169': 'default',
  'densenet201': 'default',
  'repvgg_a0': 'default',
  'repvgg_b0': 'default',
  'vit6': 'vit',
  'vit_b_16': 'vit',
  'efficientnet_b0': 'default',
  'maxvit_t': 'default',
  'inception_v3': 'default',
}
OWN_MODEL = 'default'  # the recipe of package.module:factory

# attacks.activation.specs
ATTACKS = ('inversion', 'rmle', 'query_free', 'generator')

# attacks.model.specs
MODEL_ATTACKS = (
  'ppa',
  'ifgmi',
  'gmi',
  'kedmi',
  'lomma_gmi',
  'lomma_kedmi',
  'plg',
  'brep',
)

# defences.specs
DEFENCES = ('none', 'bido', 'vib', 'tl', 'cem', 'noise', 'dropout')

# zone.bars: what is private enough, and the rung of metrics.ladder that it means
PRIVATE_ENOUGH = {
  '2x2': 'thumbnail_2',
  '4x4': 'thumbnail_4',
  '8x8': 'thumbnail_8',
  'one_colour': 'mean_colour',
  'class_mean': 'class_mean',
  'mean_image': 'mean_image',
}

# targets: conventions of smoothed labels
Convention = Literal['standard', 'code', 'table1']
CONVENTIONS: tuple[Convention, ...] = get_args(Convention)

# training.lanes and training.engine
STRATEGIES = ('auto', 'map', 'vmap', 'unroll', 'chunk:K')
PRECISIONS = ('auto', 'float32', 'bfloat16')

# models.convolutions: the ways to compute one. An upsampling has more of them, but what
# a user can ask for serves both kinds.
DENSE = ('lax', 'canonical', 'taps', 'gemm', 'scatter')
CONVOLUTIONS = ('auto', *DENSE)

# attacks.activation.interception: where activations are kept
Place = Literal['device', 'host', 'disk']
PLACES: tuple[Place, ...] = get_args(Place)

# metrics: the side of the window of SSIM in pixels, which an image must hold.
# Wang et al. 2004: a Gaussian window of 11 with sigma 1.5.
SSIM_WINDOW = 11
