"""A picture of ω_base: the map, its section across the line beside a Gaussian ridge, and the curves of its training.

``python -m models.metalearning.plot`` draws what ships (needs matplotlib, the extra ``pretraining``).
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from models.affine import ACROSS, ALONG
from models.baselines import EPIPOLAR_SIGMA_PX
from models.pair_weights import OmegaBase
from models.weights import FOLDER, load_omega

_INK, _LEARNED, _GREY = "#222222", "#0b6e99", "#999999"


def plot(omega: OmegaBase, manifest: dict[str, Any], path: Path) -> None:
    """Write the picture as PNG; raises ImportError where matplotlib is not installed."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415 - optional
    from matplotlib.figure import Figure  # noqa: PLC0415

    figure = Figure(figsize=(12.5, 3.8), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    map_axes, section_axes, curve_axes = figure.subplots(1, 3, width_ratios=(1, 1.15, 1.15))
    _map(figure, map_axes, omega)
    _section(section_axes, omega)
    _curve(curve_axes, manifest)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Software": None})


def _map(figure: Any, axes: Any, omega: OmegaBase) -> None:
    limit = float(np.abs(omega.values).max())
    extent = (-ALONG, ALONG, -ACROSS, ACROSS)
    image = axes.imshow(
        omega.values, cmap="RdBu_r", vmin=-limit, vmax=limit, extent=extent, origin="lower", aspect="auto"
    )
    figure.colorbar(image, ax=axes, shrink=0.9)
    axes.set(title="ω_base", xlabel="along the line (half-widths of the view)", ylabel="across (heatmap pixels)")


def _section(axes: Any, omega: OmegaBase) -> None:
    distance = np.linspace(-ACROSS, ACROSS, len(omega.values))
    middle, quarter = omega.values.shape[1] // 2, omega.values.shape[1] // 4
    peak = float(omega.values[:, middle].max())
    gaussian = peak * np.exp(-0.5 * np.square(distance / EPIPOLAR_SIGMA_PX))
    axes.plot(distance, gaussian, color=_GREY, linestyle="--", label=f"Gaussian {EPIPOLAR_SIGMA_PX:g} px")
    axes.plot(distance, omega.values[:, quarter], color=_LEARNED, alpha=0.45, label="halfway out")
    axes.plot(distance, omega.values[:, middle], color=_LEARNED, label="middle")
    axes.axhline(0, color=_INK, linewidth=0.5)
    first, second = omega.gains
    title = f"across the line; g₁ {first:.2f}, g₂ {second:.2f}, κ {omega.sharpness:.2f}"
    axes.set(title=title, xlabel="distance from the line (heatmap pixels)", ylabel="weight")
    axes.legend(frameon=False, fontsize=8, loc="upper left")


def _curve(axes: Any, manifest: dict[str, Any]) -> None:
    curve = manifest["curve"]
    steps = (np.arange(len(curve["fused"])) + 0.5) * curve["steps_per_point"]
    axes.plot(steps, curve["no_fusion"], color=_GREY, linestyle="--", label="no fusion")
    axes.plot(steps, curve["fused"], color=_LEARNED, label="fused")
    axes.set(title="training", xlabel="step", ylabel="smooth detection loss", ylim=(0, None))
    axes.legend(frameon=False, fontsize=8)


def main() -> None:
    """Draw what ships, or another folder's ω_base."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path, default=FOLDER)
    parser.add_argument("--out", type=Path, default=Path("docs/figures/omega_base.png"))
    arguments = parser.parse_args()
    manifest = json.loads((arguments.weights / "omega_base.json").read_text())
    plot(load_omega(arguments.weights), manifest, arguments.out)


if __name__ == "__main__":
    main()
