// A log on the screen: followed, searched, and gone about in.

import { LineList } from "./line-list.js";
import { LogLines, matcher } from "./log-lines.js";
import { LogStream } from "./log-stream.js";
import { row } from "./log-rows.js";
import { h, icon, show } from "./dom.js";
import { plural } from "./words.js";

const FIRST = 2000; // lines asked for at first
const MORE = 5; // times as many when older ones are asked for
const RETRY = 700;

export class LogView {
  // `source()`: {path, query, ended, labels} of what is shown now, or nothing.
  constructor(source) {
    this.source = source;
    this.following = true;
    this.query = "";
    this.only = false;
    this.list = new LineList((line) => row(line, this.matching, this.source()?.labels));
    this.list.wrap = matchMedia("(max-width: 800px)").matches;
    this.stream = new LogStream(() => this.draw(), (still) => this.idle(still));
    this.build();
    this.reset();
    new ResizeObserver(() => this.measure()).observe(this.list.scroller);
  }

  // ------------------------------------------------------------ the frame

  build() {
    this.find = h("input", { type: "search", placeholder: "Find in the log", "aria-label": "Find in the log", id: "log-find" });
    this.count = h("span", { class: "count", role: "status" });
    this.tools = h("div", { class: "tools" });
    this.which = h("select", { "aria-label": "Which log", hidden: true });
    this.note = h("p", { class: "log-note", role: "status" });
    this.more = h("button", { class: "more", type: "button", hidden: true });
    this.node = h("section", { class: "log-view", "aria-label": "Log" }, this.tools, this.note, h("div", { class: "log-frame" }, this.list.scroller, this.more));
    this.list.scroller.addEventListener("scroll", () => this.scrolled(), { passive: true });
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
    const button = (text, title, act, label) => {
      const node = h("button", { type: "button", title, "aria-label": label }, text);
      node.addEventListener("click", act);
      return node;
    };
    this.onlyButton = button("Only matches", "Show only lines that match", () => this.showOnly(!this.only));
    this.wholeButton = button("Search all of it", "Read the whole log and keep what matches", () => this.searchAll());
    this.followButton = button("Follow", "Stay at the end (f)", () => this.follow(!this.following));
    this.wrapButton = button("Wrap", "Break long lines", () => this.setWrap(!this.list.wrap));
    this.earlierButton = button("Earlier lines", "Load older lines", () => this.earlier());
    this.raw = h("a", { class: "button", target: "_blank", rel: "noopener", title: "The log as it is" }, "Raw");
    this.previous = button("↑", "Shift+Enter", () => this.step(-1), "Match before");
    this.next = button("↓", "Enter", () => this.step(1), "Next match");
    this.tools.append(
      this.which, this.find, this.count, this.previous, this.next, this.onlyButton, this.wholeButton,
      h("span", { class: "gap" }), this.earlierButton, this.wrapButton, this.followButton, this.raw,
    );
  }

  frame() {
    const searching = Boolean(this.query);
    const older = this.held.first > 0 && this.held.first !== this.oldest && !this.searchesAll;
    for (const node of [this.count, this.previous, this.next, this.onlyButton]) node.hidden = !searching;
    this.wholeButton.hidden = !searching || !(older || this.held.gone) || this.searchesAll;
    this.earlierButton.hidden = !older || this.held.gone > 0;
    this.onlyButton.setAttribute("aria-pressed", this.only);
    this.followButton.setAttribute("aria-pressed", this.following);
    this.wrapButton.setAttribute("aria-pressed", this.list.wrap);
    this.list.scroller.classList.toggle("wrap", this.list.wrap);
    this.more.hidden = this.following || !this.fresh;
    if (this.fresh) show(this.more, icon("down"), `${plural(this.fresh, "new line")}`);
    if (searching) {
      const place = this.place >= 0 && this.place < this.matches.length ? `${this.place + 1} of ` : "";
      this.count.textContent = this.matches.length ? `${place}${this.matches.length}` : "none";
    }
    const told = this.told();
    if (this.note.textContent !== told) this.note.textContent = told;
  }

  told() {
    if (this.none) return this.none;
    if (this.stream.problem) return this.stream.problem;
    if (this.searchesAll) return this.searched();
    if (this.held.first > 0 && this.held.first === this.oldest) return "Older lines are gone: the log is over its cap.";
    if (this.held.gone) return "Older lines are not held here: search all of the log, or open it raw.";
    if (!this.held.lines.length && !this.held.unfinished) return this.stream.state === "loading" ? "" : "Nothing was written yet.";
    return "";
  }

  // Of a log that goes on there is an end that was there when the search began.
  searched() {
    const { offset, lines, skipped, gone } = this.held;
    const { ended, goal, state } = this.stream;
    if (!ended && !(offset >= goal)) return state === "lost" ? "The search was cut off and goes on when the agent answers." : "Searching all of the log …";
    const found = `All of the log was searched: ${this.matches.length} of ${plural(lines.length + gone + skipped, "line")}`;
    return ended && this.source()?.ended ? `${found}.` : `${found}; new ones are added as they are written.`;
  }

