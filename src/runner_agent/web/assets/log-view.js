// A log on the screen: of all its lines only those in sight are nodes.

import * as api from "./api.js";
import { LogLines, matcher } from "./log-lines.js";
import { row } from "./log-rows.js";
import { h, icon, show } from "./dom.js";
import { plural } from "./words.js";

const FIRST = 2000; // lines asked for at first
const MORE = 5; // times as many when older ones are asked for
const AHEAD = 30; // lines drawn beyond the edges
const RETRY = 700;

const start = (answer) => Number(answer.headers.get("x-log-start") ?? 0);

export class LogView {
  // `source()`: {path, query, ended, labels} of what is shown now, or nothing.
  constructor(source) {
    this.source = source;
    this.following = true;
    this.wrap = matchMedia("(max-width: 800px)").matches;
    this.query = "";
    this.only = false;
    this.nodes = new Map();
    this.build();
    this.reset();
    new ResizeObserver(() => this.measure()).observe(this.scroller);
  }

  // ------------------------------------------------------------ the frame

  build() {
    this.find = h("input", { type: "search", placeholder: "Find in the log", "aria-label": "Find in the log", id: "log-find" });
    this.count = h("span", { class: "count", role: "status" });
    this.tools = h("div", { class: "tools" });
    this.which = h("select", { "aria-label": "Which log", hidden: true });
    this.note = h("p", { class: "log-note", role: "status" });
    this.sizer = h("div", { class: "sizer" });
    this.lines = h("div", { class: "lines" });
    this.sizer.append(this.lines);
    this.scroller = h("div", { class: "log", tabindex: "0", role: "log", "aria-label": "Log", "aria-live": "off" }, this.sizer);
    this.more = h("button", { class: "more", type: "button", hidden: true });
    this.node = h("section", { class: "log-view", "aria-label": "Log" }, this.tools, this.note, h("div", { class: "log-frame" }, this.scroller, this.more));
    this.scroller.addEventListener("scroll", () => this.scrolled(), { passive: true });
    this.find.addEventListener("input", () => {
      clearTimeout(this.typing);
      this.typing = setTimeout(() => this.search(this.find.value), 120);
    });
    this.find.addEventListener("keydown", (event) => {
      if (event.key === "Enter") this.enter(event.shiftKey ? -1 : 1);
      else if (event.key === "Escape") this.endSearch();
      else return;
      event.preventDefault();
    });
    this.which.addEventListener("change", () => this.onWhich?.(this.which.value));
    this.more.addEventListener("click", () => this.follow(true));
    const button = (text, title, act) => {
      const node = h("button", { type: "button", title }, text);
      node.addEventListener("click", act);
      return node;
    };
    this.onlyButton = button("Only matches", "Show only lines that match", () => this.showOnly(!this.only));
    this.wholeButton = button("Search all of it", "Read the whole log and keep what matches", () => this.searchAll());
    this.followButton = button("Follow", "Stay at the end (f)", () => this.follow(!this.following));
    this.wrapButton = button("Wrap", "Break long lines", () => this.setWrap(!this.wrap));
    this.earlierButton = button("Earlier lines", "Load older lines", () => this.earlier());
    this.raw = h("a", { class: "button", target: "_blank", rel: "noopener", title: "The log as it is" }, "Raw");
    this.previous = h("button", { type: "button", "aria-label": "Match before", title: "Shift+Enter" }, "↑");
    this.next = h("button", { type: "button", "aria-label": "Next match", title: "Enter" }, "↓");
    this.previous.addEventListener("click", () => this.step(-1));
    this.next.addEventListener("click", () => this.step(1));
    this.tools.append(
      this.which, this.find, this.count, this.previous, this.next, this.onlyButton, this.wholeButton,
      h("span", { class: "gap" }), this.earlierButton, this.wrapButton, this.followButton, this.raw,
    );
  }

