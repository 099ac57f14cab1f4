"use strict";
// What is drawn: decoded signals in levels of detail, spans, time axes.

const DATA = JSON.parse(document.getElementById("data").textContent);
const FACTOR = 4;
const cache = new Map();

function decode(id) {
  const text = atob(document.getElementById(id).textContent);
  const out = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) out[i] = text.charCodeAt(i);
  return out.buffer;
}

// A recording's facts, its signal as levels of ever wider bins, and its spans.
function opened(k) {
  if (cache.has(k)) return cache.get(k);
  const facts = DATA.recordings[k], signal = new Uint16Array(decode(`signal${k}`));
  const sides = facts.bin > 1 ? 2 : 1, low = [], high = [];
  facts.channels.forEach((_, c) => {
    const part = s => signal.subarray((c * sides + s) * facts.bins, (c * sides + s + 1) * facts.bins);
    low.push(part(0));
    high.push(part(sides - 1));
  });
  const levels = [{width: facts.bin, count: facts.bins, low, high}];
  while (levels.at(-1).count > 2000) levels.push(coarser(levels.at(-1)));
  const raw = decode(`spans${k}`), count = raw.byteLength / 26, spans = [];
  const [start, end, score] = [0, 1, 2].map(i => new Float64Array(raw, i * 8 * count, count));
  const label = new Uint16Array(raw, 24 * count, count);
  for (let i = 0; i < count; i++)
    spans.push({i, start: start[i], end: end[i], score: score[i], label: label[i]});
  const last = spans.reduce((most, s) => Math.max(most, s.end), facts.steps / facts.rate) || 1;
  const labels = [...new Set(spans.map(s => s.label))].sort((a, b) => a - b);
  const of = new Map(labels.map(l => [l, spans.filter(s => s.label === l)]));
  const days = facts.clock !== null && Math.floor(facts.clock / 86400) < Math.floor((facts.clock + last) / 86400);
  const found = {...facts, k, levels, spans, of, last, days, labels};
  cache.set(k, found);
  return found;
}

function coarser(level) {
  const count = Math.ceil(level.count / FACTOR);
  const part = (from, pick) => {
    const out = new Uint16Array(count);
    for (let i = 0; i < level.count; i++) {
      const at = Math.floor(i / FACTOR), code = from[i];
      // 0 is a missing value.
      if (code && (!out[at] || pick(code, out[at]))) out[at] = code;
    }
    return out;
  };
  return {
    width: level.width * FACTOR, count,
    low: level.low.map(from => part(from, (a, b) => a < b)),
    high: level.high.map(from => part(from, (a, b) => a > b)),
  };
}

// The extremes of a channel in each of `pixels` columns, as codes; 0 where there is nothing.
function columns(rec, c, t0, t1, pixels) {
  const perPixel = (t1 - t0) * rec.rate / pixels, from = t0 * rec.rate;
  const level = rec.levels.findLast(l => l.width <= perPixel) ?? rec.levels[0];
  const lows = level.low[c], highs = level.high[c];
  const low = new Uint16Array(pixels), high = new Uint16Array(pixels);
  for (let x = 0; x < pixels; x++) {
    const a = Math.max(0, Math.floor((from + x * perPixel) / level.width));
    const b = Math.min(level.count, Math.max(a + 1, Math.ceil((from + (x + 1) * perPixel) / level.width)));
    for (let i = a; i < b; i++) {
      if (lows[i] && (!low[x] || lows[i] < low[x])) low[x] = lows[i];
      if (highs[i] > high[x]) high[x] = highs[i];
    }
  }
  return {low, high};
}

function value(rec, c, code) {
  const [least, most] = rec.ends[c];
  return least + (code - 1) / 65534 * (most - least);
}

// A function from a code to 0 (bottom) ... 1 (top) of the channel's lane.
function scale(rec, c) {
  const [low, high] = rec.view[c];
  return code => Math.min(1, Math.max(0, (value(rec, c, code) - low) / (high - low)));
}

function drawChannel(g, rec, c, box, t0, t1, colour) {
  const to = scale(rec, c), y = code => box.y + box.h - 1 - to(code) * (box.h - 2);
  const perPixel = (t1 - t0) * rec.rate / box.w;
  g.strokeStyle = g.fillStyle = colour;
  g.lineWidth = 1;
  if (rec.bin === 1 && perPixel < 1) {
    // A step covers its whole length; its value is drawn in the middle.
    const codes = rec.levels[0].low[c];
    const first = Math.max(0, Math.floor(t0 * rec.rate) - 1), last = Math.min(rec.bins, Math.ceil(t1 * rec.rate) + 1);
    let drawing = false;
    g.beginPath();
    for (let i = first; i < last; i++) {
      const x = box.x + ((i + 0.5) / rec.rate - t0) / (t1 - t0) * box.w;
      if (codes[i] && drawing) g.lineTo(x, y(codes[i]));
      else if (codes[i]) g.moveTo(x, y(codes[i]));
      drawing = codes[i] > 0;
      if (drawing && perPixel < 0.15) g.rect(x - 1, y(codes[i]) - 1, 2, 2);
    }
    g.stroke();
    return;
  }
  const {low, high} = columns(rec, c, t0, t1, box.w);
  let top = null, bottom = null;
  for (let x = 0; x < box.w; x++) {
    if (!high[x]) { top = null; continue; }
    let upper = y(high[x]), lower = y(low[x]);
    const own = [upper, lower];
    // Neighbours touch, or a steep edge would leave a hole.
    if (top !== null) { upper = Math.min(upper, bottom); lower = Math.max(lower, top); }
    g.fillRect(box.x + x, upper - 0.5, 1, Math.max(1, lower - upper + 1));
    [top, bottom] = own;
  }
}

