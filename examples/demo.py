"""The main job: one model class, trained on every installed framework from the same weights on the same batches.

Trains an MLP and a LeNet on real handwritten digits with the neutral API, on each framework in turn, every step one
compiled call (``um.train_step``), and, as the judge, on the NumPy reference in float64, eagerly. Prints a table for each
model, writes the loss curves and all numbers to ``demo/``, and fails where a framework's test accuracy is under 97 % or
its run parts from the reference.

    make demo                                       # or: python examples/demo.py --help
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import statistics
import sys
import time
from pathlib import Path

for _name, _value in {"TF_CPP_MIN_LOG_LEVEL": "3", "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}.items():
    os.environ.setdefault(_name, _value)

import numpy as np  # noqa: E402
from rich.console import Console  # noqa: E402
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn  # noqa: E402
from rich.table import Table  # noqa: E402

sys.path.insert(0, str(Path(__file__).parent))

import digits  # noqa: E402

import unimodule as um  # noqa: E402
from unimodule import nn, ops, optim  # noqa: E402

SEED = 0
GOAL = 0.97
REFERENCE = "numpy"
DRIFT = 5e-3
"""How far a parameter may be from the float64 run at the end, relative to the largest parameter: float32 rounding (6e-8)
grows over hundreds of steps, and a fault would show as a difference of order one."""

MODELS = {"MLP": (digits.MLP, 12), "LeNet": (digits.LeNet, 15)}


@dataclasses.dataclass
class Run:
    """One model trained on one backend."""

    label: str
    losses: list[float]
    accuracy: float
    parameters: dict[str, np.ndarray]
    step_seconds: list[float]

    @property
    def milliseconds(self) -> float:
        """Median time of a training step."""
        return 1e3 * statistics.median(self.step_seconds)

    def deviation(self, other: Run) -> float:
        """Largest difference of a parameter, relative to the largest parameter of ``other``."""
        scale = max(np.abs(v).max() for v in other.parameters.values())
        return float(max(np.abs(self.parameters[k] - v).max() for k, v in other.parameters.items()) / scale)


def train(model: type[nn.Module], backend: str, dtype: str, epochs: int, tick) -> Run:
    """Train a fresh net of ``model``; ``tick`` is called after each step."""
    train_set, test_set = digits.load()
    net = model().initialize(seed=SEED).to(backend, dtype=dtype)
    step = um.train_step(net, nn.CrossEntropyLoss(), optim.Adam(net.parameters(), lr=3e-3))
    losses, seconds = [], []
    for x, y in digits.batches(train_set, epochs):
        start = time.perf_counter()
        losses.append(float(ops.item(step(x, y))))
        seconds.append(time.perf_counter() - start)
        tick()
    net.eval()
    hits = um.to_numpy(net(test_set.images)).argmax(axis=1) == test_set.labels
    parameters = {p.name: p.numpy().astype("float64") for p in net.parameters()}
    return Run(backend, losses, float(hits.mean()), parameters, seconds)


def train_all(model_name: str, backends: list[str], epochs_scale: float, console: Console) -> dict[str, Run]:
    """The reference and every backend, under one progress bar."""
    model, epochs = MODELS[model_name]
    epochs = max(1, round(epochs * epochs_scale))
    steps = epochs * (len(digits.load()[0].images) // digits.BATCH)
    runs: dict[str, Run] = {}
    columns = (TextColumn("{task.description:<22}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:
        for name, dtype in [(REFERENCE, "float64"), *((b, "float32") for b in backends)]:
            label = f"{model_name} {name}" + (" float64" if dtype == "float64" else "")
            task = progress.add_task(label, total=steps)
            runs[name] = train(model, name, dtype, epochs, lambda task=task: progress.advance(task))
    return runs


def table(model_name: str, runs: dict[str, Run]) -> Table:
    """The runs of one model side by side."""
    reference = runs[REFERENCE]
    title = f"{model_name}: the same weights, the same batches, compiled training steps"
    out = Table(title=title, title_justify="left")
    out.add_column("backend")
    for column in ("final loss", "test accuracy", "largest deviation", "ms per step"):
        out.add_column(column, justify="right")
    for name, run in runs.items():
        is_reference = name == REFERENCE
        out.add_row(
            f"{name} float64 (reference)" if is_reference else name,
            f"{run.losses[-1]:.6f}",
            f"{100 * run.accuracy:.2f} %",
            "-" if is_reference else f"{run.deviation(reference):.1e}",
            f"{run.milliseconds:.2f}",
        )
    return out


def problems(model_name: str, runs: dict[str, Run]) -> list[str]:
    """What falls short of the demo's promises."""
    found = []
    for name, run in runs.items():
        if run.accuracy < GOAL:
            found.append(
                f"{model_name} on {name}: test accuracy {100 * run.accuracy:.2f} %, expected {100 * GOAL:.0f} %"
            )
        deviation = run.deviation(runs[REFERENCE])
        if deviation > DRIFT:
            found.append(
                f"{model_name} on {name}: parameters deviate by {deviation:.1e}, expected at most {DRIFT:.0e}"
            )
    return found


