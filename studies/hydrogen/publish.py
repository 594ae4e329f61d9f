"""Write the tables and figures of the study beside this file: `python studies/hydrogen/publish.py runs/record`."""

import json
import sys
from pathlib import Path

import numpy as np

from bodyorder.analysis.seeds import over_seeds
from bodyorder.engine.results import load_analysis, save
from bodyorder.report.curves import save_figure
from bodyorder.report.environment import environment_parts
from bodyorder.report.generalization import generalization_parts
from bodyorder.report.style import Theme
from bodyorder.training.curve import read_curve
from bodyorder.training.job import LOSS_CURVE

HERE = Path(__file__).parent
#: How much of a training at its end shows whether its loss still fell.
END = 0.1

study = Path(sys.argv[1])
table, distilled = (load_analysis(study / name) for name in ("generalization.nc", "distillation.nc"))
(HERE / "figures").mkdir(exist_ok=True)
(HERE / "generalization.csv").write_text((study / "generalization.csv").read_text())
means = over_seeds(table)
for name in means.data_vars:
    if means[name].dtype == np.float64:
        means[name] = means[name].astype(np.float32)  # seven digits of what seeds tell to two
save(means, HERE / "generalization.nc", compressed=True)
save(distilled, HERE / "distillation.nc", compressed=True)
theme = Theme.of([])
for part in [*generalization_parts(table, theme), *environment_parts(table, distilled, theme)]:
    for name, figure, _, _ in part.figures:
        save_figure(figure, HERE / "figures" / f"{name}.png")
lines = ["model,makeup,trainings,loss_ratio_mean,loss_ratio_least"]
found: dict[tuple[str, str], list[float]] = {}
for record in sorted(study.glob("stages/train-*/stage.json")):
    path = record.with_name(LOSS_CURVE)
    if not path.is_file():  # its weights are solved for
        continue
    loss = read_curve(path)["validation_loss"].values
    last = max(1, round(END * len(loss)))
    # the best so far, before the last tenth and at the end: 1 where nothing was gained
    ratio = float(np.nanmin(loss) / np.nanmin(loss[:-last]))
    _, model, *makeup, _ = json.loads(record.read_text())["name"].split("/")  # train/mace/both/n=25/seed=1
    found.setdefault((model, "-".join(makeup)), []).append(ratio)
lines += [f"{model},{makeup},{len(own)},{np.mean(own):.3f},{min(own):.3f}" for (model, makeup), own in found.items()]
(HERE / "losses.csv").write_text("\n".join(lines) + "\n")
