"use strict";
// The views and the sources: which stage is shown, and how one side follows the other.
const code = (() => {
  const $ = (id) => document.getElementById(id);
  const VIEWS = [...document.querySelectorAll("#views a")].map((link) => link.dataset.view);
  const stages = JSON.parse($("stage-places").textContent);
  const panes = { reference: $("pane-reference"), kernels: $("pane-kernels") };
  const state = { view: "live", stage: stages[0].name, leader: null };

  const lineHeight = () => parseFloat(getComputedStyle(document.querySelector("pre")).lineHeight);
  const article = (path) => document.getElementById(path);
  const paneOf = (file) => file.closest(".pane");
  /** The height in its pane of a file's line, from 1. */
  const top = (file, line) => file.offsetTop + file.querySelector(".body").offsetTop + (line - 1) * lineHeight();

  // ---- Line numbers: links to the lines, made when a file comes into view.
  const number = (file) => {
    const gutter = file.querySelector(".gutter");
    const lines = Number(file.style.getPropertyValue("--lines"));
    const path = file.id;
    gutter.innerHTML = Array.from({ length: lines }, (_, i) => `<a tabindex="-1" href="../${path}#L${i + 1}">${i + 1}</a>`).join("");
  };
  const seen = new IntersectionObserver((entries) => {
    for (const entry of entries.filter((entry) => entry.isIntersecting)) {
      seen.unobserve(entry.target);
      number(entry.target);
    }
  }, { rootMargin: "300px" });
  for (const file of document.querySelectorAll(".file")) seen.observe(file);

  // ---- Stages.
  const mark = (file, className, first, last) => {
    const mark = document.createElement("div");
    mark.className = `mark ${className}`;
    mark.style.setProperty("--first", first - 1);
    mark.style.setProperty("--count", last - first + 1);
    file.querySelector(".body").append(mark);
  };

  const scrollTo = (pane, to) => {
    const far = Math.abs(pane.scrollTop - to) > 4 * pane.clientHeight;
    const still = far || matchMedia("(prefers-reduced-motion: reduce)").matches;
    pane.scrollTo({ top: to, behavior: still ? "instant" : "smooth" });
  };

  /** Shows a stage: its math, and its place in every pane but the one that led there. */
  const show = (name, leader = null) => {
    const stage = stages.find((stage) => stage.name === name);
    if (!stage) return;
    state.stage = name;
    for (const link of document.querySelectorAll("#stages a")) {
      if (link.dataset.stage === name) link.setAttribute("aria-current", "true");
      else link.removeAttribute("aria-current");
      // Not scrollIntoView, which would scroll the page as well.
      if (link.dataset.stage === name) $("stages").scrollLeft = link.offsetLeft - $("stages").clientWidth / 2;
    }
    for (const doc of document.querySelectorAll("#stage article")) doc.hidden = doc.dataset.stage !== name;
    $("stage").scrollTop = 0;
    document.querySelectorAll(".mark.stage").forEach((mark) => mark.remove());
    for (const [side, pane] of Object.entries(panes)) {
      const place = stage[side];
      const file = article(place.path);
      mark(file, "stage", ...place.lines);
      if (pane !== leader && pane.offsetParent) scrollTo(pane, place.lines[0] === 1 ? file.offsetTop - titleHeight(pane) : top(file, place.lines[0]) - 70);
    }
  };
  const titleHeight = (pane) => pane.querySelector(".pane-title").offsetHeight;

  /** The stage at a third of the way down a pane. */
  const stageAt = (side) => {
    const pane = panes[side];
    const probe = pane.scrollTop + pane.clientHeight / 3;
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
    if (state.view === "live") window.scrollTo(0, 0);
    // In a task of its own: the view and the stage are each laid out, and together would take long.
    else if (stage || state.view === "side-by-side") requestAnimationFrame(() => setTimeout(() => show(stage ?? state.stage)));
  };
  addEventListener("hashchange", route);
  route();

  // ---- Search.
  const query = $("query");
  const search = { text: "", hits: [], at: -1 };
  const sources = () => [...document.querySelectorAll(".file")].filter((file) => {
    return state.view === "live" || state.view === "side-by-side" || paneOf(file).id === `pane-${state.view}`;
  });
  const find = () => {
    search.text = query.value.toLowerCase();
    search.at = -1;
    search.hits = [];
    document.querySelectorAll(".mark.hit").forEach((mark) => mark.remove());
    if (search.text.length > 1) {
      for (const file of sources()) {
        file.lower ??= file.querySelector("code").textContent.toLowerCase().split("\n");
        file.lower.forEach((line, i) => line.includes(search.text) && search.hits.push({ file, line: i + 1 }));
      }
    }
    $("hits").textContent = search.text.length > 1 ? `${search.hits.length} lines` : "";
  };
  const next = (by) => {
    if (query.value.toLowerCase() !== search.text) find();
    if (search.hits.length === 0) return;
    if (state.view === "live") {
      location.hash = "#side-by-side";
      route();
    }
    search.at = (search.at + by + search.hits.length) % search.hits.length;
    const { file, line } = search.hits[search.at];
    const pane = paneOf(file);
    state.leader = null;
    document.querySelectorAll(".mark.hit").forEach((mark) => mark.remove());
    for (const hit of search.hits.filter((hit) => hit.file === file)) mark(file, hit.line === line ? "hit here" : "hit", hit.line, hit.line);
    pane.scrollTo({ top: top(file, line) - pane.clientHeight / 3, behavior: "instant" });
    $("hits").textContent = `${search.at + 1} of ${search.hits.length}`;
  };
  let typing = 0;
  query.oninput = () => {
    clearTimeout(typing);
    typing = setTimeout(find, 150);
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