def plot(results: dict[str, dict[str, Run]], path: Path) -> None:
    """Loss curves over one another, and below them how far each is from the reference's."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    # Okabe and Ito's colours, told apart by the colour-blind; widths and dashes keep coinciding curves visible.
    styles = [
        ("#BBBBBB", "-", 6.0), ("#E69F00", "-", 3.5), ("#0072B2", (0, (5, 3)), 2.2),
        ("#009E73", (0, (1, 1.5)), 2.0), ("#CC79A7", (0, (6, 3, 1, 3)), 1.2),
    ]  # fmt: skip
    figure, axes = plt.subplots(
        2, len(results), figsize=(5.6 * len(results), 7), sharex="col", squeeze=False, height_ratios=[3, 2],
        layout="constrained",
    )  # fmt: skip
    for column, (model_name, runs) in enumerate(results.items()):
        upper, lower = axes[0][column], axes[1][column]
        reference = np.array(runs[REFERENCE].losses)
        for (name, run), (color, dashes, width) in zip(runs.items(), styles * 4, strict=False):
            label = f"{name} float64 (reference)" if name == REFERENCE else name
            upper.plot(run.losses, color=color, linestyle=dashes, linewidth=width, label=label)
            if name != REFERENCE:
                distance = np.maximum(np.abs(np.array(run.losses) - reference), 1e-10)
                lower.plot(distance, color=color, linewidth=1, label=name)
        upper.set(title=f"{model_name} on 8 x 8 digits", ylabel="training loss (cross-entropy)", yscale="log")
        lower.set(xlabel="step", ylabel="|loss - reference|", yscale="log")
        upper.legend(frameon=False)
        for axis in (upper, lower):
            axis.grid(alpha=0.25)
            axis.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=130)


def as_json(results: dict[str, dict[str, Run]]) -> dict:
    """All numbers of the tables and curves."""
    return {
        model: {
            name: {
                "final_loss": run.losses[-1],
                "test_accuracy": run.accuracy,
                "largest_deviation": run.deviation(runs[REFERENCE]),
                "ms_per_step": run.milliseconds,
                "losses": run.losses,
            }
            for name, run in runs.items()
        }
        for model, runs in results.items()
    }


def main() -> int:
    """Run the demo; the exit status is 1 where it falls short."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--backends", help="comma-separated; by default every installed framework")
    parser.add_argument("--models", default=",".join(MODELS), help="comma-separated (default: %(default)s)")
    parser.add_argument("--epochs-scale", type=float, default=1.0, help="train this many times as long")
    parser.add_argument(
        "--out", type=Path, default=Path("demo"), help="folder for the results (default: %(default)s)"
    )
    options = parser.parse_args()

    console = Console()
    installed = [b.name for b in um.backends() if b.installed and b.name != REFERENCE]
    backends = options.backends.split(",") if options.backends else installed
    if not backends:
        console.print(
            "No framework is installed; run [bold]make demo[/], or pip install one of unimodule's extras."
        )
        return 1
    results = {}
    for model_name in options.models.split(","):
        results[model_name] = train_all(model_name, backends, options.epochs_scale, console)
        console.print(table(model_name, results[model_name]))
    options.out.mkdir(parents=True, exist_ok=True)
    plot(results, options.out / "loss_curves.png")
    (options.out / "results.json").write_text(json.dumps(as_json(results), indent=1) + "\n")
    console.print(f"Loss curves: {options.out / 'loss_curves.png'}   numbers: {options.out / 'results.json'}")
    short = [text for model_name, runs in results.items() for text in problems(model_name, runs)]
    for text in short:
        console.print(f"[red]{text}[/]")
    if not short:
        console.print(f"[green]{len(backends)} frameworks, one model class, one result.[/]")
    return 1 if short else 0


if __name__ == "__main__":
    sys.exit(main())
