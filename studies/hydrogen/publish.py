"""Write the tables and figures of the study beside this file: `python studies/hydrogen/publish.py`."""

from pathlib import Path

import numpy as np
import pandas as pd

from bodyorder.analysis.seeds import over_seeds
from bodyorder.config import load_config
from bodyorder.plots.curves import save_figure
from bodyorder.results.files import load_analysis, save
from bodyorder.study.curves import Curves
from bodyorder.study.data import Data
from bodyorder.study.distillation import Distillation
from bodyorder.study.final import FinalStages
from bodyorder.study.grid import Grid
from bodyorder.study.pages.sections import study_sections

HERE = Path(__file__).parent
#: How much of a training at its end shows whether its loss still fell; one epoch at least.
END = 0.1

data = Data(load_config(HERE / "study.yaml"))
grid = Grid(data)
curves = Curves(data, grid)
final = FinalStages(data, grid, curves, Distillation(data, grid))
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
for name in grid.trainings:
    loss, run = grid.trained(name).loss_history, grid.runs[name]
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
        drawn[run.training] = loss
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

sections = study_sections(table, distilled, final.curve_sets(), drawn)
lines = ["# Figures of the study of record", ""]
for picture in (picture for section in sections for picture in section.pictures):
    save_figure(picture.figure, HERE / "figures" / f"{picture.name}.png")
    lines += [f"## {picture.name}", "", str(picture.caption), "", f"![{picture.name}]({picture.name}.png)", ""]
(HERE / "figures" / "README.md").write_text("\n".join(lines))
