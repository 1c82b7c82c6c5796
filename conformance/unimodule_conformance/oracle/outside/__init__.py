"""Sources outside unimodule that judge its core: PyTorch's layers, functions and optimisers, and NumPy's functions.

The reference adapter runs the same layers as the adapters that it judges, so a wrong formula in a layer would fool it. Here
the whole model is put together again of the real ``torch.nn`` and ``torch.nn.functional``, whose semantics are the declared
ones, and, for ``ops``, of what PyTorch and NumPy offer under the array API's definitions; all in float64.
"""
