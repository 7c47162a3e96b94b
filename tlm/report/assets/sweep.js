"use strict";
const data = dataOf("data");
const parameters = data.columns.filter((c) => c.parameter), figures = data.columns.filter((c) => c.numeric);
const byName = Object.fromEntries(data.columns.map((c) => [c.name, c]));
const element = (id) => document.getElementById(id);
const BRIEF = ["point", "status", "cycles", "energy_uj"];
const FEW = 12, MANY_POINTS = 1000;
const PALETTE = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8c6bb1", "#a0522d", "#7f7f7f"];
const axisTitle = (name) => {
  const column = byName[name];
  const unit = [column.unit && column.unit !== column.title ? ", " + column.unit : "", column.label ? " " + column.label : ""].join("");
  return column.title + unit;
};
const valuesOf = (name) => [...new Map(data.rows.map((r) => [JSON.stringify(r[name]), r[name]])).values()].sort(
  (a, b) => (typeof a === "number" && typeof b === "number" ? a - b : text(a).localeCompare(text(b))));
const isNumeric = (name) => valuesOf(name).every((v) => typeof v === "number");
const best = (name) => (byName[name].higher_is_better ? -1 : 1);

// Points that no other point beats in both columns.
function front(rows, x, y) {
  const ordered = [...rows].sort((a, b) => best(x) * (a[x] - b[x]) || best(y) * (a[y] - b[y]));
  const found = [];
  let limit = Infinity;
  for (const row of ordered) {
    const value = best(y) * row[y];
    if (value < limit) { found.push(row); limit = value; }
  }
  return found;
}

function options(select, names, chosen) {
  for (const name of names) select.add(new Option(byName[name].title, name, false, name === chosen));
}

const filters = parameters.map(({ name, title }) => {
  const values = valuesOf(name), place = element("filters");
  const label = document.createElement("label");
  label.append(title);
  place.append(label);
  if (values.length > FEW && isNumeric(name)) {
    const ends = ["from", "to"].map((word, i) => {
      const input = document.createElement("input");
      input.type = "number"; input.step = "any"; input.placeholder = `${word} ${text(values.at(-i))}`;
      input.dataset.filter = name;
      input.addEventListener("input", update);
      label.append(input);
      return input;
    });
    return (row) => (ends[0].value === "" || row[name] >= +ends[0].value) && (ends[1].value === "" || row[name] <= +ends[1].value);
  }
  const select = document.createElement("select");
  select.dataset.filter = name;
  select.add(new Option("all", ""));
  values.forEach((value, index) => select.add(new Option(text(value), String(index))));
  select.addEventListener("change", update);
  label.append(select);
  return (row) => select.value === "" || JSON.stringify(row[name]) === JSON.stringify(values[+select.value]);
});

const hover = (row) => `point ${row.point}<br>` + parameters.map((p) => `${p.title} = ${plain(row[p.name])}`).join("<br>");

// Of equal values a tenth to both sides; by itself Plotly shows one, which may be next to nothing or beyond 0.
function around(rows, name) {
  const value = rows[0]?.[name];
  return value && rows.every((r) => r[name] === value) ? [0.9 * value, 1.1 * value] : undefined;
}

// Many numbers have a scale beside the picture, and the legend moves above it; many texts have one colour.
function scaled(rows, colour, size) {
  if (!isNumeric(colour)) return { size, color: PALETTE[0] };
  const dark = luminance(channels(variable("--ground"))) < 0.5;
  return { size, color: rows.map((r) => r[colour]), showscale: true, colorbar: { title: { text: byName[colour].title } },
    colorscale: dark ? [[0, "#5a7fe0"], [0.5, "#35b779"], [1, "#fde725"]] : [[0, "#440154"], [0.5, "#21918c"], [1, "#d9b400"]] };
}

function drawPareto(rows, found, x, y, colour) {
  const names = valuesOf(colour), few = names.length <= FEW;
  const groups = few ? names.map((value) => [plain(value), rows.filter((r) => JSON.stringify(r[colour]) === JSON.stringify(value))])
    : [["points", rows]];
  const size = rows.length > MANY_POINTS ? 4 : 8;
  const traces = groups.map(([name, members], index) => ({
    type: "scatter", mode: "markers", name, x: members.map((r) => r[x]), y: members.map((r) => r[y]),
    text: members.map(hover), hovertemplate: "%{text}<br>%{x:,} / %{y:,}<extra></extra>",
    marker: few ? { size, color: PALETTE[index % PALETTE.length], symbol: index % 8 }
      : scaled(members, colour, size),
  }));
  traces.push({
    type: "scatter", mode: "lines+markers", name: "Pareto front", zorder: 1, x: found.map((r) => r[x]), y: found.map((r) => r[y]),
    text: found.map(hover), hovertemplate: "%{text}<br>%{x:,} / %{y:,}<extra>Pareto front</extra>",
    line: { color: variable("--ink"), width: 1.5, shape: best(x) * best(y) > 0 ? (best(x) > 0 ? "hv" : "vh") : "linear" },
    marker: { size: 13, color: "rgba(0,0,0,0)", line: { color: variable("--ink"), width: 1.5 } },
  });
  draw("pareto", { data: traces, layout: {
    height: 480, margin: { t: 30, r: 20 }, legend: few ? { title: { text: byName[colour].title } } : { orientation: "h", x: 0, y: 1, yanchor: "bottom" },
    xaxis: { title: { text: axisTitle(x) }, tickformat: ",", exponentformat: "none", range: around(rows, x) },
    yaxis: { title: { text: axisTitle(y) }, tickformat: ",", exponentformat: "none", range: around(rows, y) },
  } });
}

