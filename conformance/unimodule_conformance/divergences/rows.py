"""How the files of rows are written: one decorator, above the witness of each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from ..specs import Spec
from .model import Divergence, Kind, nowhere

Witness = Callable[[], bool]


@dataclass
class Rows:
    """The rows of one file.

    Attributes:
        backend: whose framework they are of.
        versions: where they hold, unless a row says otherwise.
        found: the rows, in the order of the file.
    """

    backend: str
    versions: str
    found: list[Divergence] = field(default_factory=list)

    def row(
        self,
        name: str,
        op: str,
        kind: Kind,
        native: str,
        expected: str,
        *,
        versions: str | None = None,
        link: str = "",
        corrected: bool = True,
        excuses: Callable[[Spec], bool] = nowhere,
    ) -> Callable[[Witness], Witness]:
        """Make a row of the function below, its witness. ``name`` is the id without the backend."""

        def add(witness: Witness) -> Witness:
            self.found.append(
                Divergence(
                    id=f"{self.backend}-{name}",
                    backend=self.backend,
                    versions=self.versions if versions is None else versions,
                    op=op,
                    kind=kind,
                    native=native,
                    expected=expected,
                    corrected=corrected,
                    witness=witness,
                    link=link,
                    excuses=excuses,
                )
            )
            return witness

        return add


__all__ = ["Rows", "Witness"]
