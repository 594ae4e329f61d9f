"use strict";
(async (data) => {
  const byId = (id) => document.getElementById(id);
  const note = byId("viewer-note");
  const frame = byId("viewer");
  const report = (text) => { note.textContent = text; note.hidden = text === ""; };

  const restored = (value) => {
    if (Array.isArray(value)) return value.map(restored);
    return value === "NaN" ? NaN : value;
  };
  for (const property of Object.values(data.dataset.properties)) property.values = restored(property.values);

  const sourceChoice = byId("viewer-source");
  const orderChoice = byId("viewer-order");
  const fill = (choice, names, chosen) => {
    for (const name of names) choice.add(new Option(name, name, name === chosen, name === chosen));
  };
  fill(sourceChoice, Object.keys(data.properties), data.source);
  fill(orderChoice, Object.keys(data.properties[data.source]), data.order);

  const warnings = new Chemiscope.Warnings();
  warnings.handlersList = [report];
  const places = { meta: "viewer-meta", map: "viewer-map", info: "viewer-info", structure: "viewer-structure" };
  const firstAtom = [0];
  for (const structure of data.dataset.structures) firstAtom.push(firstAtom[firstAtom.length - 1] + structure.size);

  let visualizer;
  const colour = () => {
    const property = data.properties[sourceChoice.value][orderChoice.value];
    const current = visualizer.structure.pinned()[visualizer.structure.activeIndex].structure;
    const values = data.dataset.properties[property].values.slice(firstAtom[current], firstAtom[current + 1]);
    const known = values.filter((value) => Number.isFinite(value));
    if (known.length === 0) {
      visualizer.structure.applySettings([{ color: { property: "element" } }]);
      report("This source has no contributions of this order for this structure; its atoms are coloured by element.");
      return;
    }
    const largest = Math.max(1e-6, ...known.map(Math.abs));
    visualizer.structure.applySettings([{ color: { property, palette: "bwr", min: -largest, max: largest } }]);
    report("");
  };

  const start = async () => {
    try {
      visualizer = await Chemiscope.DefaultVisualizer.load(places, data.dataset, warnings);
      // White must stay zero whichever structure is shown, so the scale follows the structure.
      const show = visualizer.structure.show.bind(visualizer.structure);
      visualizer.structure.show = async (indexes) => { await show(indexes); colour(); };
      sourceChoice.addEventListener("change", colour);
      orderChoice.addEventListener("change", colour);
      colour();
      frame.dataset.state = "ready";
    } catch (error) {
      report(`The structures cannot be shown here: ${error.message}. The viewer needs a browser with WebGL.`);
      frame.dataset.state = "failed";
    }
  };
  // the viewer measures its place, so it begins when that is first seen
  const folded = frame.closest("details");
  if (folded === null || folded.open) await start();
  else folded.addEventListener("toggle", start, { once: true });
})(VIEWER_DATA);