  // ------------------------------------------------------------ what is shown

  // Called whenever something changed: goes on with the same log, or turns to another. `none`: what to say where
  // there is no log. While the agent is away, what is shown of this log stays, and of another nothing is.
  turn(choices, chosen, up, none = "") {
    const source = this.source();
    const key = source ? `${source.path} ${JSON.stringify(source.query)}` : "";
    show(this.which, choices.map(([value, text]) => h("option", { value, "data-key": value }, text)));
    this.which.hidden = choices.length < 2;
    this.which.value = chosen;
    this.raw.hidden = !source;
    if (source) this.raw.href = `.${source.path}?${new URLSearchParams({ ...source.query, follow: "false" })}`;
    if (key !== this.opened) this.leave(key);
    this.none = none;
    if (up && key !== this.key) {
      this.key = key;
      this.asked = FIRST;
      this.oldest = undefined;
      if (this.searchesAll && source) this.searchAll();
      else this.restart();
    } else if (up && source && !this.stream.reading && !source.ended && this.stream.state !== "loading") this.read({ offset: this.held.offset });
    this.frame(); // it may have ended meanwhile
  }

  // Nothing of what was looked for in one log is true of another.
  leave(key) {
    this.opened = key;
    clearTimeout(this.typing);
    this.find.value = this.query = "";
    this.matching = this.anchor = undefined;
    this.only = this.searchesAll = false;
    this.following = true;
    this.close();
    this.reset();
    this.list.scroller.scrollLeft = 0;
  }

  restart() {
    this.stream.stop();
    this.searchesAll = false;
    this.reset();
    if (this.source()) this.read({ tail: this.asked });
  }

  close() {
    this.stream.stop();
    this.key = undefined;
  }

  reset(keep) {
    this.held = new LogLines(keep);
    this.taken = 0; // of held.lines, counted from the log's beginning
    this.matches = [];
    this.place = -1;
    this.reached = undefined;
    this.fresh = 0;
    this.stream.problem = "";
    this.stream.state = "loading";
    this.list.empty();
    this.frame();
  }

  read(position) {
    this.stream.read(this.source(), position, this.held, this.searchesAll);
  }

  idle(still) {
    if (this.source()?.ended) return;
    setTimeout(() => {
      if (still() && !document.hidden) this.onIdle?.();
    }, RETRY);
  }

  earlier() {
    this.anchor = { before: this.list.lines.length, top: this.list.scroller.scrollTop };
    this.asked *= MORE;
    this.following = false;
    const { first } = this.held;
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
    if (this.held.begun && this.held.first === this.reached) this.oldest = this.held.first;
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
    if (matches) this.matches.push(this.list.lines.length);
    this.list.push(line);
    return true;
  }

  again() {
    this.matches = [];
    this.taken = this.held.gone;
    this.list.empty();
  }

  measure() {
    if (this.list.measure()) this.again();
    this.draw();
  }

  render() {
    const { list } = this;
    if (!list.height || !this.node.isConnected) return;
    const unfinished = this.only ? undefined : this.held.unfinished;
    list.resize(unfinished);
    if (this.anchor && this.stream.state === "open" && list.lines.length > this.anchor.before) {
      list.scroller.scrollTop = list.top(list.lines.length - this.anchor.before) + this.anchor.top;
      this.anchor = undefined;
    }
    if (this.following) list.scroller.scrollTop = list.scroller.scrollHeight;
    this.placed = list.scroller.scrollTop;
    list.draw(unfinished, this.matches[this.place]);
    this.frame();
  }

  // ------------------------------------------------------------ moving about

  scrolled() {
    const { scrollTop, scrollHeight, clientHeight } = this.list.scroller;
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
    this.list.wrap = on;
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
    this.list.scroller.focus();
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
    this.list.scroller.scrollTop = Math.max(0, this.list.top(this.matches[this.place]) - this.list.scroller.clientHeight / 2);
    this.draw();
  }

  searchAll() {
    const matching = matcher(this.query);
    this.stream.stop();
    this.reset((text) => text.search(matching) >= 0);
    this.searchesAll = this.only = this.following = true;
    this.stream.goal = undefined;
    this.read({ offset: 0 });
    this.frame();
  }

  // To the agent's own notes: where sessions begin and runs end.
  jump(by) {
    const { lines, scroller } = this.list;
    const here = this.list.at(scroller.scrollTop + this.list.height / 2);
    const stop = by < 0 ? -1 : lines.length;
    for (let at = here + by; at !== stop && at >= 0 && at < lines.length; at += by) {
      if (!lines[at].kind) continue;
      this.following = false;
      scroller.scrollTop = this.list.top(at);
      break;
    }
    this.draw();
  }
}
