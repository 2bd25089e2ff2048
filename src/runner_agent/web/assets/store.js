// What the agent has, as it is now: loaded once, then kept by its own stream of events.

import * as api from "./api.js";
import { FINISHED, at, executionPhase, servicePhase } from "./words.js";

const SILENCE = 40000; // the agent gives a sign of life every 15 s
const MANY = 75; // above this a whole list costs less than asking for each
const FILTER = 25; // ids in one filter
const EXECUTIONS = 400; // kept in memory
const BREATH = 40; // ms between two rounds of questions
const AFTER_FAILURE = 1000; // ms
const AFTER_CHANGE = 500; // ms
const LIVE = new Set(["STARTING", "RUNNING", "STOPPING"]);
const GLANCE = 30000; // ms between two looks of a page that nobody looks at
const HIDDEN = 10000; // ms a page nobody looks at keeps its streams: browsers open six to one host

export const state = {
  link: "connecting", // up, away, paused, out
  services: new Map(),
  tasks: new Map(),
  executions: new Map(),
  since: new Map(), // ms, by service
  previous: new Set(), // ids of services and executions that run what was defined before
  agent: undefined,
  loaded: false,
};

const listeners = new Set();
let scheduled = false;

export const onChange = (listener) => listeners.add(listener);
export function changed() {
  if (scheduled) return;
  scheduled = true;
  (document.hidden ? setTimeout : requestAnimationFrame)(() => {
    scheduled = false;
    for (const listener of listeners) listener();
  });
}

// The newest is what the agent lists first, whatever the time of day was: a greater rank is newer.
const ranks = new Map();
let top = 0;
const rank = (each) => ranks.get(each.id) ?? 0;

function place(newestFirst) {
  const list = [...newestFirst].reverse();
  for (let from = 0; from < list.length; from += 1) {
    let to = from;
    while (to < list.length && !ranks.has(list[to].id)) to += 1;
    const below = from ? rank(list[from - 1]) : rank(list[to] ?? {}) - 1;
    for (let index = from; index < to; index += 1) {
      const part = (index - from + 1) / (to - from + 1);
      ranks.set(list[index].id, to < list.length ? below + (rank(list[to]) - below) * part : (top += 1));
    }
    from = to;
  }
}

export function executionsOf(taskId) {
  const found = [...state.executions.values()].filter((each) => each.metadata?.taskId === taskId);
  return found.sort((a, b) => rank(b) - rank(a));
}

// What the list shows as failed: services, and tasks whose latest execution did.
export function failures() {
  const services = [...state.services.values()].filter((each) => servicePhase(each) === "FAILED");
  const latest = latestByTask();
  const tasks = [...state.tasks.keys()].filter((id) => latest.has(id) && executionPhase(latest.get(id)) === "FAILED");
  return services.length + tasks.length;
}

export function latestByTask() {
  const latest = new Map();
  for (const each of state.executions.values()) {
    const known = latest.get(each.metadata?.taskId);
    if (!known || rank(known) < rank(each)) latest.set(each.metadata?.taskId, each);
  }
  return latest;
}

const newer = (known, found) =>
  !known || BigInt(found.status?.statusVersion ?? 0) >= BigInt(known.status?.statusVersion ?? 0);

function putService(found) {
  const known = state.services.get(found.id);
  if (removed.has(found.id)) return;
  if (!newer(known, found)) return;
  if (known && servicePhase(known) !== servicePhase(found)) state.since.set(found.id, Date.now());
  state.services.set(found.id, found);
  if (!LIVE.has(servicePhase(found)) || known?.status?.session !== found.status?.session) state.previous.delete(found.id);
  else if (known && known.spec?.specVersion !== found.spec?.specVersion) lookAtLive();
}

function putTask(found) {
  const known = state.tasks.get(found.id);
  if (removed.has(found.id)) return;
  state.tasks.set(found.id, found);
  if (known && JSON.stringify(known.spec) !== JSON.stringify(found.spec)) lookAtLive();
}

function putLive({ services, steps }) {
  state.since = new Map(services.map((each) => [each.serviceId, at(each.phaseSince)]));
  const old = (each) => each.previousDefinition;
  state.previous = new Set([...services.filter(old).map((each) => each.serviceId), ...steps.filter(old).flatMap((each) => each.executionIds)]);
}

// Only the agent knows whether what was changed is what runs; a file may change hundreds.
let looking;
function lookAtLive() {
  looking ??= setTimeout(async () => {
    looking = undefined;
    try {
      putLive(await api.live(false));
      changed();
    } catch {
      // It is loaded anew when the agent is back.
    }
  }, AFTER_CHANGE);
}

export function putExecution(found) {
  if (removed.has(found.id)) return;
  place([found]);
  if (newer(state.executions.get(found.id), found)) state.executions.set(found.id, found);
  if (FINISHED.has(executionPhase(found))) state.previous.delete(found.id);
  if (state.executions.size <= EXECUTIONS * 1.2) return;
  const old = [...state.executions.values()].filter((each) => FINISHED.has(executionPhase(each)));
  old.sort((a, b) => rank(a) - rank(b));
  for (const each of old.slice(0, state.executions.size - EXECUTIONS)) state.executions.delete(each.id);
}

