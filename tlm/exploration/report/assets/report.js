"use strict";
// What run and sweep have in common: figures in the colours of the page, and tables that sort.
const drawn = new Set();
let printing = false, refresh = redraw;
const PAPER = { "--ground": "#ffffff", "--ink": "#000000", "--faint": "#444444", "--line": "#999999", "--grid": "#dddddd" };
const PRINTED_PX = 1000;
const variable = (name) => (printing ? PAPER[name] : getComputedStyle(document.documentElement).getPropertyValue(name).trim());
const dataOf = (id) => JSON.parse(document.getElementById(id).textContent);

function themed(layout, width) {
  const ink = variable("--ink"), grid = variable("--grid");
  const result = {
    ...layout, paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", autosize: !printing,
    width: printing ? width : undefined,
    modebar: { bgcolor: "rgba(0,0,0,0)", color: variable("--faint"), activecolor: ink },
    font: { family: "system-ui, sans-serif", size: 12, color: ink },
    hoverlabel: { bgcolor: variable("--ground"), bordercolor: variable("--line"), font: { color: ink } },
  };
  for (const key of Object.keys(layout)) {
    if (/^[xy]axis\d*$/.test(key)) {
      result[key] = { ...layout[key], automargin: true, gridcolor: grid, linecolor: grid, zerolinecolor: grid };
    }
  }
  return result;
}

function draw(id, figure) {
  const place = document.getElementById(id);
  place.figure = figure;
  drawn.add(place);
  const layout = themed(figure.layout, place.closest(".effects") ? PRINTED_PX / 2 - 10 : PRINTED_PX);
  return Plotly.react(place, figure.data, layout, { responsive: true, displaylogo: false });
}

function redraw() { for (const place of drawn) draw(place.id, place.figure); }

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => refresh());
for (const [name, now] of [["beforeprint", true], ["afterprint", false]]) {
  addEventListener(name, () => {
    printing = now;
    refresh();
    if (!now) for (const place of drawn) Plotly.Plots.resize(place);
  });
}

const number = new Intl.NumberFormat("en-US", { maximumFractionDigits: 20, maximumSignificantDigits: 6 });
const whole = new Intl.NumberFormat("en-US");
function text(value) {
  if (value === null || value === undefined) return "";
  if (typeof value === "number") return Number.isInteger(value) ? whole.format(value) : number.format(value);
  return Array.isArray(value) ? JSON.stringify(value) : String(value);
}

// columns: [{name, unit, label}], rows: objects by name, marked: rows to be set off.
function fill(id, columns, rows, marked = new Set()) {
  const table = document.getElementById(id);
  table.replaceChildren();
  const head = table.createTHead().insertRow(), body = table.createTBody();
  const kinds = columns.map((c) => (rows.every((r) => r[c.name] == null || typeof r[c.name] === "number") ? "" : "text"));
  const write = (ordered) => {
    body.replaceChildren(...ordered.map((row) => {
      const line = document.createElement("tr");
      if (marked.has(row)) line.className = "front";
      columns.forEach((column, index) => {
        const cell = line.insertCell();
        cell.textContent = text(row[column.name]);
        cell.className = kinds[index];
      });
      return line;
    }));
  };
  columns.forEach((column, index) => {
    const cell = document.createElement("th"), button = document.createElement("button");
    cell.className = kinds[index];
    cell.scope = "col";
    cell.title = column.meaning || "";
    button.textContent = column.title || column.name.replaceAll("_", " ");
    const unit = document.createElement("small");
    unit.textContent = [column.unit, column.label].filter(Boolean).join(" ") || "\u00a0";
    button.append(unit);
    button.addEventListener("click", () => {
      const up = cell.getAttribute("aria-sort") !== "ascending";
      for (const other of head.cells) other.removeAttribute("aria-sort");
      cell.setAttribute("aria-sort", up ? "ascending" : "descending");
      write(sorted(rows, column.name, up));
    });
    cell.append(button);
    head.append(cell);
  });
  write(rows);
}

function sorted(rows, name, up) {
  const compare = (a, b) => (typeof a === "number" && typeof b === "number" ? a - b : text(a).localeCompare(text(b)));
  return [...rows].sort((a, b) => {
    const x = a[name], y = b[name];
    if (x == null || y == null) return (x == null) - (y == null);
    return up ? compare(x, y) : compare(y, x);
  });
}
