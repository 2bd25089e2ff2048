// The lines of a log as a page can hold them: the newest ones, within bounds, and where in the log they stand.

import { PLAIN, drawn, hasEscapes, parse, stripped } from "./ansi.js";

export const MOST_LINES = 200000;
export const MOST_CHARS = 32 << 20;
const LONGEST = 10000; // characters of one line
const NOTE = /^(?:[\w-]{1,128} \| )?runner-agent: /; // by the agent itself; of merged text behind the label
const GAP = /bytes are gone|log was truncated/;
const RESUME = /going on at offset (\d+)$/;

export class LogLines {
  // `keep(text)`: which lines are kept at all; none given means all.
  constructor(keep) {
    this.lines = [];
    this.gone = 0; // lines given up at the front
    this.skipped = 0; // lines not kept
    this.offset = 0; // in bytes, where what comes next stands in the log
    this.first = 0; // where what is held began
    this.begun = false;
    this.keep = keep;
    this.chars = 0;
    this.rest = "";
    this.style = PLAIN;
    this.decoder = new TextDecoder();
    this.encoder = new TextEncoder();
  }

  begin(offset) {
    this.offset = this.first = offset;
    this.begun = true;
  }

  // True if there is more to show.
  add(bytes) {
    this.offset += bytes.byteLength;
    const text = this.rest + this.decoder.decode(bytes, { stream: true });
    const lines = text.split("\n");
    this.rest = lines.pop();
    if (this.rest.length > 1 << 20) {
      lines.push(this.rest);
      this.rest = "";
    }
    for (let at = lines.length - 1; at >= 0; at--) {
      const resume = lines[at].startsWith("runner-agent: ") && GAP.test(lines[at]) && RESUME.exec(lines[at]);
      if (!resume) continue;
      // The gap line itself is in no offset; what follows it is.
      const after = `${lines.slice(at + 1).map((line) => `${line}\n`).join("")}${this.rest}`;
      this.offset = Number(resume[1]) + this.encoder.encode(after).byteLength;
      break;
    }
    for (const line of lines) this.push(line);
    this.forget();
    this.trim();
    return lines.length > 0;
  }

  // What a bar has drawn over is not looked at again, however long it goes on.
  forget() {
    const latest = this.rest.slice(this.rest.lastIndexOf("\r", this.rest.length - 2) + 1);
    if (/[^\r]/.test(latest)) this.rest = latest;
  }

  push(raw) {
    let text = drawn(raw.endsWith("\r") ? raw.slice(0, -1) : raw);
    const cut = text.length - LONGEST;
    if (cut > 0) text = `${text.slice(0, LONGEST)}… (${cut} more characters)`;
    const line = { text, plain: text, style: this.style, kind: "" };
    if (hasEscapes(text)) {
      line.plain = stripped(text);
      this.style = parse(text, this.style).style;
    }
    if (NOTE.test(line.plain)) line.kind = GAP.test(line.plain) ? "gap" : "note";
    if (this.keep && line.kind !== "gap" && !this.keep(line.plain)) {
      this.skipped++;
      return;
    }
    this.lines.push(line);
    this.chars += text.length;
  }

  // A line without its end: a question, or a bar that is being drawn.
  get unfinished() {
    const text = drawn(this.rest).slice(0, LONGEST);
    return text ? { text, plain: stripped(text), style: this.style, kind: "" } : undefined;
  }

  trim() {
    if (this.lines.length <= MOST_LINES * 1.1 && this.chars <= MOST_CHARS * 1.1) return;
    let from = Math.max(0, this.lines.length - MOST_LINES);
    for (let at = 0; at < from; at++) this.chars -= this.lines[at].text.length;
    while (this.chars > MOST_CHARS) this.chars -= this.lines[from++].text.length;
    this.lines.splice(0, from);
    this.gone += from;
  }
}

export function matcher(query) {
  if (!query) return undefined;
  // Like many editors: small letters find both.
  const flags = query === query.toLowerCase() ? "gi" : "g";
  return new RegExp(query.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"), flags);
}