// The newest of a task, and one that is older perhaps.
export async function loadExecutions(taskId, wanted) {
  const found = await api.executions({ taskIds: [taskId] });
  place(found);
  for (const each of found) putExecution(each);
  if (wanted && !state.executions.has(wanted)) await refreshExecutions(new Set([wanted]));
  changed();
}

// ---------------------------------------------------------------- events

let dirty = { SERVICE: new Set(), TASK: new Set(), TASK_EXECUTION: new Set() };
let flushing = false;
const removed = new Set(); // an answer may come that was given before

function note(event) {
  const kind = (event.resourceType ?? "").replace("RESOURCE_TYPE_", "");
  if (!(kind in dirty)) return;
  if (event.operation === "RESOURCE_OPERATION_DELETE") {
    const maps = { SERVICE: state.services, TASK: state.tasks, TASK_EXECUTION: state.executions };
    maps[kind].delete(event.resourceId);
    dirty[kind].delete(event.resourceId);
    removed.add(event.resourceId);
    changed();
    return;
  }
  if (event.operation === "RESOURCE_OPERATION_CREATE") removed.delete(event.resourceId);
  dirty[kind].add(event.resourceId);
  if (!flushing) flush();
}

async function flush() {
  flushing = true;
  for (let took = 0; ; ) {
    // Where answers are large or slow, fewer are asked for.
    await new Promise((resolve) => setTimeout(resolve, Math.max(BREATH, 2 * took)));
    const began = performance.now();
    const { SERVICE, TASK, TASK_EXECUTION } = dirty;
    if (!SERVICE.size && !TASK.size && !TASK_EXECUTION.size) return void (flushing = false);
    dirty = { SERVICE: new Set(), TASK: new Set(), TASK_EXECUTION: new Set() };
    try {
      for (const each of await some(api.services, SERVICE)) putService(each);
      for (const each of await some(api.tasks, TASK)) putTask(each);
      await refreshExecutions(TASK_EXECUTION);
    } catch (error) {
      if (!(error instanceof api.Refused)) {
        // Asked for again, be it in vain: where the agent is away all is loaded anew afterwards.
        for (const id of SERVICE) dirty.SERVICE.add(id);
        for (const id of TASK) dirty.TASK.add(id);
        for (const id of TASK_EXECUTION) dirty.TASK_EXECUTION.add(id);
        await new Promise((resolve) => setTimeout(resolve, AFTER_FAILURE));
      }
    }
    took = performance.now() - began;
    changed();
  }
}

async function some(list, ids) {
  if (ids.size > MANY) return list();
  const found = [];
  const wanted = [...ids];
  for (let from = 0; from < wanted.length; from += FILTER) found.push(...(await list(wanted.slice(from, from + FILTER))));
  return found;
}

async function refreshExecutions(ids) {
  if (ids.size > FILTER) {
    const found = await api.executions();
    place(found);
    for (const each of found) {
      putExecution(each);
      ids.delete(each.id);
    }
  }
  for (const id of ids) {
    try {
      putExecution(await api.execution(id));
    } catch (error) {
      if (error.status !== 404) throw error; // pruned meanwhile
    }
  }
}

async function load() {
  const [services, tasks, executions, live, agent] = await Promise.all([
    api.services(),
    api.tasks(),
    api.executions(),
    api.live(false),
    api.agent(),
  ]);
  state.services = new Map(services.map((each) => [each.id, each]));
  state.tasks = new Map(tasks.map((each) => [each.id, each]));
  ranks.clear();
  place(executions);
  state.executions = new Map(executions.map((each) => [each.id, each]));
  putLive(live);
  state.agent = agent;
  for (const each of [...services, ...tasks, ...executions]) removed.delete(each.id);
  state.loaded = true;
}

// ---------------------------------------------------------------- the connection

export function linkTo(link) {
  if (state.link === link) return;
  state.link = link;
  changed();
}

let wake = () => {};
let current = new AbortController();
export const tryNow = () => wake();

export function disconnect() {
  linkTo("out");
  current.abort();
  wake();
}

export async function stayConnected() {
  let delay = 300;
  for (;;) {
    current = new AbortController();
    try {
      for await (const event of api.watch(current.signal, SILENCE)) {
        if (state.link !== "up") {
          await load(); // the watch stands, so nothing is missed
          delay = 300;
          linkTo("up");
        }
        note(event);
      }
    } catch (error) {
      if (error.status === 401) return;
    }
    current.abort();
    if (state.link === "out") return;
    if (document.hidden && state.link === "up") linkTo("paused");
    while (document.hidden && state.link !== "out") await glance();
    if (state.link === "out") return;
    if (state.link === "paused") continue;
    linkTo("away");
    state.retryAt = Date.now() + delay;
    await nap(delay);
    delay = Math.min(delay * 1.6, 4000);
  }
}

// A page that nobody looks at still tells by its title what has failed.
async function glance() {
  await nap(GLANCE);
  if (!document.hidden || state.link !== "paused") return;
  try {
    await load();
    changed();
  } catch {
    // Whoever looks at the page is told.
  }
}

function nap(ms) {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    wake = () => (clearTimeout(timer), resolve());
  });
}

let hiding;
document.addEventListener("visibilitychange", () => {
  clearTimeout(hiding);
  if (document.hidden) hiding = setTimeout(() => current.abort(), HIDDEN);
  else wake();
});
addEventListener("online", () => wake());
