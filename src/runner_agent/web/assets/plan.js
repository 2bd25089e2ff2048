// The steps of a plan, group by group: what each waits for, how far it is, and how long it took.

import * as api from "./api.js";
import { h } from "./dom.js";
import { at, mark, prose, short, since } from "./words.js";

const NAMED = 6; // of what a step waits for
const PAGES = 5; // of an execution's history: enough for hundreds of steps
const MOVE = /^step "(.+)": (?:[A-Z]+ -> )?([A-Z]+)/;

// By label: when it began and ended, as the durable history has it.
export async function times(executionId) {
  const found = new Map();
  let token = "";
  for (let page = 0; page < PAGES; page++) {
    const answer = await api.timeline({ id: executionId }, token, 100);
    for (const entry of answer.entries ?? []) {
      const [, label, phase] = MOVE.exec(entry.text ?? "") ?? [];
      if (!label) continue;
      const known = found.get(label) ?? {};
      if (phase === "RUNNING") known.began = at(entry.at);
      else if (phase !== "PENDING") known.ended ??= at(entry.at); // the newest comes first
      found.set(label, known);
    }
    token = answer.pagination?.nextToken ?? "";
    if (!token) break;
  }
  return found;
}

// Shorter than a second is something too, for who looks for where the time went.
export function took(ms) {
  const seconds = Math.max(0, ms) / 1000;
  if (seconds < 0.05) return "< 0.1 s";
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  const minutes = Math.floor(whole / 60);
  return minutes < 60 ? `${minutes} min ${whole % 60} s` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

function duration(phase, time) {
  if (!time?.began) return undefined;
  if (phase === "RUNNING") return since(time.began);
  return time.ended && h("span", { title: `from ${new Date(time.began).toLocaleTimeString()} to ${new Date(time.ended).toLocaleTimeString()}` }, took(time.ended - time.began));
}

function after(names) {
  if (!names.length) return undefined;
  const more = names.length - NAMED;
  return h("div", { class: "after dim", title: names.join(", ") }, `after ${names.slice(0, more > 0 ? NAMED : undefined).join(", ")}${more > 0 ? ` and ${more} more` : ""}`);
}

// `name(step)` is a node; `seen` the steps of the execution's status, `times` as above; neither of a plan that
// was not run. What a step waits for is told by the id of another, or by its name.
export function groups(plan, name, seen = new Map(), times = new Map()) {
  const labels = new Map(plan.flatMap((group) => group.steps ?? []).map((each) => [each.id, each.label]));
  const step = (each) => {
    const phase = short(seen.get(each.id)?.phase, "");
    const words = [each.serviceId && "service", each.id && (phase.toLowerCase() || "not begun"), duration(phase, times.get(each.label))].filter(Boolean);
    return [
      h("div", { class: "step-head" }, mark(phase || "none"), name(each), words.length > 0 && h("span", { class: "dim" }, words.flatMap((word, at) => (at ? [" · ", word] : [word])))),
      after((each.dependsOn ?? []).map((id) => labels.get(id) ?? id)),
      seen.get(each.id)?.failureMessage && h("div", { class: "failure" }, prose(seen.get(each.id).failureMessage)),
    ];
  };
  return h(
    "ol",
    { class: "groups" },
    plan.map((group, number) => h("li", {}, h("span", { class: "dim" }, `group ${number + 1}`), h("ul", {}, (group.steps ?? []).map((each) => h("li", { class: "step" }, step(each)))))),
  );
}
