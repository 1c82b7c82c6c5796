"""What tells compiled programs that something which they may depend on has changed."""

from __future__ import annotations


class _Changes:
    """Counts changes to any module that a compiled program may depend on: attributes, modes, which variables there are;
    and of the bit generator in use. Values of variables do not count.
    """

    count = 0


changes = _Changes()