// Cividis, which people with any colour vision read alike: from low to high.
const RAMP = [[0, 34, 78], [53, 69, 108], [102, 105, 112], [148, 142, 119], [200, 184, 102], [254, 232, 56]];

function drawRows(g, rec, box, t0, t1) {
  const image = new ImageData(box.w, rec.channels.length);
  rec.channels.forEach((_, c) => {
    const {low, high} = columns(rec, c, t0, t1, box.w), to = scale(rec, c);
    for (let x = 0; x < box.w; x++) {
      if (!high[x]) continue;
      const place = (to(low[x]) + to(high[x])) / 2 * (RAMP.length - 1);
      const i = Math.min(RAMP.length - 2, Math.floor(place)), part = place - i;
      for (let k = 0; k < 3; k++)
        image.data[(c * box.w + x) * 4 + k] = RAMP[i][k] + part * (RAMP[i + 1][k] - RAMP[i][k]);
      image.data[(c * box.w + x) * 4 + 3] = 255;
    }
  });
  const small = new OffscreenCanvas(box.w, rec.channels.length);
  small.getContext("2d").putImageData(image, 0, 0);
  g.imageSmoothingEnabled = false;
  g.drawImage(small, box.x, box.y, box.w, box.h);
}

const colourOf = label => DATA.colours[label % DATA.colours.length];
const strength = span => 0.2 + 0.8 * Math.min(1, Math.max(0, span.score));

function drawBar(g, span, text, box, t0, t1, ground) {
  const left = box.x + (span.start - t0) / (t1 - t0) * box.w, right = box.x + (span.end - t0) / (t1 - t0) * box.w;
  if (right < box.x || left > box.x + box.w) return;
  const x = Math.max(left, box.x - 2), w = Math.max(1.5, Math.min(right, box.x + box.w + 2) - x);
  const alpha = strength(span), colour = colourOf(span.label);
  g.globalAlpha = alpha;
  g.fillStyle = colour;
  g.fillRect(x, box.y, w, box.h);
  g.globalAlpha = 1;
  if (w < 8) return;
  g.strokeStyle = colour;
  g.strokeRect(x + 0.5, box.y + 0.5, w - 1, box.h - 1);
  const shown = Math.min(x + w, box.x + box.w) - Math.max(x, box.x);
  if (!text || box.h < 11 || shown < g.measureText(text).width + 6) return;
  const own = [1, 3, 5].map(i => parseInt(colour.slice(i, i + 2), 16));
  const [r, green, b] = own.map((part, i) => ((alpha * part + (1 - alpha) * ground[i]) / 255) ** 2.2);
  // From this luminance on black has the higher contrast.
  g.fillStyle = 0.2126 * r + 0.7152 * green + 0.0722 * b > 0.18 ? "#000" : "#fff";
  g.fillText(text, Math.max(x, box.x) + 3, box.y + box.h / 2);
}

function fitted(g, text, width) {
  if (g.measureText(text).width <= width) return text;
  while (text && g.measureText(text + "…").width > width) text = text.slice(0, -1);
  return text + "…";
}

const STEPS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400];

// Seconds between ticks, at least `least`.
function tickStep(least) {
  if (least > 86400) return Math.ceil(least / 86400) * 86400;
  if (least > 1) return STEPS.find(s => s >= least);
  const power = 10 ** Math.floor(Math.log10(least));
  return [1, 2, 5, 10].map(f => f * power).find(s => s >= least * 0.999);
}

// 75.25 as 1:15.25; below a minute with its unit.
function elapsed(t, decimals) {
  const whole = Number(Math.abs(t).toFixed(decimals)), sign = t < 0 && whole ? "-" : "";
  if (whole < 60) return `${sign}${whole.toFixed(decimals)} s`;
  const hours = Math.floor(whole / 3600), minutes = Math.floor(whole / 60) % 60;
  const rest = (whole - hours * 3600 - minutes * 60).toFixed(decimals).padStart(decimals ? decimals + 3 : 2, "0");
  return sign + (hours ? `${hours}:${String(minutes).padStart(2, "0")}:${rest}` : `${minutes}:${rest}`);
}

function clockText(rec, t, decimals, date) {
  const parts = 10 ** decimals, all = Math.round((rec.clock + t) * parts), whole = Math.floor(all / parts);
  const text = new Date(whole * 1000).toISOString();
  const rest = decimals ? "." + String(all - whole * parts).padStart(decimals, "0") : "";
  return (date ? text.slice(0, 10) + " " : "") + text.slice(11, 19) + rest;
}
