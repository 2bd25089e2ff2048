// One service or task in full: head, actions, and its tabs.

import * as api from "./api.js";
import { h, icon, show } from "./dom.js";
import { here as thisHost } from "./links.js";
import { LogView } from "./log-view.js";
import * as panels from "./panels.js";
import { times } from "./plan.js";
import { executionsOf, loadExecutions, state } from "./store.js";
import { FINISHED, at, bytes, executionPhase, goingUp, pill, prose, reference, servicePhase, since, steps } from "./words.js";

const TABS = { logs: "Logs", why: "Why", runs: "Runs", outputs: "Outputs", timeline: "Timeline", definition: "Definition" };
const BREATH = 700; // ms between two explanations
const AGAIN = 4000; // ms, while what was explained is on its way

let view; // of the subject that is shown
let role = "start";
const parts = {};

// ---------------------------------------------------------------- where we are

// #/service/REF/TAB, #/task/REF/TAB/EXECUTION/STEP
export function route() {
  const [, kind, name, tab, execution, step] = location.hash.split("/").map(decode);
  if (!["service", "task"].includes(kind) || !name) return undefined;
  const things = kind === "service" ? state.services : state.tasks;
  const thing = [...things.values()].find((each) => reference(each) === name);
  return { kind, name, thing, tab: tab in TABS ? tab : "logs", execution, step };
}

