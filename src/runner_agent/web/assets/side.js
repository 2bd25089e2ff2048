// The list of services and tasks: what one looks at first, and starts and stops from.

import { Rows, h, icon, show } from "./dom.js";
import { state, latestByTask } from "./store.js";
import { FINISHED, at, executionPhase, goingUp, mark, prose, reference, servicePhase, since, steps } from "./words.js";

const byReference = (a, b) => reference(a).localeCompare(reference(b), undefined, { numeric: true });

let filter = "";
let parts;

function build(side) {
  const input = h("input", { type: "search", id: "filter", placeholder: "Filter  ( / )", "aria-label": "Filter services and tasks", autocomplete: "off", spellcheck: "false" });
  input.addEventListener("input", () => {
    filter = input.value.trim().toLowerCase();
    drawSide();
  });
  const section = (id, title) => {
    const count = h("span", { class: "count" });
    const list = h("ul", { class: "rows", "aria-labelledby": id });
    return { count, list, rows: new Rows(list), node: h("section", {}, h("h2", { id }, title, " ", count), list) };
  };
  parts = { services: section("h-services", "Services"), tasks: section("h-tasks", "Tasks"), none: h("p", { class: "empty" }) };
  side.append(h("div", { class: "filter" }, input), parts.services.node, parts.tasks.node, parts.none);
}

function matches(thing, phase) {
  if (!filter) return true;
  const text = `${reference(thing)} ${thing.metadata?.name ?? ""} ${phase}`.toLowerCase();
  return filter.split(/\s+/).every((word) => text.includes(word));
}

export function drawSide() {
  const side = document.getElementById("side");
  if (!parts) build(side);
  const latest = latestByTask();
  const services = [...state.services.values()].filter((each) => matches(each, servicePhase(each))).sort(byReference);
  const phaseOf = (task) => (latest.has(task.id) ? executionPhase(latest.get(task.id)) : "");
  const tasks = [...state.tasks.values()].filter((each) => matches(each, phaseOf(each))).sort(byReference);
  const here = location.hash;
  parts.services.rows.show(
    services.map((each) => ({ key: each.id, thing: each, sign: sign(each, state.since.get(each.id), state.previous.has(each.id), selected(here, "service", each)) })),
    ({ thing }) => serviceRow(thing, here),
  );
  parts.tasks.rows.show(
    tasks.map((each) => ({ key: each.id, thing: each, sign: sign(each, latest.get(each.id)?.id, latest.get(each.id)?.status?.statusVersion, state.previous.has(latest.get(each.id)?.id), selected(here, "task", each)) })),
    ({ thing }) => taskRow(thing, latest.get(thing.id), here),
  );
  const up = [...state.services.values()].filter((each) => servicePhase(each) === "RUNNING").length;
  parts.services.count.textContent = state.services.size ? `${up} of ${state.services.size} running` : "";
  parts.tasks.count.textContent = state.tasks.size ? String(state.tasks.size) : "";
  parts.services.node.hidden = !services.length;
  parts.tasks.node.hidden = !tasks.length;
  show(parts.none, state.loaded && !services.length && !tasks.length && nothing());
}

function nothing() {
  if (filter) return `Nothing is called “${filter}”.`;
  return [
    "There are no services and no tasks yet. ", h("code", {}, "runner-agent automations init"), " writes a file to begin with, ",
    h("code", {}, "runner-agent automations update"), " applies it.",
  ];
}

const sign = (thing, ...rest) => [thing.spec?.specVersion, thing.status?.statusVersion, JSON.stringify(thing.metadata), ...rest].join();
const path = (kind, thing) => `#/${kind}/${encodeURIComponent(reference(thing))}`;
const selected = (here, kind, thing) => here === path(kind, thing) || here.startsWith(`${path(kind, thing)}/`);

// Enter in the filter: what one sees first is what one meant.
export function openFirst() {
  const link = [...document.querySelectorAll("#side .row a")].find((each) => each.offsetParent);
  if (!link) return;
  location.hash = link.getAttribute("href");
  link.focus();
}

function row(kind, thing, phase, detail, button, here, failure, run = thing) {
  const current = selected(here, kind, thing);
  const name = thing.metadata?.name;
  return h(
    "li",
    { class: `row${current ? " current" : ""}`, "data-key": thing.id },
    h(
      "a",
      { href: path(kind, thing), "aria-current": current ? "true" : undefined, "data-kind": kind, "data-id": thing.id },
      mark(phase || "none"),
      h("span", { class: "who" }, h("span", { class: "ref" }, reference(thing)), name !== reference(thing) && h("span", { class: "name" }, name),
        phase === "FAILED" && failure && h("span", { class: "reason", title: failure }, prose(failure)),
        state.previous.has(run.id) && h("span", { class: "previous", title: "It was changed while it ran; restart it to run what is defined now." }, "runs its previous definition")),
      h("span", { class: "state" }, h("span", { class: `phase ${phase.toLowerCase()}` }, phase.toLowerCase()), detail),
    ),
    button,
  );
}

function act(name, kind, thing, label) {
  return h("button", { type: "button", class: `act ${name}`, "data-act": name, "data-kind": kind, "data-id": thing.id, "aria-label": `${label} ${reference(thing)}`, title: label }, icon(name));
}

function serviceRow(service, here) {
  const phase = servicePhase(service);
  const button = goingUp(service) ? act("stop", "service", service, "Stop") : act("start", "service", service, "Start");
  return row("service", service, phase, phase === "STOPPED" ? "" : since(state.since.get(service.id)), button, here, service.status?.failureMessage);
}

function taskRow(task, execution, here) {
  if (!execution) return row("task", task, "", "", act("start", "task", task, "Start"), here);
  const phase = executionPhase(execution);
  if (FINISHED.has(phase)) {
    const ended = since(at(execution.metadata?.completedAt), " ago");
    return row("task", task, phase, ended, act("start", "task", task, "Start"), here, (execution.status?.failureMessage ?? "").replace(/^step "[^"]*" failed: /, ""));
  }
  const done = (execution.status?.steps ?? []).filter((each) => FINISHED.has(each.phase?.replace("TASK_EXECUTION_PHASE_", ""))).length;
  const all = steps(execution).length;
  return row("task", task, phase, all > 1 ? `${done}/${all} steps` : since(at(execution.metadata?.startedAt)), act("stop", "task", task, "Stop"), here, "", execution);
}