  frame() {
    const searching = Boolean(this.query);
    const older = this.first > 0 && this.first !== this.oldest && !this.searchesAll;
    for (const node of [this.count, this.previous, this.next, this.onlyButton]) node.hidden = !searching;
    this.wholeButton.hidden = !searching || !(older || this.held.gone) || this.searchesAll;
    this.earlierButton.hidden = !older || this.held.gone > 0;
    this.onlyButton.setAttribute("aria-pressed", this.only);
    this.followButton.setAttribute("aria-pressed", this.following);
    this.wrapButton.setAttribute("aria-pressed", this.wrap);
    this.scroller.classList.toggle("wrap", this.wrap);
    this.more.hidden = this.following || !this.fresh;
    if (this.fresh) show(this.more, icon("down"), `${plural(this.fresh, "new line")}`);
    if (searching) {
      const place = this.place >= 0 && this.place < this.matches.length ? `${this.place + 1} of ` : "";
      this.count.textContent = this.matches.length ? `${place}${this.matches.length}` : "none";
    }
    this.note.textContent = this.told();
  }

  told() {
    if (!this.source()) return this.none ?? "";
    if (this.problem) return this.problem;
    if (this.searchesAll) return this.searched();
    if (this.first > 0 && this.first === this.oldest) return "Older lines are gone: the log is over its cap.";
    if (this.held.gone) return "Older lines are not held here: search all of the log, or open it raw.";
    if (!this.held.lines.length && !this.held.unfinished) return this.state === "loading" ? "" : "Nothing was written yet.";
    return "";
  }

  // Of a log that goes on there is an end that was there when the search began.
  searched() {
    const { offset, lines, skipped } = this.held;
    if (!this.ended && !(offset >= this.goal)) return this.state === "lost" ? "The search was cut off and goes on when the agent answers." : "Searching all of the log …";
    const found = `All of the log was searched: ${this.matches.length} of ${plural(lines.length + this.held.gone + skipped, "line")}`;
    return this.ended && this.source()?.ended ? `${found}.` : `${found}; new ones are added as they are written.`;
  }

  // ------------------------------------------------------------ what is shown

  // Called whenever something changed: goes on with the same log, or turns to another.
  // `none`: what to say where there is no log.
  turn(choices, chosen, none = "") {
    const source = this.source();
    this.none = none;
    const key = source ? `${source.path} ${JSON.stringify(source.query)}` : "";
    show(this.which, choices.map(([value, text]) => h("option", { value, "data-key": value }, text)));
    this.which.hidden = choices.length < 2;
    this.which.value = chosen;
    this.raw.hidden = !source;
    if (source) this.raw.href = `.${source.path}?${new URLSearchParams({ ...source.query, follow: "false" })}`;
    if (key !== this.key) {
      if (key !== this.opened) this.leave();
      this.opened = this.key = key;
      this.asked = FIRST;
      this.oldest = undefined;
      if (this.searchesAll && source) this.searchAll();
      else this.restart();
    } else if (source && !this.streaming && !source.ended && this.state !== "loading") this.stream(this.held.offset);
    this.frame(); // it may have ended meanwhile
  }

  // Nothing of what was looked for in one log is true of another.
  leave() {
    clearTimeout(this.typing);
    this.find.value = this.query = "";
    this.matching = this.anchor = undefined;
    this.only = this.searchesAll = false;
    this.following = true;
    this.scroller.scrollLeft = 0;
  }

  restart() {
    this.abort?.abort();
    this.searchesAll = false;
    this.reset();
    if (this.source()) this.stream();
  }

  close() {
    this.abort?.abort();
    this.key = undefined;
    this.streaming = false;
  }

  reset(keep) {
    this.held = new LogLines(keep);
    this.shown = [];
    this.tops = [0];
    this.taken = 0; // of held.lines, counted from the log's beginning
    this.matches = [];
    this.place = -1;
    this.first = 0;
    this.reached = undefined;
    this.fresh = 0;
    this.problem = "";
    this.state = "loading";
    this.clear();
    this.frame();
  }

  clear() {
    this.nodes.clear();
    this.lines.replaceChildren();
  }

