"""Hypothesis strategies for arrays, layers, functions, whole models and invalid cases.

* ``arrays``: shapes and arrays with the boundaries at which functions go wrong;
* ``NAMES``: for every public layer and function a strategy of specs of it alone, ``NAMES["nn.Conv2d"]``;
* ``models()``: whole models;
* ``refusals()``: cases that the declared semantics refuse, with the error that they ask for;
* ``cases(kinds=..., focus=...)``: all of these.

What is drawn is data (``specs.Spec``); ``building.build(spec)`` and ``building.arrays(spec)`` make a net and its inputs of
it. Everything drawn is valid, in one go, and shrinks. To give a new layer its strategy, write a function of a ``Drawer``
in the module of its family and register it with ``subject``, or with ``link`` if it takes one float tensor and returns one,
so that models are made of it too.
"""

from . import arrays as arrays
from .coverage import EXCLUDED as EXCLUDED
from .coverage import missing as missing
from .coverage import public as public
from .coverage import stale as stale
from .drawing import NAMES as NAMES
from .drawing import Drawer as Drawer
from .drawing import add as add
from .drawing import link as link
from .drawing import subject as subject
from .families import FAMILIES as FAMILIES
from .mixing import KINDS as KINDS
from .mixing import cases as cases
from .trees import models as models
from .wrong import refusals as refusals
