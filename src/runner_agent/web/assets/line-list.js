// A list of any length in a box that scrolls: of all its lines only those in sight are nodes.

import { h } from "./dom.js";

const AHEAD = 30; // lines drawn beyond the edges
const PADDING = 12; // px above and below all lines

export class LineList {
  // `row(line)`: its node. `line.plain` is what is seen of it.
  constructor(row) {
    this.row = row;
    this.nodes = new Map();
    this.wrap = false;
    this.sizer = h("div", { class: "sizer" });
    this.box = h("div", { class: "lines" });
    this.sizer.append(this.box);
    this.scroller = h("div", { class: "log", tabindex: "0", role: "log", "aria-label": "Log", "aria-live": "off" }, this.sizer);
    this.empty();
  }

  empty() {
    this.lines = [];
    this.tops = [0]; // in rows
    this.nodes.clear();
    this.box.replaceChildren();
  }

  push(line) {
    this.lines.push(line);
    this.tops.push(this.tops[this.tops.length - 1] + this.rows(line));
  }

  rows(line) {
    return this.wrap && this.columns ? Math.max(1, Math.ceil(line.plain.length / this.columns)) : 1;
  }

  // True if the lines have to be pushed anew: they break elsewhere.
  measure() {
    const probe = h("span", { class: "probe" }, "0".repeat(50));
    this.box.append(probe);
    const size = probe.getBoundingClientRect();
    probe.remove();
    if (!size.width) return false;
    this.height = parseFloat(getComputedStyle(this.box).lineHeight) || size.height;
    const columns = Math.max(20, Math.floor((this.scroller.clientWidth - 24) / (size.width / 50)));
    const changed = columns !== this.columns && this.wrap;
    this.columns = columns;
    return changed;
  }

  // In px, from the beginning.
  top(at) {
    return this.tops[at] * this.height;
  }

  // The line at this many px.
  at(top) {
    const row = top / this.height;
    let low = 0;
    let high = this.lines.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.tops[middle + 1] <= row) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  resize(last) {
    const rows = this.tops[this.lines.length] + (last ? this.rows(last) : 0);
    this.sizer.style.height = `${rows * this.height + PADDING}px`;
  }

  // `last`: a line behind all others, drawn anew each time. `current`: the index of one that stands out.
  draw(last, current) {
    const { scrollTop, clientHeight } = this.scroller;
    const from = Math.max(0, this.at(scrollTop) - AHEAD);
    const to = Math.min(this.lines.length, this.at(scrollTop + clientHeight) + AHEAD);
    const wanted = new Set();
    const rows = [];
    for (let at = from; at < to; at++) {
      const line = this.lines[at];
      wanted.add(line);
      let node = this.nodes.get(line);
      if (!node) this.nodes.set(line, (node = this.row(line)));
      node.classList.toggle("current", current === at);
      rows.push(node);
    }
    for (const [line] of this.nodes) if (!wanted.has(line)) this.nodes.delete(line);
    if (last && to === this.lines.length) rows.push(this.row(last));
    this.box.style.transform = `translateY(${this.top(from)}px)`;
    this.arrange(rows);
  }

  // Rows that stay are not touched, so that a selection in them stays too.
  arrange(rows) {
    const stay = new Set(rows);
    for (const node of [...this.box.children]) if (!stay.has(node)) node.remove();
    let at = this.box.firstChild;
    for (const node of rows) {
      if (node === at) at = at.nextSibling;
      else this.box.insertBefore(node, at);
    }
  }
}
