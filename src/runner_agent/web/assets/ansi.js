// Colours of terminals and their links: SGR sequences and OSC 8 become styles, all others vanish.

import { readable } from "./contrast.js";
import { safe } from "./links.js";

// CSI; OSC, DCS and their like up to their terminator; two-byte escapes; other control characters but tab.
const ESCAPE = /\x1b\[([0-?]*)[ -/]*([@-~])|\x1b[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)?|\x1b[ -/]*[0-~]|[\x00-\x08\x0b-\x1f\x7f]/g;

export const PLAIN = Object.freeze({});

// What a terminal that overwrites shows in the end of a line with carriage returns: the last that was drawn.
export function drawn(line) {
  if (!line.includes("\r")) return line;
  const parts = line.split("\r");
  for (let at = parts.length - 1; at >= 0; at--) if (parts[at]) return parts[at];
  return "";
}

export const hasEscapes = (line) => /[\x00-\x08\x0b-\x1f\x7f]/.test(line);
export const stripped = (line) => line.replace(ESCAPE, "");

const LINK = /^\x1b\]8;[^;]*;([^\x07\x1b]*)/;

// Pieces of one style each, and the style in force after the line. A link ends with its line at the latest.
export function parse(line, style = PLAIN) {
  const pieces = [];
  let from = 0;
  const take = (to) => to > from && pieces.push({ text: line.slice(from, to), style });
  for (const found of line.matchAll(ESCAPE)) {
    take(found.index);
    from = found.index + found[0].length;
    if (found[2] === "m") style = restyled(style, found[1]);
    else if (found[0].startsWith("\x1b]8;")) style = { ...style, link: safe(LINK.exec(found[0])?.[1] ?? "") };
  }
  take(line.length);
  if (style.link) style = { ...style, link: undefined };
  return { pieces, style };
}

function restyled(style, text) {
  const codes = text.split(/[;:]/).map((each) => Number(each) || 0);
  let next = { ...style };
  for (let at = 0; at < codes.length; at++) {
    const code = codes[at];
    if (code === 0) next = next.link ? { link: next.link } : {};
    else if (code === 1) next.bold = true;
    else if (code === 2) next.faint = true;
    else if (code === 3) next.italic = true;
    else if (code === 4) next.underline = true;
    else if (code === 7) next.inverse = true;
    else if (code === 9) next.struck = true;
    else if (code === 22) next.bold = next.faint = undefined;
    else if (code === 23) next.italic = undefined;
    else if (code === 24) next.underline = undefined;
    else if (code === 27) next.inverse = undefined;
    else if (code === 29) next.struck = undefined;
    else if (code >= 30 && code <= 37) next.fg = code - 30;
    else if (code >= 90 && code <= 97) next.fg = code - 82;
    else if (code >= 40 && code <= 47) next.bg = code - 40;
    else if (code >= 100 && code <= 107) next.bg = code - 92;
    else if (code === 39) next.fg = undefined;
    else if (code === 49) next.bg = undefined;
    else if (code === 38 || code === 48) {
      const name = code === 38 ? "fg" : "bg";
      if (codes[at + 1] === 5) next[name] = indexed(codes[(at += 2)]);
      else if (codes[at + 1] === 2) next[name] = `rgb(${codes.slice(at + 2, (at += 4) + 1).map((c) => Math.min(255, c || 0))})`;
    }
  }
  return next;
}

function indexed(code = 0) {
  if (code < 16) return code;
  if (code >= 232) return `rgb(${Array(3).fill(Math.min(248, 8 + (code - 232) * 10))})`;
  const level = (each) => (each ? 55 + each * 40 : 0);
  const cube = code - 16;
  return `rgb(${[level(Math.floor(cube / 36) % 6), level(Math.floor(cube / 6) % 6), level(cube % 6)]})`;
}

export function styled(node, style) {
  for (const name of ["bold", "faint", "italic", "underline", "struck"]) if (style[name]) node.classList.add(name);
  let { fg, bg } = style;
  if (style.inverse) {
    if (fg === undefined || typeof fg === "number") {
      node.classList.add("inverse");
      if (fg !== undefined) node.style.backgroundColor = `var(--c${fg})`;
      return node;
    }
    [fg, bg] = [bg, fg];
  }
  if (typeof bg === "string") {
    node.style.backgroundColor = bg;
    node.style.color = readable(fg, bg);
    return node;
  }
  if (bg !== undefined) node.classList.add(`bg${bg}`);
  if (typeof fg === "number") node.classList.add(`fg${fg}`);
  else if (fg) {
    node.classList.add("ink"); // the sheet knows what it stands on
    node.style.setProperty("--ink", fg);
  }
  return node;
}
