// What the reader does: move, zoom, choose.

const byId = id => document.getElementById(id);
const lanes = byId("lanes"), overview = byId("overview"), tip = byId("tip"), legend = byId("legend");
const hidden = new Set();
let rec, t0 = 0, t1 = 1, threshold = DATA.threshold, chosen = null, pointed = null, cross = null;
let boxes = [], plot = {x: 0, w: 1}, strip = null, waiting = false, theme = {};
// Borders of the canvases are not theirs to draw on.
const FONT = "12px system-ui, sans-serif";

const seen = span => !hidden.has(span.label) && span.score >= threshold;
const timeOf = x => t0 + (x - plot.x) / plot.w * (t1 - t0);
const digits = () => Math.max(0, Math.min(6, Math.ceil(-Math.log10((t1 - t0) / 1000))));
const clocked = () => rec.clock !== null && byId("clock")?.checked;
const when = (t, decimals = rec.decimals) =>
  clocked() ? clockText(rec, t, decimals, rec.days) : elapsed(t, decimals);

// A width of the view: from eight bins to the whole recording.
const bounded = width => Math.min(rec.last, Math.max(8 * rec.bin / rec.rate, width));

function go(start, end) {
  const width = bounded(end - start);
  const middle = (start + end) / 2;
  t0 = Math.min(Math.max(0, middle - width / 2), rec.last - width);
  t1 = t0 + width;
  redraw();
}

function zoom(factor, at = (t0 + t1) / 2) {
  factor = bounded((t1 - t0) * factor) / (t1 - t0);
  const start = at - (at - t0) * factor;
  go(start, start + (t1 - t0) * factor);
}

const move = seconds => go(t0 + seconds, t1 + seconds);

function redraw() {
  if (waiting) return;
  waiting = true;
  requestAnimationFrame(() => { waiting = false; draw(); });
}

function show(k) {
  rec = opened(k);
  byId("recording").value = k;
  chosen = pointed = cross = null;
  for (const table of document.querySelectorAll(".spans")) table.hidden = table.id !== `table${k}`;
  if (byId("clock")) byId("clock").parentNode.hidden = rec.clock === null;
  legend.replaceChildren(...rec.labels.map(label => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = DATA.labels[label];
    button.style.setProperty("--own", colourOf(label));
    button.setAttribute("aria-pressed", !hidden.has(label));
    button.addEventListener("click", () => {
      hidden.delete(label) || hidden.add(label);
      button.setAttribute("aria-pressed", !hidden.has(label));
      choose();
    });
    return button;
  }));
  lanes.setAttribute("aria-label", `signal and spans of ${rec.id}; the spans are in the table below`);
  choose();
  go(0, rec.last);
}

// What is shown has changed: the count, the table, the strip.
function choose() {
  byId("above").textContent = `${threshold.toFixed(2)}: ${rec.spans.filter(seen).length} of ${rec.spans.length} shown`;
  for (const row of document.querySelectorAll(`#table${rec.k} tbody tr`))
    row.hidden = !seen(rec.spans[row.dataset.i]);
  strip = null;
  redraw();
}

function pick(span, scroll) {
  chosen = span;
  document.querySelector("tr.chosen")?.classList.remove("chosen");
  const row = document.querySelector(`#table${rec.k} tr[data-i="${span.i}"]`);
  row?.classList.add("chosen");
  if (scroll && row) {
    const frame = row.closest(".scroll");
    frame.scrollTop = row.offsetTop - frame.clientHeight / 2;
  }
  redraw();
}

function visit(span) {
  if (hidden.delete(span.label)) for (const [i, label] of rec.labels.entries())
    legend.children[i].setAttribute("aria-pressed", !hidden.has(label));
  if (!seen(span)) byId("threshold").value = threshold = Math.max(0, Math.floor(span.score * 100) / 100);
  choose();
  const length = span.end - span.start, width = t1 - t0, middle = (span.start + span.end) / 2;
  const wanted = length > 0.6 * width || length < 0.02 * width ? Math.max(4 * length, 20 / rec.rate) : width;
  go(middle - wanted / 2, middle + wanted / 2);
  pick(span, true);
}

