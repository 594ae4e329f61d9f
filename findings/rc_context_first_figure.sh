#!/usr/bin/env bash
# matplotlib in a notebook: where the first figure of a kernel is made inside `rc_context`, no later figure is shown. The inline backend
# is chosen with the first figure and sets `interactive` then; leaving the context puts it back, and cells that show their figures by
# themselves no longer do, without a word. With one figure before, or none in a context, all are shown. A library that styles its plots by
# `rc_context` blinds the notebooks of its users; setting and restoring its own parameters one by one does not.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet matplotlib==3.11.2 matplotlib-inline==0.2.2 nbclient==0.11.0 ipykernel==7.4.0 nbformat==5.11.1
export JUPYTER_PATH="$folder/venv/share/jupyter" PATH="$folder/venv/bin:$PATH"
"$folder/venv/bin/python" - <<'PY'
import matplotlib
import nbclient
import nbformat

PLAIN = "plt.subplots()[1].plot([1, 2]);"
STYLED = "with plt.rc_context({'font.size': 9}):\n    plt.subplots()[1].plot([1, 2])"


def shown(*cells):
    """How many pictures each cell shows."""
    code = ["import matplotlib.pyplot as plt", *cells, "print(plt.isinteractive())"]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in code])
    nbclient.NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
    outputs = [cell.outputs for cell in notebook.cells[1:]]
    pictures = [sum("image/png" in output.get("data", {}) for output in held) for held in outputs[:-1]]
    return pictures, outputs[-1][0]["text"].strip()


first, after = shown(STYLED, PLAIN, PLAIN), shown(PLAIN, STYLED, PLAIN)
print("matplotlib", matplotlib.__version__)
print("first figure in a context, then two without: pictures", *first)
print("one without, one in a context, one without: pictures", *after)
assert first == ([1, 0, 0], "False"), first
assert after == ([1, 1, 1], "True"), after
PY
