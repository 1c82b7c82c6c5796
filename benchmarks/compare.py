"""What ``um.compare`` costs beside the runs that it compares: at most 1.3 times as much is its mark.

    python benchmarks/compare.py                                  # every installed backend, each in a process of its own
    python benchmarks/compare.py --backends torch,jax --models vit --modes eager,compiled --rounds 9

For each model of the gallery, the net is run bare, as one would by hand: moved to the backend, called, its loss
differentiated, each result brought to the host; in training mode once, where it has buffers; all of it compiled anew, too,
with ``--modes eager,compiled``. ``um.compare`` does the same with every module watched, and judges the results. The
two take turns, after one round that is not counted; ratios are of turns of one round. The reference, and with it what is
found out about single modules, is taken off (``report.seconds``), and nothing is timed again (``repeats=0``).

The row "together" has all backends in one comparison, which also compares each with each.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import statistics
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from processes import alone
from tables import installed
from timing import quantile

GALLERY = Path(__file__).parents[1] / "examples"
MODELS = {
    "lenet": ("LeNet", (512, 1, 28, 28), 0),
    "resnet18": ("ResNet18", (8, 3, 32, 32), 0),
    "vit": ("ViT", (128, 3, 32, 32), 0),
    "gpt": ("GPT", (64, 64), 256),
    "lstm_lm": ("LSTMLM", (16, 64), 256),
    "transformer_encoder": ("TextClassifier", (16, 64), 256),
}
"""By file: the class, the shape of its input, and below what its integers are (0: floats)."""

DEFAULT = ("lenet", "resnet18", "vit", "gpt")


# ---------------------------------------------------------------------- what is compared
def gallery(name: str) -> tuple[Any, Any]:
    """A net of the gallery with values, and its input."""
    kind, shape, below = MODELS[name]
    spec = importlib.util.spec_from_file_location(f"gallery_{name}", GALLERY / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    rng = np.random.default_rng(0)
    x = rng.integers(0, below, shape) if below else rng.normal(size=shape).astype("float32")
    net = getattr(module, kind)().eval()
    net(x)  # lazy shapes
    return net.initialize(seed=0), x


def loss(output: Any) -> Any:
    from unimodule import ops

    return ops.mean(ops.square(output))


def bare(net: Any, x: Any, backends: list[str], modes: list[str]) -> None:
    """The runs themselves."""
    for backend in backends:
        placed = net.clone().to(backend)
        for mode in modes:
            if mode != "compiled" or backend != "numpy":
                _bare(placed, x, backend, mode == "compiled")


def _bare(net: Any, x: Any, backend: str, compiled: bool) -> None:
    import unimodule as um
    from unimodule import ops

    native = ops.asarray(x, backend=backend)
    forward = um.compile(net) if compiled else net
    um.to_numpy(forward(native))
    slopes = um.value_and_grad(lambda net, x: loss(net(x)), argnums=(0, 1) if x.dtype.kind == "f" else 0)
    for array in arrays((um.compile(slopes) if compiled else slopes)(net, native)):
        um.to_numpy(array)
    if any(True for _ in net.buffers()):
        training = net.clone().train()
        (um.compile(training) if compiled else training)(native)
        for buffer in training.buffers():
            buffer.numpy()


def arrays(tree: Any) -> Iterator[Any]:
    """The tensors of nested tuples and dicts."""
    if isinstance(tree, dict):
        tree = list(tree.values())
    if isinstance(tree, tuple | list):
        for item in tree:
            yield from arrays(item)
    else:
        yield tree


def compared(net: Any, x: Any, backends: list[str], modes: list[str], reference: str) -> tuple[float, float]:
    """Seconds of a comparison without its reference, and of the reference."""
    import unimodule as um

    report = um.compare(net, x, backends=backends, modes=modes, loss=loss, reference=reference, repeats=0)
    if not report.ok:
        raise RuntimeError(str(report))
    seconds = report.seconds
    return seconds["total"] - seconds["reference"] - seconds["timing"], seconds["reference"]


def measure(backends: list[str], name: str, modes: list[str], rounds: int, reference: str) -> dict[str, Any]:
    """One row of the table."""
    net, x = gallery(name)
    bares, owns, references = [], [], []
    for _ in range(rounds + 1):
        own, apart = compared(net, x, backends, modes, reference)
        start = time.perf_counter()
        bare(net, x, backends, modes)
        bares.append(time.perf_counter() - start)
        owns.append(own)
        references.append(apart)
    ratios = [own / run for own, run in zip(owns[1:], bares[1:], strict=True)]
    return {
        "bare": statistics.median(bares[1:]),
        "compared": statistics.median(owns[1:]),
        "reference": statistics.median(references[1:]),
        "ratio": statistics.median(ratios),
        "quartiles": [quantile(ratios, 0.25), quantile(ratios, 0.75)],
    }


# ---------------------------------------------------------------------- the command line
def quickest() -> str:
    """The backend whose float64 takes least time, which is not measured."""
    return "torch" if "torch" in installed() else "numpy"


def in_a_process(backends: list[str], model: str, options: argparse.Namespace) -> dict[str, Any]:
    words = ["--backends", ",".join(backends), "--models", model, "--modes", options.modes]
    return alone(__file__, *words, "--rounds", str(options.rounds), "--reference", options.reference)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--backends", help="separated by commas (default: all that are installed)")
    parser.add_argument("--models", default=",".join(DEFAULT), help=f"among {','.join(MODELS)}")
    parser.add_argument("--modes", default="eager", help='"eager" or "eager,compiled" (default: eager)')
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--reference", default=quickest(), help="what computes the reference (default: the quickest there is)"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--here", action="store_true", help="one row, in this process (used by the program)")
    options = parser.parse_args()
    names = options.backends.split(",") if options.backends else [*installed(), "numpy"]
    modes = options.modes.split(",")
    if options.here:
        print(json.dumps(measure(names, options.models, modes, options.rounds, options.reference)))
        return
    rows: dict[str, dict[str, Any]] = {}
    if not options.json:
        print(f"{'':12}{'':22}{'bare':>10}{'compared':>10}{'ratio':>8}{'quartiles':>14}{'reference':>12}")
    groups = {name: [name] for name in names} | ({"together": names} if len(names) > 1 else {})
    for label, backends in groups.items():
        for model in options.models.split(","):
            row = rows[f"{label} {model}"] = in_a_process(backends, model, options)
            if not options.json:
                print(f"{label:12}{model:22}{shown(row)}", flush=True)
    if options.json:
        print(json.dumps({"modes": modes, "rounds": options.rounds, "rows": rows}, indent=2))
    sys.exit(any("error" in row for row in rows.values()))


def shown(row: dict[str, Any]) -> str:
    if "error" in row:
        return str(row["error"])
    low, high = row["quartiles"]
    return (
        f"{row['bare'] * 1e3:7.0f} ms{row['compared'] * 1e3:7.0f} ms{row['ratio']:8.2f}"
        f"{f'{low:.2f}-{high:.2f}':>14}{row['reference']:10.1f} s"
    )


if __name__ == "__main__":
    main()