function jump(by) {
  const list = rec.spans.filter(seen).sort((a, b) => a.start - b.start || a.i - b.i);
  if (!list.length) return;
  const at = list.indexOf(chosen), centre = (t0 + t1) / 2, whole = t1 - t0 > 0.999 * rec.last;
  let next = at + by;
  if (at < 0 && by > 0) next = list.findIndex(s => whole || s.start > centre);
  if (at < 0 && by < 0) next = whole ? list.length - 1 : list.findLastIndex(s => s.start < centre);
  if (list[next]) visit(list[next]);
}

function sized(canvas, height) {
  const ratio = devicePixelRatio || 1, width = canvas.clientWidth;
  canvas.style.height = `${height}px`;
  if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
  }
  const g = canvas.getContext("2d");
  g.setTransform(ratio, 0, 0, ratio, 0, 0);
  g.clearRect(0, 0, width, height);
  g.font = FONT;
  g.textBaseline = "middle";
  return [g, width];
}

// Lanes from top to bottom; on a narrow screen names stand in the lanes, not beside them.
function layout(g, width) {
  const names = rec.channels, many = names.length > DATA.lanes, wide = width >= 640;
  const texts = [...names, ...rec.labels.map(label => DATA.labels[label])];
  const gutter = wide ? Math.min(180, Math.max(...texts.map(text => g.measureText(text).width)) + 16) : 0;
  plot = {x: Math.ceil(gutter), w: Math.max(10, Math.floor(width - gutter))};
  let y = 24;
  boxes = [];
  const add = (kind, h, more, above = 0) => {
    boxes.push({kind, x: plot.x, w: plot.w, top: y, y: y + above, h, ...more});
    y += above + h + 4;
  };
  if (many) add("rows", Math.max(140, Math.min(3.2 * names.length | 0, 420)), {});
  else names.forEach((name, c) => add("channel", names.length > 6 ? 42 : names.length > 3 ? 58 : 84, {c, name}));
  y += 4;
  const above = wide ? 0 : 14;
  for (const label of rec.labels) add("label", 20, {label, name: DATA.labels[label]}, above);
  return y + 2;
}

