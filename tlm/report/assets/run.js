"use strict";
// Draws the figures of a run; their values are those of tlm.plots, checked there.
const data = dataOf("data");
const ROW_PX = 20, REST_PX = 130, ROOFLINE_PX = 480;
const ENTRY_PX = 19, BELOW_PX = 40;  // a line of the legend, and how far below the rows the legend may reach
const MILLION = 1e6, LONG_TITLE = 30;  // letters that fit below half a narrow page
const GAP = 0.03;  // between two panels, of the width of both
// A line around a bar, invisible: without one plotly widens bars shorter than a pixel to whole pixels, over their
// neighbours; with one it draws them as long as they are.
const UNSNAPPED = { width: 0.02, color: "rgba(0, 0, 0, 0)" };
const FRAME = { margin: { t: 30, r: 20, b: 50 }, legend: { traceorder: "normal" } };
// Beside another panel a long title goes on in a second line.
const axis = (title, more) => ({ title: { text: narrow.matches && title.length > LONG_TITLE ? title.replace(", ", ",<br>") : title }, tickformat: ",", showgrid: true, ...more });
const short = new Intl.NumberFormat("en-US", { maximumSignificantDigits: 4 });

function hover(panel, series, bar) {
  const [, start, length, label] = bar;
  if (panel.spans) return `${series.name} ${plain(label)}<br>${whole.format(length)} ${panel.unit} from ${whole.format(start)} on`;
  return `${series.name}: ${(Number.isInteger(length) ? whole : short).format(length)} ${panel.unit}`;
}

const named = (rows) => ({ tickvals: [...rows.keys()], ticktext: rows.map(plain), showgrid: false, zeroline: false, ticks: "" });

function bars(chart) {
  const known = new Set(), traces = [], width = (1 + GAP) / chart.panels.length;
  const layout = { ...FRAME, barmode: "overlay" };
  chart.panels.forEach((panel, index) => {
    const number = index ? index + 1 : "", column = (series, at) => series.bars.map((bar) => bar[at]);
    for (const series of panel.series) {
      const colours = column(series, 5);
      traces.push({
        type: "bar", orientation: "h", name: series.name, legendgroup: series.name, showlegend: !known.has(series.name),
        xaxis: `x${number}`, y: column(series, 0), base: column(series, 1), x: column(series, 2),
        offset: series.bars.map((bar) => bar[4][0]), width: series.bars.map((bar) => bar[4][1]),
        marker: { color: colours.some(Boolean) ? colours : series.colour, line: UNSNAPPED },
        hovertext: series.bars.map((bar) => hover(panel, series, bar)), customdata: series.bars.map((bar) => plain(chart.rows[bar[0]])),
        hovertemplate: "%{hovertext}<extra>%{customdata}</extra>",
      });
      known.add(series.name);
    }
    const domain = [index * width, (index + 1) * width - GAP];
    layout[`xaxis${number}`] = axis(panel.axis, { domain, range: [0, panel.end], anchor: "y", ticks: "", tickangle: 0, nticks: narrow.matches ? (panel.end < MILLION ? 5 : 3) : 8 });
  });
  const rows = chart.rows.length;
  layout.height = Math.max(rows * ROW_PX + REST_PX, known.size * ENTRY_PX + REST_PX - BELOW_PX);
  layout.yaxis = { ...named(chart.rows), range: [rows - 0.4, -0.6] };
  return { data: traces, layout };
}

function roofline({ axes, limits, corners, roofs, causes, labels }) {
  const traces = [{
    type: "scatter", mode: "lines", name: "roofs", x: corners.map(([x]) => x), y: corners.map(([, y]) => y),
    text: [roofs[0], roofs.join("<br>"), roofs[1]], hovertemplate: "%{text}<extra></extra>", line: { color: "#808080", width: 2 },
  }];
  for (const { name, colour, points } of causes) {
    traces.push({
      type: "scatter", mode: "markers", name, x: points.map((point) => point.x), y: points.map((point) => point.y),
      customdata: points.map((point) => [plain(point.name), point.tops, point.share]),
      hovertemplate: "%{customdata[0]}<br>%{x:,.1f} MACs/byte<br>%{y:,.1f} MACs/cycle = %{customdata[1]:.3f} TOPS"
        + "<br>%{customdata[2]} of its roof<extra></extra>",
      marker: { color: colour, opacity: 1, line: { width: 1, color: "#606060" },
        size: points.map((point) => (point.number ? 9 : 14)), symbol: points.map((point) => (point.number ? "circle" : "star")) },
    });
  }
  const ends = limits.map((limit) => limit.map(Math.log10)), logarithmic = { type: "log", exponentformat: "none", dtick: 1 };
  const layout = { ...FRAME, height: ROOFLINE_PX,
    annotations: labels.map(([x, y, label, xshift, yshift]) => (
      { text: label, showarrow: false, x: Math.log10(x), y: Math.log10(y), xshift, yshift })),
    xaxis: axis(axes[0], { range: ends[0], ...logarithmic }), yaxis: axis(axes[1], { range: ends[1], ...logarithmic }) };
  return { data: traces, layout };
}

// Lines lead from the row that makes a tensor to those that read it; columns of text stand beside them.
function network({ rows, homes, colours, links, columns, end }) {
  const traces = links.map(({ points, home, residual }) => (
    { type: "scatter", mode: "lines", x: points.map(([x]) => x), y: points.map(([, y]) => y), showlegend: false,
      line: { color: colours[home], width: 2, dash: residual ? "4px,3px" : "solid" }, hoverinfo: "skip" }));
  for (const [home, color] of Object.entries(colours)) {
    const own = [...rows.keys()].filter((row) => homes[row] === home);
    traces.push({ type: "scatter", mode: "markers", name: home, x: own.map(() => 0), y: own,
      marker: { color, size: 9, opacity: 1, line: { width: 1, color: "#606060" } }, hoverinfo: "skip" });
  }
  for (const { at, head, texts } of columns) {
    traces.push({ type: "scatter", mode: "text", x: [head, ...texts].map(() => at), y: [-1, ...rows.keys()], showlegend: false,
      text: [`<b>${head}</b>`, ...texts.map(plain)], textposition: "middle right", cliponaxis: false, hoverinfo: "skip" });
  }
  const layout = { ...FRAME, height: rows.length * ROW_PX + REST_PX, dragmode: false,
    legend: { orientation: "h", x: 0, y: 0, yanchor: "top" },
    xaxis: { range: [-1, end], showgrid: false, zeroline: false, showticklabels: false, ticks: "", fixedrange: true },
    yaxis: { ...named(rows), range: [rows.length - 0.4, -1.6], fixedrange: true } };
  return { data: traces, layout };
}

const KINDS = { network, roofline };
for (const [id, shown] of Object.entries(data.figures)) draw(id, (KINDS[id] ?? bars)(shown));
for (const [id, { columns, rows }] of Object.entries(data.tables)) fill(id, columns, rows, { rowwise: data.rowwise });
document.documentElement.dataset.ready = "true";
