"use strict";
// The views and the sources: which stage is shown, and how one side follows the other.
const code = (() => {
  const $ = (id) => document.getElementById(id);
  const VIEWS = [...document.querySelectorAll("#views a")].map((link) => link.dataset.view);
  const stages = JSON.parse($("stage-places").textContent);
  const panes = { reference: $("pane-reference"), kernels: $("pane-kernels") };
  const state = { view: "live", stage: stages[0].name, leader: null };

  const LINE = parseFloat(getComputedStyle(document.documentElement).getPropertyValue("--lh"));
  /** How far below the top of its pane a stage's first line is put. */
  const LEAD = 70;
  const article = (path) => document.getElementById(path);
  const paneOf = (file) => file.closest(".pane");

  // Where the files lie in their panes: asked for in every frame of a scroll, and the same until a width changes.
  const offsets = new Map();
  addEventListener("resize", () => offsets.clear());
  const offset = (file) => {
    if (!offsets.has(file)) offsets.set(file, file.offsetTop + file.querySelector(".body").offsetTop);
    return offsets.get(file);
  };
  /** The height in its pane of a file's line, from 1. */
  const top = (file, line) => offset(file) + (line - 1) * LINE;

  // ---- Line numbers: links to the lines, there while the chunk with their lines is laid out.
  const numbers = new Map();
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

  // ---- Stages.
  const mark = (file, className, first, last) => {
    const mark = document.createElement("div");
    mark.className = `mark ${className}`;
    mark.style.setProperty("--first", first - 1);
    mark.style.setProperty("--count", last - first + 1);
    file.querySelector(".body").append(mark);
  };

  /** Where a pane scrolls to for a stage, and how; nothing for a pane that is not shown. */
  const way = (pane, { path, lines }) => {
    if (!pane.offsetParent) return null;
    const to = Math.max(0, top(article(path), lines[0]) - LEAD);
    const far = Math.abs(pane.scrollTop - to) > 4 * pane.clientHeight;
    const still = far || matchMedia("(prefers-reduced-motion: reduce)").matches;
    return { top: to, behavior: still ? "instant" : "smooth" };
  };

  /** Shows a stage: its math, and its place in every pane but the one that led there. */
  const show = (name, leader = null) => {
    const stage = stages.find((stage) => stage.name === name);
    if (!stage) return;
    state.stage = name;
    // All that is measured comes before all that is changed: a layout between changes would be one more.
    const ways = Object.entries(panes).map(([side, pane]) => [pane, pane === leader ? null : way(pane, stage[side])]);
    const link = document.querySelector(`#stages [data-stage="${name}"]`);
    const along = link.offsetLeft - $("stages").clientWidth / 2;
    document.querySelector("#stages [aria-current]")?.removeAttribute("aria-current");
    link.setAttribute("aria-current", "true");
    for (const doc of document.querySelectorAll("#stage article")) doc.hidden = doc.dataset.stage !== name;
    document.querySelectorAll(".mark.stage").forEach((mark) => mark.remove());
    for (const side in panes) mark(article(stage[side].path), "stage", ...stage[side].lines);
    // Not scrollIntoView, which would scroll the page as well.
    $("stages").scrollLeft = along;
    $("stage").scrollTop = 0;
    for (const [pane, way] of ways) if (way) pane.scrollTo(way);
  };

  /** The stage that a pane shows where `show` puts one, a line or two below its first. */
  const stageAt = (side) => {
    const probe = panes[side].scrollTop + LEAD + 2 * LINE;
    return stages.find((stage) => {
      const file = article(stage[side].path);
      const [first, last] = stage[side].lines;
      return probe >= top(file, first) && probe < top(file, last + 1);
    });
  };

  for (const [side, pane] of Object.entries(panes)) {
    // Who touches a pane leads: what the other one scrolls by itself leads nowhere.
    for (const kind of ["wheel", "touchstart", "pointerdown", "keydown", "focusin"]) {
      pane.addEventListener(kind, () => (state.leader = pane), { passive: true });
    }
    let frame = 0;
    pane.addEventListener("scroll", () => {
      if (state.leader !== pane || frame) return;
      frame = requestAnimationFrame(() => {
        frame = 0;
        const stage = state.leader === pane && stageAt(side);
        if (stage && stage.name !== state.stage) {
          show(stage.name, pane);
          history.replaceState(null, "", `#${state.view}/${stage.name}`);
        }
      });
    }, { passive: true });
  }

  // ---- Views: `#side-by-side/attention`.
  const route = () => {
    const [view, stage] = location.hash.slice(1).split("/");
    state.view = VIEWS.includes(view) ? view : "live";
    document.body.dataset.view = state.view;
    for (const link of document.querySelectorAll("#views a")) {
      if (link.dataset.view === state.view) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
    }
    for (const link of document.querySelectorAll("#stages a")) link.href = `#${state.view}/${link.dataset.stage}`;
    state.leader = null;
    offsets.clear();
    if (state.view === "live") window.scrollTo(0, 0);
    // In a task of its own: the view and the stage are each laid out, and together would take long.
    else if (stage || state.view === "side-by-side") requestAnimationFrame(() => setTimeout(() => show(stage ?? state.stage)));
  };
  addEventListener("hashchange", route);
  route();

  // ---- Search.
  const query = $("query");
  const search = { text: "", hits: [], at: -1, due: 0, done: null };
  const sources = () => [...document.querySelectorAll(".file")].filter((file) => {
    return state.view === "live" || state.view === "side-by-side" || paneOf(file).id === `pane-${state.view}`;
  });
  /** Looks through the sources, in slices of a few milliseconds; ends early, with false, when another search begins. */
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
  const find = () => {
    clearTimeout(search.due);
    search.done = look();
  };
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

  // ---- Light and dark.
  const stored = (value) => {
    try {
      return value ? localStorage.setItem("theme", value) : localStorage.getItem("theme");
    } catch {
      return null; // A page from disk may have no storage.
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

  // ---- The keyboard.
  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input, textarea, select")) return;
    const step = { j: 1, k: -1 }[event.key];
    if (VIEWS[event.key - 1]) location.hash = `#${VIEWS[event.key - 1]}`;
    else if (step && state.view !== "live") {
      const index = stages.findIndex((stage) => stage.name === state.stage);
      location.hash = `#${state.view}/${stages[(index + step + stages.length) % stages.length].name}`;
    } else if (event.key === "/") query.focus();
    else if (event.key === "t") live.train();
    else if (event.key === "d") switchTheme();
    else return;
    event.preventDefault();
  });
  return { state, show };
})();