function draw() {
  const css = getComputedStyle(document.body), get = name => css.getPropertyValue(name).trim();
  const ground = get("--ground"), hex = ground.length === 4 ? ground.replace(/[^#]/g, "$&$&") : ground;
  theme = {text: get("--text"), soft: get("--soft"), line: get("--line"), ground, link: get("--link"),
    rgb: [1, 3, 5].map(i => parseInt(hex.slice(i, i + 2), 16))};
  const measure = lanes.getContext("2d");
  measure.font = FONT;
  const height = layout(measure, lanes.clientWidth), [g] = sized(lanes, height), far = plot.x + plot.w;
  drawAxis(g, height);
  for (const box of boxes) drawLane(g, box);
  for (const span of new Set([chosen, pointed])) {
    if (!span || !seen(span) || span.end < t0 || span.start > t1) continue;
    const x = Math.max(plot.x, plot.x + (span.start - t0) / (t1 - t0) * plot.w);
    const end = Math.min(far, plot.x + (span.end - t0) / (t1 - t0) * plot.w);
    g.globalAlpha = 0.13;
    g.fillStyle = colourOf(span.label);
    g.fillRect(x, 22, Math.max(1, end - x), height - 22);
    g.globalAlpha = 1;
    if (span !== chosen) continue;
    g.strokeStyle = theme.text;
    const bar = boxes.find(b => b.label === span.label);
    g.lineWidth = 2;
    g.strokeRect(x, bar.y, Math.max(2, end - x), bar.h);
  }
  if (cross !== null && cross >= plot.x) {
    g.fillStyle = theme.soft;
    g.fillRect(Math.round(cross), 22, 1, height - 22);
  }
  drawOverview();
  const zone = clocked() && rec.zone ? ` (UTC${rec.zone})` : "";
  // There is no more to see of a signal below the width of its bins.
  const coarse = rec.bin > 1 && (t1 - t0) * rec.rate / plot.w < rec.bin;
  const bins = coarse ? ` · drawn in bins of ${Number((rec.bin / rec.rate).toPrecision(3))} s` : "";
  byId("picked").textContent = chosen ? ` · ${described(chosen)}` : "";
  byId("range").textContent = `${when(t0, digits())} to ${when(t1, digits())} of ${elapsed(rec.last, rec.decimals)}${zone}${bins}`;
}

function drawAxis(g, height) {
  const step = tickStep(100 / plot.w * (t1 - t0)), decimals = step >= 1 ? 0 : Math.ceil(-Math.log10(step) - 1e-9);
  const shift = clocked() ? rec.clock % 86400 : 0;
  let free = 0;
  for (let n = Math.ceil((t0 + shift) / step - 1e-9); n * step - shift <= t1; n++) {
    const t = n * step - shift, x = Math.round(plot.x + (t - t0) / (t1 - t0) * plot.w);
    g.fillStyle = theme.line;
    g.fillRect(x, 22, 1, height - 22);
    let text = clocked() ? clockText(rec, t, decimals, true) : elapsed(t, decimals);
    // A new day has its date, full minutes no seconds.
    if (clocked()) text = n * step % 86400 === 0 ? text.slice(5, 10) : text.slice(11, step >= 60 ? 16 : undefined);
    const w = g.measureText(text).width, left = Math.max(2, Math.min(x - w / 2, plot.x + plot.w - w - 2));
    if (left < free) continue;
    g.fillStyle = theme.soft;
    g.fillText(text, left, 12);
    free = left + w + 8;
  }
}

function drawLane(g, box) {
  g.save();
  g.beginPath();
  g.rect(box.x, box.top, box.w, box.h + box.y - box.top);
  g.clip();
  if (box.kind === "rows") drawRows(g, rec, box, t0, t1);
  if (box.kind === "channel") drawChannel(g, rec, box.c, box, t0, t1, theme.soft);
  if (box.kind === "label") {
    const mine = rec.of.get(box.label).filter(s => s.end >= t0 && s.start <= t1 && seen(s));
    for (const span of mine.sort((a, b) => a.score - b.score))
      drawBar(g, span, span.score.toFixed(2), {...box, h: 17}, t0, t1, theme.rgb);
  }
  g.restore();
  g.fillStyle = box.kind === "label" && hidden.has(box.label) ? theme.soft : theme.text;
  if (box.kind === "rows") {
    const all = rec.channels;
    if (plot.x) [0, all.length - 1].forEach((c, end) =>
      g.fillText(fitted(g, all[c], plot.x - 10), 4, box.y + (end ? box.h - 8 : 8)));
  } else if (plot.x) g.fillText(fitted(g, box.name, plot.x - 10), 4, box.y + Math.min(box.h, 20) / 2 + (box.c >= 0 ? box.h / 2 - 10 : 0));
  else {
    const text = fitted(g, box.name, box.w - 12), name = g.fillStyle;
    g.globalAlpha = 0.75;
    g.fillStyle = theme.ground;
    g.fillRect(2, box.top, g.measureText(text).width + 6, 13);
    g.globalAlpha = 1;
    g.fillStyle = name;
    g.fillText(text, 4, box.top + 7);
  }
  if (box.kind !== "rows") {
    g.fillStyle = theme.line;
    g.fillRect(box.x, box.y + box.h + 1, box.w, 1);
  }
}

// The whole recording: its channels over each other, and the spans. It changes seldom, so it is kept.
function drawOverview() {
  const [g, width] = sized(overview, 52), key = `${width} ${theme.ground} ${devicePixelRatio}`;
  if (strip?.key !== key) {
    const canvas = new OffscreenCanvas(overview.width, overview.height), o = canvas.getContext("2d");
    const ratio = devicePixelRatio || 1, box = {x: 0, y: 2, w: Math.floor(width), h: 34};
    o.scale(ratio, ratio);
    if (rec.channels.length > DATA.lanes) drawRows(o, rec, box, 0, rec.last);
    else rec.channels.forEach((_, c) => {
      o.globalAlpha = 0.35;
      drawChannel(o, rec, c, box, 0, rec.last, theme.soft);
    });
    o.globalAlpha = 1;
    for (const span of rec.spans) if (seen(span))
      drawBar(o, span, "", {x: 0, w: width, y: 39, h: 9}, 0, rec.last, theme.rgb);
    strip = {key, canvas};
  }
  g.drawImage(strip.canvas, 0, 0, width, 52);
  const a = t0 / rec.last * width, b = Math.max(a + 6, t1 / rec.last * width);
  g.fillStyle = theme.ground;
  g.globalAlpha = 0.6;
  g.fillRect(0, 0, a, 52);
  g.fillRect(b, 0, width - b, 52);
  g.globalAlpha = 1;
  g.strokeStyle = theme.link;
  g.lineWidth = 2;
  g.strokeRect(Math.max(1, a), 1, Math.min(b, width - 1) - Math.max(1, a), 50);
}
