"""Write the tables and figures of the study beside this file: `python studies/hydrogen/publish.py`."""

from pathlib import Path

import numpy as np
import pandas as pd
from bodyorder.study.closing import Closing

from bodyorder.analysis.seeds import over_seeds
from bodyorder.config import load_config
from bodyorder.plots.curves import save_figure
from bodyorder.plots.losses import loss_figure
from bodyorder.plots.style import Theme
from bodyorder.report.curve_section import curve_parts
from bodyorder.report.environment import environment_parts
from bodyorder.report.generalization import generalization_parts
from bodyorder.results.files import load_analysis, save
from bodyorder.study.curves import Curves
from bodyorder.study.data import Data
from bodyorder.study.distillation import Distillation
from bodyorder.study.runs import Grid

HERE = Path(__file__).parent
#: How much of a training at its end shows whether its loss still fell; one epoch at least.
END = 0.1

data = Data(load_config(HERE / "study.yaml"))
runs = Grid(data)
curves = Curves(data, runs)
closing = Closing(data, runs, curves, Distillation(data, runs))
table, distilled = (load_analysis(data.root / name) for name in ("generalization.nc", "distillation.nc"))
(HERE / "figures").mkdir(exist_ok=True)
(HERE / "generalization.csv").write_text((data.root / "generalization.csv").read_text())
means = over_seeds(table)
for name in means.data_vars:
    if means[name].dtype == np.float64:
        means[name] = means[name].astype(np.float32)  # seven digits of what seeds tell to two
save(means, HERE / "generalization.nc", compressed=True)
save(distilled, HERE / "distillation.nc", compressed=True)

found, drawn = [], {}
for name in runs.trainings:
    loss, run = runs.trained(name).loss_history, runs.runs[name]
    if loss is None:  # its weights are solved for
        continue
    training, validation = loss["training_loss"].values, loss["validation_loss"].values
    last = max(1, round(END * len(validation)))
    found.append(
        {
            "model": run.model,
            "training_set": run.training_set + ("" if run.n_clusters is None else f"-n={run.n_clusters}"),
            "epochs": len(validation),
            "last_epochs": last,
            # the best so far, at the end and before its last epochs: 1 where nothing was gained
            "validation_ratio": np.nanmin(validation) / np.nanmin(validation[:-last]),
            "training_ratio": np.nanmin(training) / np.nanmin(training[:-last]),
        }
    )
    if run.n_clusters is None and run.seed == data.options.seed:
        drawn[name.removesuffix(f"/seed={run.seed}")] = {
            "epoch": loss["epoch"].values,
            "training": training,
            "validation": validation,
        }
groups = pd.DataFrame(found).groupby(["model", "training_set"], sort=False)
losses = groups.agg(
    trainings=("epochs", "size"),
    epochs=("epochs", "max"),
    last_epochs=("last_epochs", "max"),
    validation_ratio_mean=("validation_ratio", "mean"),
    validation_ratio_least=("validation_ratio", "min"),
    training_ratio_mean=("training_ratio", "mean"),
)
losses.to_csv(HERE / "losses.csv", float_format="%.3f", lineterminator="\n")

theme = Theme.of([])
parts = [*generalization_parts(table, theme), *environment_parts(table, distilled, theme)]
parts += curve_parts(closing.curve_sets(), table)
shown = [(name, figure, caption) for part in parts for name, figure, _, caption in part.figures]
caption = "Loss against epoch of the first seed of every training: dotted training, solid validation."
shown.append(("losses", loss_figure(drawn, theme), caption))
lines = ["# Figures of the study of record", ""]
for name, figure, caption in shown:
    save_figure(figure, HERE / "figures" / f"{name}.png")
    lines += [f"## {name}", "", caption, "", f"![{name}]({name}.png)", ""]
(HERE / "figures" / "README.md").write_text("\n".join(lines))