const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);

function drawEffect(index, { name }, rows, y, colour) {
  const values = valuesOf(name), few = values.length <= FEW, numeric = isNumeric(name);
  const ends = rows.map((r) => r[y]), low = -largest(ends.map((v) => -v), 0), high = largest(ends, 0), air = 0.05 * (high - low);
  const layout = { height: 300, margin: { t: 30, r: 10, l: 70 }, showlegend: false,
    xaxis: { title: { text: byName[name].title }, type: few || !numeric ? "category" : undefined,
      ...(few ? { categoryorder: "array", categoryarray: values.map(plain) } : {}) },
    yaxis: { title: { text: axisTitle(y) }, tickformat: ",", range: high > low ? [low && low - air, high && high + air] : undefined } };
  // A line for each value of another parameter: lines that are not parallel are an interaction.
  const others = parameters.map((p) => p.name).filter((p) => p !== name && valuesOf(p).length > 1 && valuesOf(p).length <= PALETTE.length);
  const other = others.includes(colour) ? colour : others[0];
  const lines = (other ? valuesOf(other) : [undefined]).map((value, at) => ({ value, at,
    members: rows.filter((r) => !other || same(r[other], value)) })).filter(({ members }) => members.length);
  layout.showlegend = few && other !== undefined;
  layout.legend = { title: { text: other && byName[other].title } };
  const traces = few ? lines.map(({ value, at, members }) => {
    const found = values.map((x) => members.filter((r) => same(r[name], x)).map((r) => r[y])).map((ys, i) => ({ x: values[i], ys }))
      .filter(({ ys }) => ys.length).map(({ x, ys }) => ({ x: plain(x), mean: ys.reduce((sum, v) => sum + v, 0) / ys.length,
        most: largest(ys, -Infinity), least: -largest(ys.map((v) => -v), -Infinity) }));
    return { type: "scatter", mode: "lines+markers", name: plain(value), x: found.map((f) => f.x), y: found.map((f) => f.mean),
      error_y: { type: "data", symmetric: false, thickness: 1, array: found.map((f) => f.most - f.mean), arrayminus: found.map((f) => f.mean - f.least) },
      marker: { size: 7, symbol: at % 8, color: PALETTE[at] }, line: { width: 1, color: PALETTE[at] } };
  }) : [{ type: "scatter", mode: "markers", y: rows.map((r) => r[y]),
    x: rows.map((r) => (numeric ? r[name] : plain(r[name]))), text: rows.map(hover), hovertemplate: "%{text}<extra></extra>", marker: { size: 5, color: PALETTE[0] } }];
  draw(`effect${index}`, { data: traces, layout });
}

function update() {
  const x = element("x").value, y = element("y").value, colour = element("colour").value;
  const shown = data.rows.filter((row) => filters.every((test) => test(row)));
  const rows = shown.filter((row) => row[x] !== null && row[y] !== null);
  const found = front(rows, x, y);
  element("count").textContent = `${whole.format(shown.length)} of ${whole.format(data.rows.length)} points, `
    + `${found.length} on the front`;
  drawPareto(rows, found, x, y, colour);
  parameters.forEach((parameter, index) => drawEffect(index, parameter, rows, y, colour));
  const chosen = [...parameters, byName[x], byName[y]];
  fill("front", [byName.point, ...new Set(chosen)], found);
  const failed = data.rows.some((row) => row.error !== null), brief = new Set([...BRIEF, x, y, ...(failed ? ["error"] : [])]);
  const listed = data.columns.filter((c) => (element("all").checked ? c.name !== "outputs_sha256" : c.parameter || brief.has(c.name)));
  fill("points", listed, shown, { marked: new Set(found) });
}

element("effects").append(...parameters.map((_, index) => {
  const place = document.createElement("div");
  place.className = "figure";
  place.id = `effect${index}`;
  return place;
}));
options(element("x"), figures.map((c) => c.name), "cycles");
options(element("y"), figures.map((c) => c.name), "energy_uj");
options(element("colour"), parameters.map((c) => c.name), parameters[0].name);
for (const id of ["x", "y", "colour", "all"]) element(id).addEventListener("change", update);
element("reset").addEventListener("click", () => {
  for (const input of document.querySelectorAll("[data-filter]")) input.value = "";
  update();
});
refresh = update;
update();
document.documentElement.dataset.ready = "true";
