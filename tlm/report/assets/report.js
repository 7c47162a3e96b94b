"use strict";
// What run and sweep have in common: figures in the colours of the page, and tables that sort.
const drawn = new Set();
let printing = false, refresh = redraw;
const PAPER = { "--ground": "#ffffff", "--ink": "#000000", "--faint": "#444444", "--line": "#999999", "--grid": "#dddddd" };
const PRINTED_PX = 1000, PRINTED_HIGH_PX = 550;  // a figure with its heading, on a page of A4 across
const CONTRAST = 2.5, LIGHTER = { "#6b0700": "#b06cf0", "#4c001f": "#d9cbe4" };  // would look like others by lightness alone
const variable = (name) => (printing ? PAPER[name] : getComputedStyle(document.documentElement).getPropertyValue(name).trim());
const dataOf = (id) => JSON.parse(document.getElementById(id).textContent);

// On a narrow page the legend stands below, or nothing would be left for the figure.
const narrow = matchMedia("(max-width: 900px)"), NARROW_LEGEND_PX = 130;

function themed(layout, width) {
  const ink = variable("--ink"), grid = variable("--grid");
  const result = {
    ...layout, paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", autosize: !printing,
    width: printing ? width : undefined, height: printing ? Math.min(layout.height, PRINTED_HIGH_PX) : layout.height,
    modebar: { bgcolor: "rgba(0,0,0,0)", color: variable("--faint"), activecolor: ink },
    font: { family: "system-ui, sans-serif", size: 12, color: ink },
    hoverlabel: { bgcolor: variable("--ground"), bordercolor: variable("--line"), font: { color: ink } },
  };
  if (narrow.matches && !printing) {
    result.legend = { ...layout.legend, orientation: "h", x: 0, y: 0, yref: "container", yanchor: "bottom" };
    result.height += NARROW_LEGEND_PX;
  }
  for (const key of Object.keys(layout)) {
    if (/^[xy]axis\d*$/.test(key)) {
      result[key] = { ...layout[key], automargin: true, gridcolor: grid, linecolor: grid, zerolinecolor: grid };
    }
  }
  return result;
}

