// The page's only way to make nodes: every text becomes a text node, whatever is in it.

const SVG = "http://www.w3.org/2000/svg";

export function h(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    node.setAttribute(name, value === true ? "" : value);
  }
  append(node, children);
  return node;
}

function append(node, children) {
  for (const child of children) {
    if (Array.isArray(child)) append(node, child);
    else if (child !== undefined && child !== null && child !== false && child !== "") node.append(child);
  }
}

const ICONS = {
  start: "M4 2.5v11l9-5.5z",
  stop: "M3.5 3.5h9v9h-9z",
  restart: "M13 8a5 5 0 1 1-1.5-3.5M13 2v3h-3",
  back: "M10 3 5 8l5 5",
  down: "M8 2v11M3.5 8.5 8 13l4.5-4.5",
  close: "M4 4l8 8M12 4l-8 8",
};

export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 16 16");
  svg.setAttribute("aria-hidden", "true");
  svg.setAttribute("class", name === "start" || name === "stop" ? "solid" : "line");
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", ICONS[name]);
  svg.append(path);
  return svg;
}

// Makes `node` look like `wanted` and keeps what is the same: focus, selection and scroll positions survive.
export function morph(node, wanted) {
  for (const { name } of [...node.attributes]) if (!wanted.hasAttribute(name)) node.removeAttribute(name);
  for (const { name, value } of wanted.attributes)
    if (node.getAttribute(name) !== value) node.setAttribute(name, value);
  morphChildren(node, [...wanted.childNodes]);
}

export function morphChildren(node, wanted) {
  wanted.forEach((want, at) => {
    const have = node.childNodes[at];
    if (!have) node.append(want);
    else if (have === want) return;
    else if (same(have, want)) {
      if (have.nodeType === Node.TEXT_NODE) {
        if (have.data !== want.data) have.data = want.data;
      } else morph(have, want);
    } else node.replaceChild(want, have);
  });
  while (node.childNodes.length > wanted.length) node.lastChild.remove();
}

function same(a, b) {
  return a.nodeName === b.nodeName && a.namespaceURI === b.namespaceURI && a.dataset?.key === b.dataset?.key;
}

export function show(node, ...children) {
  const box = document.createDocumentFragment();
  append(box, children);
  morphChildren(node, [...box.childNodes]);
}

// A list whose rows are rebuilt only where their signature changed.
export class Rows {
  constructor(node) {
    this.node = node;
    this.known = new Map();
  }

  show(items, build) {
    const left = new Map(this.known);
    this.known = new Map();
    let at = this.node.firstChild;
    for (const item of items) {
      let row = left.get(item.key);
      left.delete(item.key);
      if (!row) row = { node: build(item), sign: item.sign };
      else if (row.sign !== item.sign) {
        morph(row.node, build(item));
        row.sign = item.sign;
      }
      this.known.set(item.key, row);
      if (row.node === at) at = at.nextSibling;
      else this.node.insertBefore(row.node, at);
    }
    for (const { node } of left.values()) node.remove();
  }
}
