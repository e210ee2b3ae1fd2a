"use strict";
(() => {
  // Data sets are stored by column, repeated words once; Vega wants rows.
  const rows = (columns) => {
    const names = Object.keys(columns);
    const read = names.map((name) => {
      const column = columns[name];
      return Array.isArray(column) ? (i) => column[i] : (i) => column.words[column.at[i]];
    });
    const first = columns[names[0]];
    const length = (Array.isArray(first) ? first : first.at).length;
    return Array.from({ length }, (_, i) => Object.fromEntries(names.map((name, k) => [name, read[k](i)])));
  };
  const parse = (id) => JSON.parse(document.getElementById(id).textContent);
  const stored = parse("data");
  const specs = parse("specs");
  const datasets = Object.fromEntries(Object.entries(stored).map(([name, columns]) => [name, rows(columns)]));

  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  // Okabe and Ito's colours, which people with any colour vision tell apart; the dark ones are lightened.
  const palettes = {
    light: ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#B8860B", "#56B4E9", "#555555"],
    dark: ["#56B4E9", "#FF9248", "#2FD0A0", "#F0A3CC", "#F0E442", "#9AA8FF", "#BBBBBB"],
  };
  const look = () => {
    const css = getComputedStyle(document.documentElement);
    const value = (name) => css.getPropertyValue(name).trim();
    const [fg, soft, line] = [value("--fg"), value("--soft"), value("--line")];
    const font = getComputedStyle(document.body).fontFamily;
    const text = { labelColor: soft, titleColor: fg, labelFont: font, titleFont: font };
    return {
      background: "transparent",
      font,
      view: { stroke: line },
      axis: { ...text, gridColor: line, domainColor: soft, tickColor: soft, gridOpacity: 0.6, titleFontWeight: "normal" },
      header: { ...text, labelColor: fg, labelFontWeight: 600 },
      legend: { ...text, symbolOpacity: 1, titleFontWeight: "normal", symbolSize: 60 },
      range: {
        category: palettes[dark.matches ? "dark" : "light"],
        ordinal: dark.matches
          ? ["#2f7fb8", "#8fd0f5", "#7c8a97", "#c5d2dd", "#4a5f8f"]
          : ["#08457e", "#4c9bd0", "#a9b4be", "#6b7f8f", "#a3c9f0"],
      },
    };
  };

  const views = new Map();
  const draw = async (element) => {
    const spec = structuredClone(specs[element.dataset.spec]);
    spec.datasets = { ...(spec.datasets || {}), ...datasets };
    // As many panels beside one another as the window holds.
    if (spec.columns) {
      const gap = spec.resolve?.scale?.y ? 64 : 26;
      const room = element.clientWidth - 100;
      spec.columns = Math.max(1, Math.min(spec.columns, Math.floor(room / (spec.spec.width + gap))));
    }
    try {
      views.get(element)?.finalize();
      const result = await window.vegaEmbed(element, spec, {
        mode: "vega-lite",
        renderer: "svg",
        config: look(),
        theme: undefined,
        actions: { export: true, source: false, compiled: false, editor: false },
        downloadFileName: element.dataset.spec,
        tooltip: { theme: dark.matches ? "dark" : "light" },
      });
      views.set(element, result);
      const svg = element.querySelector("svg.marks");
      svg?.setAttribute("role", "img");
      svg?.setAttribute("aria-label", element.dataset.label);
    } catch (error) {
      element.innerHTML = "";
      const note = document.createElement("p");
      note.className = "failed";
      note.textContent = `This chart could not be drawn (${error.message}); its figures are in the table below it.`;
      element.append(note);
    }
  };
  const all = () => Promise.all([...document.querySelectorAll(".chart")].map(draw));
  let width = window.innerWidth;
  let waiting = 0;
  window.addEventListener("resize", () => {
    if (Math.abs(window.innerWidth - width) < 40) return;
    width = window.innerWidth;
    clearTimeout(waiting);
    waiting = setTimeout(all, 200);
  });
  dark.addEventListener("change", all);
  all().then(() => { document.documentElement.dataset.drawn = "yes"; });
})();