function decode(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

export const tabsOf = (kind) => Object.keys(TABS).filter((tab) => kind === "task" || tab !== "runs");
export const pathOf = ({ kind, name }, ...rest) => `#/${[kind, encodeURIComponent(name), ...rest].join("/")}`;
export const log = () => parts.log;

function chosenExecution(here) {
  const found = executionsOf(here.thing.id);
  return (here.execution && found.find((each) => each.id === here.execution)) || (here.execution ? undefined : found[0]);
}

// ---------------------------------------------------------------- drawing

export function drawDetail() {
  const main = document.getElementById("main");
  const here = route();
  document.body.dataset.view = here ? "detail" : "list";
  const key = here ? `${here.kind} ${here.name}` : "";
  if (view?.key !== key) begin(main, here, key);
  if (!here) return void (state.loaded && drawOverview(main));
  if (!here.thing) {
    if (state.loaded) show(main, h("p", { class: "empty" }, `There is no ${here.kind} “${here.name}” any more. `, h("a", { href: "#/" }, "Back")));
    return;
  }
  if (here.kind === "task") seek(here);
  if (!parts.head.isConnected) main.replaceChildren(parts.head, parts.tabs, parts.panel);
  const execution = here.kind === "task" ? chosenExecution(here) : undefined;
  drawHead(here, execution);
  drawTabs(here);
  drawPanel(here, execution);
  explain(here, execution);
  const phase = here.kind === "service" && servicePhase(here.thing);
  if (view.phase !== phase) setTimeout(measure, 300);
  view.phase = phase;
}

// What is known of all tasks is the newest; of this one, and of an older execution, more is asked for once.
function seek(here) {
  const wanted = here.execution && !state.executions.has(here.execution) ? here.execution : "";
  if (state.link !== "up" || (view.sought !== undefined && (!wanted || view.sought === wanted))) return;
  view.sought = wanted;
  loadExecutions(here.thing.id, wanted).catch(() => {});
}

function begin(main, here, key) {
  view = { key, entries: undefined };
  parts.log?.close();
  main.replaceChildren();
  if (!here) return;
  role = "start";
  parts.head ??= h("div", { class: "head" });
  parts.tabs ??= h("div", { class: "tabs", role: "tablist", "aria-label": "About it" });
  parts.panel = h("div", { class: "panel", id: "panel", role: "tabpanel", tabindex: "-1" });
  main.replaceChildren(parts.head, parts.tabs, parts.panel);
}

function drawHead(here, execution) {
  const { kind, thing } = here;
  const phase = kind === "service" ? servicePhase(thing) : execution && executionPhase(execution);
  const began = kind === "service" ? state.since.get(thing.id) : execution && at(execution.metadata?.completedAt ?? execution.metadata?.startedAt);
  const running = kind === "service" ? goingUp(thing) || phase === "STOPPING" : phase && !FINISHED.has(phase);
  const button = (act, label, primary) => h("button", { type: "button", class: `${act}${primary ? " primary" : ""}`, "data-act": act, "data-kind": kind, "data-id": thing.id }, icon(act), label);
  const answer = here.tab !== "why" && view.why && view.why.phase !== "RUNNING" && view.why.phase !== "SUCCEEDED" ? view.why.answer : "";
  show(
    parts.head,
    h("a", { class: "back", href: "#/", "aria-label": "Back to the list" }, icon("back")),
    h("div", { class: "title" }, h("h1", {}, here.name), h("p", {}, thing.metadata?.name !== here.name && thing.metadata?.name, thing.metadata?.description && h("span", { class: "dim" }, ` ${thing.metadata.description}`))),
    h("div", { class: "now", role: "status" }, phase ? pill(phase) : h("span", { class: "dim" }, "never started"), since(began, kind === "task" && FINISHED.has(phase) ? " ago" : "")),
    usage(view.usage),
    h("div", { class: "actions" }, kind === "service" ? [goingUp(thing) ? button("stop", "Stop") : button("start", "Start", true), goingUp(thing) && button("restart", "Restart")] : [button("start", "Start", !running), running && button("stop", "Stop")]),
    kind === "service" && state.previous.has(thing.id) && h("p", { class: "because" }, "It was changed while it ran, and runs its previous definition. ", h("button", { type: "button", "data-act": "restart", "data-kind": kind, "data-id": thing.id }, "Restart to use the new one")),
    execution && state.previous.has(execution.id) && h("p", { class: "because" }, "It, or a step of it, was changed while it ran, and it runs the previous definition. To use the new one stop it, or wait for its end, and start it again."),
    answer && h("p", { class: `because ${phase?.toLowerCase() ?? ""}` }, prose(answer), " ", h("a", { href: pathOf(here, "why") }, "Why?")),
  );
}

// What it uses, while somebody looks.
function usage(used) {
  if (!used) return undefined;
  const ports = (used.ports ?? []).map((port) => h("a", { href: `http://${thisHost()}:${port}/`, target: "_blank", rel: "noopener noreferrer", "data-key": port }, `:${port}`));
  return h("div", { class: "usage dim" }, ports, h("span", { title: `${used.processes ?? 0} processes, ${(used.cpuSeconds ?? 0).toFixed(1)} s of processor time` }, bytes(Number(used.memoryBytes ?? 0))));
}

export async function measure() {
  const here = route();
  const mine = view;
  if (document.hidden || state.link !== "up" || here?.kind !== "service" || !here.thing) return;
  const found = goingUp(here.thing) && (await api.live(true).catch(() => undefined));
  if (mine !== view || found === undefined) return;
  mine.usage = found ? found.services.find((each) => each.serviceId === here.thing.id)?.usage : undefined;
  drawDetail();
}

function drawTabs(here) {
  show(
    parts.tabs,
    tabsOf(here.kind).map((tab) => {
      const current = tab === here.tab;
      return h("a", { role: "tab", id: `tab-${tab}`, href: pathOf(here, tab), "aria-selected": String(current), "aria-controls": "panel", tabindex: current ? undefined : "-1", "data-key": tab }, TABS[tab]);
    }),
  );
  parts.panel.setAttribute("aria-labelledby", `tab-${here.tab}`);
}

function drawPanel(here, execution) {
  if (view.tab !== here.tab) {
    view.tab = here.tab;
    parts.log?.close();
    parts.panel.replaceChildren();
    parts.panel.classList.toggle("full", here.tab === "logs");
    if (here.tab === "timeline") loadTimeline({ reference: here.name });
  }
  const panel = parts.panel;
  switch (here.tab) {
    case "logs":
      return drawLog(here, execution);
    case "why":
      return show(panel, view.why ? panels.why(view.why) : h("p", { class: "empty" }, "Loading …"));
    case "runs":
      if (!executionsOf(here.thing.id).length) loadPlan(here);
      if (execution) loadTimes(execution);
      return show(panel, panels.runs(here.thing, executionsOf(here.thing.id), execution, view.planned, view.times?.of === execution?.id ? view.times?.steps : undefined));
    case "outputs":
      return show(panel, panels.outputs(here.kind === "service" ? [["", here.thing.status?.output]] : outputsOf(execution)));
    case "timeline":
      return show(panel, panels.timeline(view.entries, view.token, here.name));
    default:
      return show(panel, panels.definition(here.kind, here.thing));
  }
}

function outputsOf(execution) {
  if (!execution) return [];
  const labels = new Map(steps(execution).map((each) => [each.id, each.label]));
  return (execution.status?.steps ?? []).map((each) => [labels.get(each.id) ?? "", each.output]);
}

// ---------------------------------------------------------------- log

function drawLog(here, execution) {
  parts.log ??= new LogView(() => parts.source);
  parts.log.onIdle = () => drawDetail();
  if (!parts.log.node.isConnected) parts.panel.replaceChildren(parts.log.node);
  if (here.kind === "task" && !execution) {
    parts.source = undefined;
    parts.log.turn([], "", state.link === "up", here.execution ? "This execution is not there any more: only the latest are kept." : "It was never started.");
    return;
  }
  if (here.kind === "service") {
    const { commands = {} } = here.thing.spec ?? {};
    parts.source = { path: `/logs/services/${here.thing.id}`, query: { role }, ended: ["STOPPED", "FAILED"].includes(servicePhase(here.thing)) };
    parts.log.onWhich = (chosen) => ((role = chosen), drawDetail());
    parts.log.turn(["start", "ready", "stop"].filter((each) => commands[each]).map((each) => [each, each]), role, state.link === "up");
    return;
  }
  const tasks = steps(execution).filter((each) => !each.serviceId);
  parts.source = {
    path: `/logs/executions/${execution.id}`,
    query: here.step ? { step: here.step } : {},
    ended: FINISHED.has(executionPhase(execution)),
    labels: tasks.length > 1 && !here.step,
  };
  parts.log.onWhich = (step) => (location.hash = pathOf(here, "logs", execution.id, ...(step ? [step] : [])));
  parts.log.turn([["", "all steps"], ...tasks.map((each) => [each.id, each.label])].slice(tasks.length > 1 ? 0 : 1), here.step ?? "", state.link === "up");
}

// ---------------------------------------------------------------- asked for besides

async function explain(here, execution) {
  const id = execution?.id ?? here.thing.id;
  const sign = [id, (execution ?? here.thing).status?.statusVersion, here.thing.spec?.specVersion, state.link].join();
  if (view.explained === sign || state.link !== "up") return;
  const mine = view;
  clearTimeout(mine.timer);
  const early = (mine.askedAt ?? 0) + BREATH - Date.now();
  if (early > 0) return void (mine.timer = setTimeout(() => mine === view && drawDetail(), early));
  mine.explained = sign;
  mine.askedAt = Date.now();
  try {
    mine.why = await api.explain(id);
  } catch (error) {
    if (error instanceof api.Refused) mine.why = { answer: error.message };
  }
  if (mine !== view) return;
  const settled = ["RUNNING", "STOPPED", "FAILED", "SUCCEEDED"].includes(mine.why?.phase) && here.tab !== "why";
  if (!settled) mine.timer = setTimeout(() => mine === view && !document.hidden && ((mine.explained = ""), drawDetail()), AGAIN);
  drawDetail();
}

async function loadPlan(here) {
  const mine = view;
  if (mine.planned) return;
  mine.planned = [];
  mine.planned = await api.plan(here.thing.id).catch(() => []);
  if (mine === view) drawDetail();
}

async function loadTimes(execution) {
  const mine = view;
  const sign = `${execution.id} ${execution.status?.statusVersion}`;
  if (mine.timed === sign || mine.timing || state.link !== "up") return;
  mine.timing = true;
  const steps = await times(execution.id).catch(() => undefined);
  await new Promise((resolve) => setTimeout(resolve, BREATH / 2)); // a plan of many steps moves all the time
  mine.timing = false;
  mine.timed = sign;
  if (steps) mine.times = { of: execution.id, steps };
  if (mine === view) drawDetail();
}

async function loadTimeline(filter, older) {
  const mine = view;
  try {
    const answer = await api.timeline(filter, older ? mine.token : "", filter.reference ? 50 : 100);
    mine.entries = [...(older ? mine.entries : []), ...(answer.entries ?? [])];
    mine.token = answer.pagination?.nextToken;
  } catch {
    mine.entries ??= undefined;
  }
  if (mine === view) drawDetail();
}

export function older() {
  const here = route();
  if (here) loadTimeline({ reference: here.name }, true);
}

function drawOverview(main) {
  const newest = Math.max(0, ...[...state.services.values(), ...state.executions.values()].map((each) => Number(each.status?.statusVersion ?? 0)));
  if (view.newest !== newest && state.link === "up") {
    view.newest = newest;
    const mine = view;
    setTimeout(() => mine === view && loadTimeline({}), view.entries ? 500 : 0);
  }
  show(main, panels.overview(view.entries));
}

// What has changed may be in the timeline too.
export function refreshTimeline() {
  const here = route();
  if (here?.thing && here.tab === "timeline" && view.told !== here.thing.status?.statusVersion) {
    const known = view.told;
    view.told = here.thing.status?.statusVersion;
    if (known !== undefined) loadTimeline({ reference: here.name });
  }
}
