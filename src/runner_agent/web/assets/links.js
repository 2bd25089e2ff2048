// Addresses in what programs write: where they begin and end, and whether a page may lead there.

const ADDRESS = /\bhttps?:\/\/[^\s<>"'`\u2018-\u201f\x00-\x1f\x7f]+/gi;
const CLOSING = { ")": "(", "]": "[", "}": "{" };

// [from, to, address] of each in a text without control sequences.
export function addresses(text) {
  if (!text.includes("://")) return [];
  return [...text.matchAll(ADDRESS)].flatMap((found) => {
    const shown = trimmed(found[0]);
    const address = safe(shown);
    return address ? [[found.index, found.index + shown.length, address]] : [];
  });
}

// A sentence goes on behind an address: its full stop and its closing bracket are not part of it.
function trimmed(text) {
  let end = text.length;
  for (;;) {
    const last = text[end - 1];
    const opened = CLOSING[last] && text.slice(0, end);
    const unmatched = opened && opened.split(last).length > opened.split(CLOSING[last]).length;
    if (!unmatched && !/[.,;:!?*_~|\u2026]/.test(last)) return text.slice(0, end);
    end--;
  }
}

// Nothing but pages is led to. Programs here are reached by another name than 127.0.0.1, which is where our
// cookie goes, whatever the port; and "all addresses" is none to go to.
export function safe(text) {
  let address;
  try {
    address = new URL(text);
  } catch {
    return undefined;
  }
  if (!["http:", "https:"].includes(address.protocol) || !address.hostname) return undefined;
  if (["0.0.0.0", "[::]"].includes(address.hostname)) address.hostname = here();
  else if (address.hostname === "127.0.0.1" && location.hostname === "127.0.0.1") address.hostname = here();
  return address.href;
}

export const here = () => (location.hostname === "127.0.0.1" ? "localhost" : location.hostname);