  async stream(offset) {
    const source = this.source();
    const abort = (this.abort = new AbortController());
    const position = this.searchesAll && offset === undefined ? { offset: 0 } : offset === undefined ? { tail: this.asked } : { offset };
    this.streaming = true;
    this.ended = false;
    try {
      if (this.searchesAll && this.goal === undefined) this.goal = start(await api.log(source.path, { ...source.query, follow: false, tail: 0 }, abort.signal));
      const answer = await api.log(source.path, { ...source.query, ...position }, abort.signal);
      if (offset === undefined) {
        this.first = start(answer);
        if (this.first === this.reached) this.oldest = this.first;
        this.held.begin(this.first);
      }
      this.problem = "";
      this.state = "open";
      const reader = answer.body.getReader();
      this.draw();
      for (;;) {
        const { done, value } = await reader.read();
        if (done) break;
        this.held.add(value);
        if (!this.drawing) this.draw();
        // What cannot be read as fast as it is written is not read faster: the screen goes first.
        if (performance.now() - (this.rested ?? 0) > 50) {
          await new Promise((resolve) => setTimeout(resolve));
          this.rested = performance.now();
        }
      }
      this.ended = true;
    } catch (error) {
      if (abort.signal.aborted) return;
      if (error instanceof api.Refused) this.problem = error.message;
      this.state = error instanceof api.Refused ? "refused" : "lost";
    }
    if (abort !== this.abort) return;
    this.streaming = false;
    this.draw();
    if (this.state === "refused" || this.source()?.ended) return;
    setTimeout(() => {
      if (abort === this.abort && !this.streaming && !document.hidden) this.onIdle?.();
    }, RETRY);
  }

  earlier() {
    const before = this.shown.length;
    const top = this.scroller.scrollTop;
    this.anchor = { before, top };
    this.asked *= MORE;
    this.following = false;
    const first = this.first;
    this.restart();
    this.reached = first; // if it begins there again, there is nothing before
  }

  // ------------------------------------------------------------ lines to rows

  draw() {
    if (this.drawing) return;
    this.drawing = true;
    requestAnimationFrame(() => {
      this.drawing = false;
      this.take();
      this.render();
    });
  }

  take() {
    const { lines, gone } = this.held;
    const known = this.taken;
    if (this.dropped !== gone) {
      this.dropped = gone;
      this.again();
    }
    let fresh = 0;
    for (let at = this.taken - gone; at < lines.length; at++) {
      if (this.sort(lines[at]) && gone + at >= known) fresh++;
    }
    this.taken = gone + lines.length;
    if (!this.following) this.fresh += fresh;
  }

  sort(line) {
    const matches = this.matching && line.plain.search(this.matching) >= 0;
    if (this.only && this.matching && !matches && line.kind !== "gap") return false;
    if (matches) this.matches.push(this.shown.length);
    this.shown.push(line);
    this.tops.push(this.tops[this.tops.length - 1] + this.rows(line));
    return true;
  }

  again() {
    this.shown = [];
    this.tops = [0];
    this.matches = [];
    this.taken = this.held.gone;
    this.clear();
  }

  rows(line) {
    return this.wrap && this.columns ? Math.max(1, Math.ceil(line.plain.length / this.columns)) : 1;
  }

  measure() {
    const probe = h("span", { class: "probe" }, "0".repeat(50));
    this.lines.append(probe);
    const box = probe.getBoundingClientRect();
    probe.remove();
    if (!box.width) return;
    this.height = parseFloat(getComputedStyle(this.lines).lineHeight) || box.height;
    const columns = Math.max(20, Math.floor((this.scroller.clientWidth - 24) / (box.width / 50)));
    const changed = columns !== this.columns && this.wrap;
    this.columns = columns;
    if (changed) this.again();
    this.draw();
  }

