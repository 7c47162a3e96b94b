"use strict";
const data = dataOf("data");
for (const [id, figure] of Object.entries(data.figures)) draw(id, figure);
fill("layers", data.columns, data.rows);
document.documentElement.dataset.ready = "true";