// Colours are made for paper; on a dark ground those that could not be told from it become lighter.
const channels = (colour) => [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16));
function luminance(rgb) {
  const [r, g, b] = rgb.map((c) => (c <= 10 ? c / 3294.6 : ((c / 255 + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}
function visible(colour) {
  const ground = variable("--ground");
  if (Array.isArray(colour)) return colour.map(visible);
  if (!/^#[0-9a-f]{6}$/i.test(colour) || luminance(channels(ground)) > 0.5) return colour;
  const wanted = CONTRAST * (luminance(channels(ground)) + 0.05) - 0.05;
  let rgb = channels(LIGHTER[colour] ?? colour);
  while (luminance(rgb) < wanted) rgb = rgb.map((c) => Math.min(255, Math.round(c * 1.08) + 6));
  return "#" + rgb.map((c) => c.toString(16).padStart(2, "0")).join("");
}
function coloured(trace) {
  const result = { ...trace };
  for (const part of ["marker", "line"]) {
    if (trace[part]?.color) result[part] = { ...trace[part], color: visible(trace[part].color) };
  }
  return result;
}

function draw(id, figure) {
  const place = document.getElementById(id);
  place.figure = figure;
  drawn.add(place);
  const layout = themed(figure.layout, place.closest(".effects") ? PRINTED_PX / 2 - 10 : PRINTED_PX);
  return Plotly.react(place, figure.data.map(coloured), layout, { responsive: true, displaylogo: false });
}

function redraw() { for (const place of drawn) draw(place.id, place.figure); }

for (const query of [matchMedia("(prefers-color-scheme: dark)"), narrow]) query.addEventListener("change", () => refresh());
for (const [name, now] of [["beforeprint", true], ["afterprint", false]]) {
  addEventListener(name, () => {
    printing = now;
    refresh();
    if (!now) for (const place of drawn) Plotly.Plots.resize(place);
  });
}

const number = new Intl.NumberFormat("en-US", { maximumFractionDigits: 20, maximumSignificantDigits: 6 });
const DIGITS = 6, MOST_ROWS = 500;
const whole = new Intl.NumberFormat("en-US");
function text(value) {
  if (value === null || value === undefined) return "";
  if (typeof value === "number") return Number.isInteger(value) ? whole.format(value) : number.format(value);
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}
// Plotly reads tags in what it writes.
const plain = (value) => text(value).replaceAll("&", "&amp;").replaceAll("<", "&lt;");

// Not Math.max(...values): a hundred thousand arguments are too many for a call.
const largest = (values, least) => values.reduce((a, b) => Math.max(a, b), least);

// How the numbers of a column are written: with as many decimals each, six significant digits of the largest.
function writer(values) {
  const numbers = values.filter((value) => typeof value === "number");
  if (numbers.every(Number.isInteger)) return text;
  const before = Math.max(1, Math.floor(Math.log10(largest(numbers.map(Math.abs), 1e-12))) + 1);
  const decimals = Math.min(Math.max(0, DIGITS - before), largest(numbers.map(decimalsOf), 0));
  const format = new Intl.NumberFormat("en-US", { minimumFractionDigits: decimals, maximumFractionDigits: decimals });
  return (value) => (typeof value === "number" ? format.format(value) : text(value));
}
function decimalsOf(value) {
  const written = String(Number(value.toPrecision(DIGITS)));
  return written.includes("e") ? 20 : (written.split(".")[1] ?? "").length;
}

// columns: [{name, unit, label}], rows: objects by name, marked: rows to be set off, rowwise: a row is one figure. Of many rows the first are shown, in
// the order that was chosen, until one asks for all: tens of thousands of cells make every filter wait, and fill reams.
function fill(id, columns, rows, { marked = new Set(), rowwise = false } = {}) {
  const table = document.getElementById(id), more = document.getElementById(`${id}-more`);
  table.replaceChildren();
  let ordered = rows, most = MOST_ROWS;
  const head = table.createTHead().insertRow(), body = table.createTBody();
  const kinds = columns.map((c) => (rows.every((r) => r[c.name] == null || typeof r[c.name] === "number") ? "" : "text"));
  // Columns of one unit have the same decimals; or each row has its own, where it is one figure of several results.
  const writers = columns.map((c) => {
    const alike = columns.filter((other) => other === c || (c.unit && other.unit === c.unit));
    return writer(alike.flatMap((other) => rows.map((r) => r[other.name])));
  });
  const rowWriter = (row) => (rowwise ? writer(columns.map((c) => row[c.name])) : null);
  const write = () => {
    const all = document.createElement("button");
    all.textContent = "show all";
    all.addEventListener("click", () => { most = Infinity; write(); });
    more.replaceChildren(...(ordered.length > most ? [`the first ${whole.format(most)} of ${whole.format(ordered.length)} rows `, all] : []));
    body.replaceChildren(...ordered.slice(0, most).map((row) => {
      const line = document.createElement("tr");
      if (marked.has(row)) line.className = "front";
      const own = rowWriter(row);
      columns.forEach((column, index) => {
        const cell = line.insertCell();
        cell.textContent = (own ?? writers[index])(row[column.name]);
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
    for (const word of (column.title || column.name.replaceAll("_", " ")).split(/(?<=[._])/)) {
      button.append(word, document.createElement("wbr"));  // long keys go on in a second line
    }
    const unit = document.createElement("small");
    unit.textContent = [column.unit === column.title ? "" : column.unit, column.label].filter(Boolean).join(" ") || "\u00a0";
    button.append(unit);
    button.addEventListener("click", () => {
      const up = cell.getAttribute("aria-sort") !== "ascending";
      for (const other of head.cells) other.removeAttribute("aria-sort");
      cell.setAttribute("aria-sort", up ? "ascending" : "descending");
      ordered = sorted(rows, column.name, up);
      write();
    });
    cell.append(button);
    head.append(cell);
  });
  write();
}

function sorted(rows, name, up) {
  const compare = (a, b) => (typeof a === "number" && typeof b === "number" ? a - b : text(a).localeCompare(text(b)));
  return [...rows].sort((a, b) => {
    const x = a[name], y = b[name];
    if (x == null || y == null) return (x == null) - (y == null);
    return up ? compare(x, y) : compare(y, x);
  });
}