  render() {
    if (!this.height || !this.node.isConnected) return;
    const unfinished = this.only ? undefined : this.held.unfinished;
    const total = this.tops[this.shown.length] + (unfinished ? this.rows(unfinished) : 0);
    this.sizer.style.height = `${total * this.height + 12}px`;
    if (this.anchor && this.state === "open" && this.shown.length > this.anchor.before) {
      this.scroller.scrollTop = this.tops[this.shown.length - this.anchor.before] * this.height + this.anchor.top;
      this.anchor = undefined;
    }
    if (this.following) this.scroller.scrollTop = this.scroller.scrollHeight;
    this.placed = this.scroller.scrollTop;
    const from = Math.max(0, this.lineAt(this.scroller.scrollTop / this.height) - AHEAD);
    const to = Math.min(this.shown.length, this.lineAt((this.scroller.scrollTop + this.scroller.clientHeight) / this.height) + AHEAD);
    const wanted = new Set();
    const rows = [];
    for (let at = from; at < to; at++) {
      const line = this.shown[at];
      wanted.add(line);
      let node = this.nodes.get(line);
      if (!node) this.nodes.set(line, (node = this.row(line)));
      node.classList.toggle("current", this.matches[this.place] === at);
      rows.push(node);
    }
    for (const [line] of this.nodes) if (!wanted.has(line)) this.nodes.delete(line);
    if (unfinished && to === this.shown.length) rows.push(this.row(unfinished));
    this.lines.style.transform = `translateY(${this.tops[from] * this.height}px)`;
    this.arrange(rows);
    this.frame();
  }

  // Rows that stay are not touched, so that a selection in them stays too.
  arrange(rows) {
    const stay = new Set(rows);
    for (const node of [...this.lines.children]) if (!stay.has(node)) node.remove();
    let at = this.lines.firstChild;
    for (const node of rows) {
      if (node === at) at = at.nextSibling;
      else this.lines.insertBefore(node, at);
    }
  }

  row(line) {
    return row(line, this.matching, this.source()?.labels);
  }

  lineAt(row) {
    let low = 0;
    let high = this.shown.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.tops[middle + 1] <= row) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  // ------------------------------------------------------------ moving about

  scrolled() {
    const { scrollTop, scrollHeight, clientHeight } = this.scroller;
    if (Math.abs(scrollTop - this.placed) < 1) return; // that was us
    this.following = scrollHeight - scrollTop - clientHeight < 4;
    if (this.following) this.fresh = 0;
    this.draw();
  }

  follow(on) {
    this.following = on;
    if (on) this.fresh = 0;
    this.draw();
  }

  setWrap(on) {
    this.wrap = on;
    this.again();
    this.frame();
    this.measure();
  }

  search(query) {
    this.query = query;
    this.matching = matcher(query);
    if (this.searchesAll) {
      this.only = false;
      this.restart();
    }
    this.place = -1;
    this.again();
    this.take();
    if (this.matches.length) this.step(-1);
    else this.draw();
    this.frame();
  }

  // Whoever types fast presses Enter before the text was looked for.
  enter(by) {
    clearTimeout(this.typing);
    if (this.find.value !== this.query) this.search(this.find.value);
    else this.step(by);
  }

  endSearch() {
    clearTimeout(this.typing);
    this.find.value = "";
    this.only = false;
    this.search("");
    this.follow(true);
    this.scroller.focus();
  }

  showOnly(on) {
    this.only = on;
    this.place = -1;
    this.again();
    this.draw();
  }

  // From the end, where people are, backwards.
  step(by) {
    if (!this.matches.length) return;
    const count = this.matches.length;
    this.place = this.place < 0 ? (by < 0 ? count - 1 : 0) : (this.place + by + count) % count;
    this.following = false;
    const top = this.tops[this.matches[this.place]] * this.height;
    this.scroller.scrollTop = Math.max(0, top - this.scroller.clientHeight / 2);
    this.draw();
  }

  searchAll() {
    const matching = matcher(this.query);
    this.abort?.abort();
    this.reset((text) => text.search(matching) >= 0);
    this.searchesAll = this.only = this.following = true;
    this.goal = undefined;
    this.stream();
  }

  // To the agent's own notes: where sessions begin and runs end.
  jump(by) {
    const here = this.lineAt(this.scroller.scrollTop / this.height + 0.5);
    const stop = by < 0 ? -1 : this.shown.length;
    for (let at = here + by; at !== stop && at >= 0 && at < this.shown.length; at += by) {
      if (!this.shown[at].kind) continue;
      this.following = false;
      this.scroller.scrollTop = this.tops[at] * this.height;
      break;
    }
    this.draw();
  }
}
