"""Hypothesis strategies for arrays, layers, functions, whole models and invalid cases."""

from . import activations as activations
from . import creation as creation
from . import linear as linear
from . import losses as losses
from . import manipulation as manipulation
from . import math as math
from . import normalization as normalization
from . import reductions as reductions
from . import sequence as sequence
from . import spatial as spatial
from .drawing import LINKS as LINKS
from .drawing import NAMES as NAMES
