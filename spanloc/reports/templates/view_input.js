// What the pointer is over; pointers, keys and buttons.

function described(span) {
  const length = elapsed(span.end - span.start, rec.decimals);
  return `${DATA.labels[span.label]} (${span.score.toFixed(2)}), ${when(span.start)} to ${when(span.end)}, ${length} long`;
}

function placeOf(event) {
  const frame = lanes.getBoundingClientRect();
  return [event.clientX - frame.left - lanes.clientLeft, event.clientY - frame.top - lanes.clientTop];
}

function spansAt(x, y) {
  const box = boxes.find(b => y >= b.top && y < b.y + b.h + 2), slack = 2 / plot.w * (t1 - t0), t = timeOf(x);
  if (box?.kind !== "label" || x < plot.x) return [];
  return rec.of.get(box.label).filter(s => seen(s) && t >= s.start - slack && t <= s.end + slack).sort((a, b) => b.score - a.score);
}

function valuesAt(t, y) {
  const at = Math.floor(t * rec.rate / rec.bin), level = rec.levels[0], row = boxes.find(b => b.kind === "rows");
  if (at < 0 || at >= rec.bins) return [];
  const text = c => {
    const [low, high] = [level.low[c][at], level.high[c][at]].map(code => value(rec, c, code).toPrecision(4));
    return `${rec.channels[c]}: ${!level.high[c][at] ? "no value" : low === high ? low : `${low} … ${high}`}`;
  };
  if (!row) return rec.channels.map((_, c) => text(c));
  const c = Math.floor((y - row.y) / row.h * rec.channels.length);
  return c >= 0 && c < rec.channels.length ? [text(c)] : [];
}

function point(event) {
  const [x, y] = placeOf(event);
  const under = spansAt(x, y), t = timeOf(x);
  cross = x;
  pointed = under[0] ?? null;
  const lines = x < plot.x ? [] : [when(t, digits()), ...(under.length ? under.slice(0, 4).map(described) : valuesAt(t, y))];
  tip.hidden = !lines.length;
  tip.textContent = lines.join("\n");
  const {offsetWidth: w, offsetHeight: h} = tip, room = document.documentElement.clientWidth;
  tip.style.left = `${Math.max(4, event.clientX + 16 + w > room ? event.clientX - w - 16 : event.clientX + 16)}px`;
  tip.style.top = `${Math.max(4, Math.min(event.clientY + 14, innerHeight - h - 4))}px`;
  redraw();
}

function leave() {
  tip.hidden = true;
  cross = pointed = null;
  redraw();
}

function listen() {
  const fingers = new Map();
  let grip = null, moved = 0;
  lanes.addEventListener("pointerdown", event => {
    if (event.button) return;
    lanes.setPointerCapture(event.pointerId);
    fingers.set(event.pointerId, event);
    if (fingers.size === 1) moved = 0;
    grip = gripped();
  });
  // The times under the fingers, which stay under them.
  function gripped() {
    return [...fingers.values()].map(f => timeOf(placeOf(f)[0]));
  }
  lanes.addEventListener("pointermove", event => {
    if (!fingers.has(event.pointerId)) { if (event.pointerType === "mouse") point(event); return; }
    moved += Math.abs(event.clientX - fingers.get(event.pointerId).clientX);
    fingers.set(event.pointerId, event);
    if (moved < 4) return;
    lanes.classList.add("moving");
    leave();
    const [a, b] = [...fingers.values()].map(f => (placeOf(f)[0] - plot.x) / plot.w);
    let width = t1 - t0;
    if (fingers.size === 2 && Math.abs(a - b) > 0.02) width = Math.abs((grip[0] - grip[1]) / (a - b));
    width = bounded(width);
    go(grip[0] - a * width, grip[0] + (1 - a) * width);
  });
  for (const name of ["pointerup", "pointercancel"]) lanes.addEventListener(name, event => {
    if (!fingers.delete(event.pointerId)) return;
    lanes.classList.remove("moving");
    grip = gripped();
    if (name === "pointercancel" || moved >= 4 || fingers.size) return;
    const [span] = spansAt(...placeOf(event));
    point(event);
    if (span) pick(span, true);
  });
  // A finger leaves when it is lifted: what it pointed at stays.
  lanes.addEventListener("pointerleave", event => { if (event.pointerType === "mouse") leave(); });
  lanes.addEventListener("wheel", event => {
    const across = event.shiftKey ? event.deltaY || event.deltaX : event.deltaX;
    const unit = event.deltaMode ? 33 : 1;
    if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) {
      event.preventDefault();
      return move(across * unit / plot.w * (t1 - t0));
    }
    // With all in view, rolling on moves the page.
    if (event.deltaY > 0 && t1 - t0 > 0.9999 * rec.last && !event.ctrlKey) return;
    event.preventDefault();
    zoom(Math.exp(Math.max(-300, Math.min(300, event.deltaY * unit)) * (event.ctrlKey ? 0.01 : 0.002)),
      timeOf(placeOf(event)[0]));
  }, {passive: false});

  let dragged = null;
  overview.addEventListener("pointerdown", event => {
    overview.setPointerCapture(event.pointerId);
    const t = event.offsetX / overview.clientWidth * rec.last;
    if (t < t0 || t > t1) move(t - (t0 + t1) / 2);
    dragged = t - t0;
  });
  overview.addEventListener("pointermove", event => {
    if (dragged === null) return;
    const start = event.offsetX / overview.clientWidth * rec.last - dragged;
    go(start, start + t1 - t0);
  });
  for (const name of ["pointerup", "pointercancel"]) overview.addEventListener(name, () => { dragged = null; });

  const actions = {
    previous: () => jump(-1), next: () => jump(1), out: () => zoom(1.6), in: () => zoom(1 / 1.6),
    all: () => go(0, rec.last),
  };
  for (const [id, action] of Object.entries(actions)) byId(id).addEventListener("click", action);
  const keys = {
    ArrowLeft: () => move((t0 - t1) / 5), ArrowRight: () => move((t1 - t0) / 5),
    "+": actions.in, "=": actions.in, "-": actions.out, Home: actions.all, n: actions.next, p: actions.previous,
  };
  addEventListener("keydown", event => {
    if (event.ctrlKey || event.metaKey || event.altKey || !Object.hasOwn(keys, event.key)) return;
    // These have their own use of keys.
    if (event.target.closest?.("input, select, .scroll") && !"np+-=".includes(event.key)) return;
    event.preventDefault();
    keys[event.key]();
  });

  byId("recording").addEventListener("change", event => show(Number(event.target.value)));
  byId("threshold").value = threshold;
  byId("threshold").addEventListener("input", event => {
    threshold = Number(event.target.value);
    choose();
  });
  byId("clock")?.addEventListener("change", redraw);
  for (const row of document.querySelectorAll(".spans tbody")) row.addEventListener("click", event => {
    const link = event.target.closest("tr")?.querySelector("a");
    if (!link) return;
    event.preventDefault();
    history.replaceState(null, "", link.hash);
    follow();
  });
  function follow() {
    const [, k, i] = location.hash.match(/^#span=(\d+),(\d+)$/) ?? [];
    if (!DATA.recordings[k]) return false;
    if (!rec || rec.k !== Number(k)) show(Number(k));
    if (rec.spans[i]) visit(rec.spans[i]);
    return true;
  }
  addEventListener("hashchange", follow);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  byId("view").hidden = false;
  new ResizeObserver(redraw).observe(byId("view"));
  if (!follow()) show(0);
}

listen();
