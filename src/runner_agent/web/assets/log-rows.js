// A line of a log as nodes: its colours, what was searched for, whose it is, and where its addresses lead.

import { parse, styled } from "./ansi.js";
import { h } from "./dom.js";
import { addresses } from "./links.js";

const LABEL = /^([\w-]{1,128}) \| /;

// `labelled`: it begins with the name of the step that wrote it.
export function row(line, matching, labelled) {
  const node = h("div", { class: `line ${line.kind}` });
  const label = labelled ? LABEL.exec(line.plain)?.[0].length ?? 0 : 0;
  const hits = matching ? [...line.plain.matchAll(matching)].map((hit) => [hit.index, hit.index + hit[0].length]) : [];
  const links = addresses(line.plain);
  const edges = [label, ...hits.flat(), ...links.flatMap(([from, to]) => [from, to])];
  let place = 0;
  let box; // the link that is being filled: it may be in several colours
  for (const { text, style } of parse(line.text, line.style).pieces) {
    const end = place + text.length;
    const cuts = [...new Set([place, end, ...edges.filter((edge) => edge > place && edge < end)])].sort((a, b) => a - b);
    for (let at = 0; at + 1 < cuts.length; at++) {
      const [from, to] = [cuts[at], cuts[at + 1]];
      const within = ([begin, stop]) => from >= begin && to <= stop;
      const address = links.find(within)?.[2] ?? style.link;
      if (box?.address !== address) {
        box = address && { address, node: link(address) };
        if (box) node.append(box.node);
      }
      (box?.node ?? node).append(piece(text.slice(from - place, to - place), style, hits.some(within), to <= label && line.plain.slice(0, label)));
    }
    place = end;
  }
  if (!node.firstChild) node.append("\u200b");
  return node;
}

const link = (address) => h("a", { href: address, target: "_blank", rel: "noopener noreferrer", title: address });

function piece(text, style, hit, label) {
  if (!hit && !label && !Object.keys(style).some((name) => name !== "link" && style[name] !== undefined)) return text;
  const node = styled(h(hit ? "mark" : "span", {}, text), style);
  if (label) node.classList.add("label", `hue${hue(label)}`);
  return node;
}

function hue(label) {
  let sum = 0;
  for (const character of label) sum = (sum * 31 + character.charCodeAt(0)) % 6;
  return sum;
}
