"use strict";
// The views and the sources. A pane that is scrolled leads, and the other one follows to the same op.
const code = (() => {
  const $ = (id) => document.getElementById(id);
  const VIEWS = [...document.querySelectorAll("#views a")].map((link) => link.dataset.view);
  const ops = JSON.parse($("op-places").textContent);
  const panes = { reference: $("pane-reference"), kernels: $("pane-kernels") };
  const state = { view: "live", op: ops[0].name, leader: null };

  /** The height of a line in pixels. */
  const LINE = parseFloat(getComputedStyle(document.documentElement).getPropertyValue("--lh"));
  /** The distance in pixels from the top of a pane to the first line of its op. */
  const LEAD = 70;
  const article = (path) => document.getElementById(path);
  const paneOf = (file) => file.closest(".pane");

  /** The offsets of files in their panes. They are needed in each frame of a scroll, and only a resize changes them. */
  const offsets = new Map();
  addEventListener("resize", () => offsets.clear());
  const offset = (file) => {
    if (!offsets.has(file)) offsets.set(file, file.offsetTop + file.querySelector(".body").offsetTop);
    return offsets.get(file);
  };
  /** Returns the offset of a file's line, counted from 1, in the file's pane. */
  const top = (file, line) => offset(file) + (line - 1) * LINE;

  // ---- Line numbers
  const numbers = new Map();
  /** Adds the numbers of a chunk's lines, or removes them where the browser skips the chunk. */
  const number = (chunk, skipped = false) => {
    numbers.get(chunk)?.remove();
    if (skipped) return numbers.delete(chunk);
    const file = chunk.closest(".file");
    const links = document.createElement("div");
    const [first, count] = [Number(chunk.dataset.first), Number(chunk.dataset.lines)];
    links.style.setProperty("--first", first);
    links.innerHTML = Array.from({ length: count }, (_, i) => first + i + 1)
      .map((line) => `<a tabindex="-1" href="../${file.id}#L${line}">${line}</a>`).join("");
    file.querySelector(".gutter").append(links);
    numbers.set(chunk, links);
  };
  if ("oncontentvisibilityautostatechange" in document.body) {
    addEventListener("contentvisibilityautostatechange", ({ target, skipped }) => target.matches(".chunk") && number(target, skipped), true);
  } else document.querySelectorAll(".chunk").forEach((chunk) => number(chunk));

  // ---- Ops
  /** Marks lines of a file. */
  const mark = (file, className, first, last) => {
    const mark = document.createElement("div");
    mark.className = `mark ${className}`;
    mark.style.setProperty("--first", first - 1);
    mark.style.setProperty("--count", last - first + 1);
    file.querySelector(".body").append(mark);
  };

  /** Returns where and how a pane scrolls to an op, or null for a hidden pane. */
  const target = (pane, { path, lines }) => {
    if (!pane.offsetParent) return null;
    const to = Math.max(0, top(article(path), lines[0]) - LEAD);
    const far = Math.abs(pane.scrollTop - to) > 4 * pane.clientHeight;
    const instant = far || matchMedia("(prefers-reduced-motion: reduce)").matches;
    return { top: to, behavior: instant ? "instant" : "smooth" };
  };

  /** Shows the math of an op, and scrolls to it in each pane except the leader. */
  const show = (name, leader = null) => {
    const op = ops.find((op) => op.name === name);
    if (!op) return;
    state.op = name;
    // Measure everything before the first change. Otherwise the browser lays out once more in between.
    const targets = Object.entries(panes).map(([side, pane]) => [pane, pane === leader ? null : target(pane, op[side])]);
    const link = document.querySelector(`#ops [data-op="${name}"]`);
    const along = link.offsetLeft - $("ops").clientWidth / 2;
    document.querySelector("#ops [aria-current]")?.removeAttribute("aria-current");
    link.setAttribute("aria-current", "true");
    for (const doc of document.querySelectorAll("#op article")) doc.hidden = doc.dataset.op !== name;
    document.querySelectorAll(".mark.op").forEach((mark) => mark.remove());
    for (const side in panes) mark(article(op[side].path), "op", ...op[side].lines);
    // `scrollIntoView` would scroll the page as well.
    $("ops").scrollLeft = along;
    $("op").scrollTop = 0;
    for (const [pane, target] of targets) if (target) pane.scrollTo(target);
  };

  /** Returns the op that lies where `show` puts one, a line or two below its first line. */
  const opAt = (side) => {
    const probe = panes[side].scrollTop + LEAD + 2 * LINE;
    return ops.find((op) => {
      const file = article(op[side].path);
      const [first, last] = op[side].lines;
      return probe >= top(file, first) && probe < top(file, last + 1);
    });
  };

  for (const [side, pane] of Object.entries(panes)) {
    // Only a pane that the user touches leads. The other one scrolls too, but by script.
    for (const kind of ["wheel", "touchstart", "pointerdown", "keydown", "focusin"]) {
      pane.addEventListener(kind, () => (state.leader = pane), { passive: true });
    }
    let frame = 0;
    pane.addEventListener("scroll", () => {
      if (state.leader !== pane || frame) return;
      frame = requestAnimationFrame(() => {
        frame = 0;
        const op = state.leader === pane && opAt(side);
        if (op && op.name !== state.op) {
          show(op.name, pane);
          history.replaceState(null, "", `#${state.view}/${op.name}`);
        }
      });
    }, { passive: true });
  }

  // ---- Views
  /** Shows the view and the op of the address, such as `#side-by-side/attention`. */
  const route = () => {
    const [view, op] = location.hash.slice(1).split("/");
    state.view = VIEWS.includes(view) ? view : "live";
    document.body.dataset.view = state.view;
    for (const link of document.querySelectorAll("#views a")) {
      if (link.dataset.view === state.view) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
    }
    for (const link of document.querySelectorAll("#ops a")) link.href = `#${state.view}/${link.dataset.op}`;
    state.leader = null;
    offsets.clear();
    if (state.view === "live") window.scrollTo(0, 0);
    // The view and the op are laid out in two tasks, since one task would take long.
    else if (op || state.view === "side-by-side") requestAnimationFrame(() => setTimeout(() => show(op ?? state.op)));
  };
  addEventListener("hashchange", route);
  route();

  // ---- Search
  const query = $("query");
  const search = { text: "", hits: [], at: -1, due: 0, done: null };
  /** Returns the files of the view's panes, and all files in the live view. */
  const sources = () => [...document.querySelectorAll(".file")].filter((file) => {
    return state.view === "live" || state.view === "side-by-side" || paneOf(file).id === `pane-${state.view}`;
  });
  /** Searches in tasks of a few milliseconds. Returns false if another search has begun meanwhile. */
  const look = async () => {
    const text = query.value.toLowerCase();
    const hits = [];
    Object.assign(search, { text, hits, at: -1 });
    document.querySelectorAll(".mark.hit").forEach((mark) => mark.remove());
    let start = performance.now();
    for (const file of text.length > 1 ? sources() : []) {
      file.lower ??= file.querySelector("code").textContent.toLowerCase().split("\n");
      file.lower.forEach((line, i) => line.includes(text) && hits.push({ file, line: i + 1 }));
      if (performance.now() - start > 5) {
        await new Promise((resume) => setTimeout(resume));
        if (search.hits !== hits) return false;
        start = performance.now();
      }
    }
    $("hits").textContent = text.length > 1 ? `${hits.length} lines` : "";
    return true;
  };
  /** Begins a search for the text in the box. */
  const find = () => {
    clearTimeout(search.due);
    search.done = look();
  };
  /** Moves on by `by` hits. */
  const next = async (by) => {
    if (query.value.toLowerCase() !== search.text) find();
    if (!(await search.done) || search.hits.length === 0) return;
    if (state.view === "live") {
      location.hash = "#side-by-side";
      route();
    }
    search.at = (search.at + by + search.hits.length) % search.hits.length;
    const { file, line } = search.hits[search.at];
    const pane = paneOf(file);
    const to = top(file, line) - pane.clientHeight / 3;
    state.leader = null;
    document.querySelectorAll(".mark.hit").forEach((mark) => mark.remove());
    for (const hit of search.hits.filter((hit) => hit.file === file)) mark(file, hit.line === line ? "hit here" : "hit", hit.line, hit.line);
    pane.scrollTo({ top: to, behavior: "instant" });
    $("hits").textContent = `${search.at + 1} of ${search.hits.length}`;
  };
  query.oninput = () => {
    clearTimeout(search.due);
    search.due = setTimeout(find, 150);
  };
  $("search").onsubmit = (event) => {
    event.preventDefault();
    next(1);
  };
  query.onkeydown = (event) => {
    if (event.key === "Enter" && event.shiftKey) {
      event.preventDefault();
      next(-1);
    } else if (event.key === "Escape") {
      query.value = "";
      find();
      query.blur();
    }
  };

  // ---- Light and dark
  /** Returns the stored theme, or stores `value`. */
  const stored = (value) => {
    try {
      return value ? localStorage.setItem("theme", value) : localStorage.getItem("theme");
    } catch {
      return null; // A page from disk may lack storage.
    }
  };
  const theme = (name) => (document.documentElement.dataset.theme = name);
  if (stored()) theme(stored());
  const switchTheme = () => {
    const dark = matchMedia("(prefers-color-scheme: dark)").matches;
    const now = document.documentElement.dataset.theme ?? (dark ? "dark" : "light");
    theme(now === "dark" ? "light" : "dark");
    stored(document.documentElement.dataset.theme);
  };
  $("theme").onclick = switchTheme;

  // ---- The keyboard
  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input, textarea, select")) return;
    const step = { j: 1, k: -1 }[event.key];
    if (VIEWS[event.key - 1]) location.hash = `#${VIEWS[event.key - 1]}`;
    else if (step && state.view !== "live") {
      const index = ops.findIndex((op) => op.name === state.op);
      location.hash = `#${state.view}/${ops[(index + step + ops.length) % ops.length].name}`;
    } else if (event.key === "/") query.focus();
    else if (event.key === "t") live.train();
    else if (event.key === "d") switchTheme();
    else return;
    event.preventDefault();
  });
  return { state, show };
})();
