// What there is to say about one service, task or execution, besides its log.

import { h } from "./dom.js";
import { groups } from "./plan.js";
import { latestByTask, state } from "./store.js";
import { FINISHED, at, clock, duration, executionPhase, mark, pill, plural, prose, reference, servicePhase, short, since, span, steps, triggers } from "./words.js";

const WORDS = { KIND_SERVICE: "Service", KIND_TASK: "Task", KIND_EXECUTION: "Execution" };

export function linkTo(name) {
  for (const [kind, things] of [["service", state.services], ["task", state.tasks]])
    for (const each of things.values())
      if (reference(each) === name) return h("a", { href: `#/${kind}/${encodeURIComponent(name)}` }, name);
  return h("span", {}, name);
}

const list = (items) => items.flatMap((each, index) => (index ? [", ", each] : [each]));
const facts = (rows) => h("dl", { class: "facts" }, rows.filter(([, value]) => value && value.length !== 0).map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))));
const quote = (lines) => h("pre", { class: "quote" }, (lines ?? []).join("\n"));
const table = (heads, rows) =>
  h("div", { class: "table" }, h("table", {}, h("thead", {}, h("tr", {}, heads.map((each) => h("th", { scope: "col" }, each)))), h("tbody", {}, rows.map((row) => h("tr", {}, row.map((cell) => h("td", {}, cell)))))));

// ---------------------------------------------------------------- why

export function why(found) {
  const until = at(found.until);
  return h(
    "div",
    { class: "why" },
    h("p", { class: "answer" }, found.phase && pill(found.phase), " ", prose(found.answer)),
    found.reasons?.length > 0 && h("ul", { class: "reasons" }, found.reasons.map((each) => h("li", {}, prose(each)))),
    facts([
      ["In this phase", since(at(found.phaseSince))],
      ["Wished", found.wishedBy && [found.desiredPhase?.toLowerCase() || "nothing", " by ", found.wishedBy, found.wishedAt ? ", " : "", since(at(found.wishedAt), " ago")]],
      ["Waits for", found.waitsFor && list(found.waitsFor.map(linkTo))],
      ["At the latest in", until && until > Date.now() ? span(until - Date.now()) : ""],
    ]),
    found.lastProbe && [
      h("h3", {}, "Ready command"),
      h("p", {}, plural(found.lastProbe.attempts ?? 0, "attempt"), found.lastProbe.ending ? `; the last one: ${found.lastProbe.ending}` : ""),
      found.lastProbe.lines?.length > 0 && quote(found.lastProbe.lines),
    ],
    found.runs?.length > 0 && [
      h("h3", {}, "Processes"),
      table(["role", "state", "pid", "since", "how it ended"], found.runs.map((run) => [run.role, run.state, run.pid ? String(run.pid) : "", since(at(run.since)), run.ending ?? ""])),
    ],
    found.steps?.length > 0 && [
      h("h3", {}, "Steps"),
      table(["step", "phase", "why"], found.steps.map((step) => [linkTo(step.reference), (step.phase || "not begun").toLowerCase(), prose(step.text)])),
    ],
    (found.logs ?? []).filter((each) => each.lines?.length).map((each) => [h("h3", {}, `Last lines of ${each.label || WORDS[found.kind]}`), quote(each.lines)]),
  );
}

// ---------------------------------------------------------------- a run and its plan

export function runs(task, executions, chosen, planned, times) {
  if (!executions.length && !planned?.length) return h("p", { class: "empty" }, "It was never started.");
  return h(
    "div",
    { class: "runs" },
    executions.length > 0 &&
      h("ul", { class: "executions", "aria-label": "Executions, newest first" }, executions.map((each) => executionRow(task, each, each.id === chosen?.id))),
    chosen ? execution(task, chosen, times) : planned && [h("h3", {}, "What a start would run"), groups(planned, (step) => linkTo(step.reference))],
  );
}

function executionRow(task, each, current) {
  const phase = executionPhase(each);
  const began = at(each.metadata?.createdAt);
  return h(
    "li",
    {},
    h("a", { href: `#/task/${encodeURIComponent(reference(task))}/runs/${each.id}`, "aria-current": current ? "true" : undefined, title: each.id },
      mark(phase), h("span", { class: `phase ${phase.toLowerCase()}` }, phase.toLowerCase()), h("span", {}, clock(began)),
      h("span", { class: "dim" }, FINISHED.has(phase) ? duration(each) : since(at(each.metadata?.startedAt))), h("span", { class: "dim" }, each.metadata?.startedBy ?? "")),
  );
}

function execution(task, chosen, times) {
  const known = new Map((chosen.status?.steps ?? []).map((each) => [each.id, each]));
  const running = !FINISHED.has(executionPhase(chosen));
  return h(
    "div",
    { class: "execution", "data-key": chosen.id },
    h("p", { class: "bar" }, pill(executionPhase(chosen)), h("code", { class: "id" }, chosen.id),
      running && h("button", { type: "button", "data-act": "stop-execution", "data-id": chosen.id }, "Stop this execution"),
      h("a", { class: "button", href: `#/task/${encodeURIComponent(reference(task))}/logs/${chosen.id}` }, "Log")),
    chosen.status?.failureMessage && h("p", { class: "failure" }, prose(chosen.status.failureMessage)),
    groups(
      chosen.spec?.plan ?? [],
      (step) => (step.serviceId ? linkTo(step.label) : h("a", { href: `#/task/${encodeURIComponent(reference(task))}/logs/${chosen.id}/${step.id}`, title: "Its log" }, step.label)),
      known,
      times,
    ),
  );
}

// ---------------------------------------------------------------- outputs, timeline, definition

export function outputs(groups) {
  const filled = groups.filter(([, output]) => Object.keys(output ?? {}).length);
  if (!filled.length) return h("p", { class: "empty" }, "No outputs. A command writes them as key=value to the file named by GITPOD_OUTPUT.");
  return filled.map(([title, output]) => [title && h("h3", {}, title), table(["key", "value"], Object.entries(output).sort().map(([key, value]) => [h("code", {}, key), h("code", { class: "value" }, value)]))]);
}

export function timeline(entries, more, whose) {
  if (!entries) return h("p", { class: "empty" }, "Loading …");
  if (!entries.length) return h("p", { class: "empty" }, "Nothing has happened yet.");
  return [
    h("ol", { class: "timeline" }, entries.map((each) =>
      h("li", { "data-key": each.place },
        h("time", { datetime: each.at, title: new Date(at(each.at)).toLocaleString() }, clock(at(each.at))), each.phase ? mark(each.phase) : h("span"),
        h("span", {}, !whose && each.reference && [linkTo(each.reference), " "], prose(readable(each.text)), each.cause && h("span", { class: "dim" }, ` · ${each.cause}`))))),
    more && h("button", { type: "button", "data-act": "older" }, "Older"),
  ];
}

const readable = (text) => (text ?? "").replace(" -> ", " → ").replace(/\b([0-9a-f]{8})-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b/g, "$1…");

const target = (runsOn) => (runsOn?.docker ? `docker, ${runsOn.docker.image}${runsOn.docker.environment?.length ? ` with ${runsOn.docker.environment.join(" ")}` : ""}` : runsOn ? "machine" : "");
const variables = (env) => (env ?? []).map((each) => h("div", {}, h("code", {}, each.valueFrom ? `${each.name} ← secret ${each.valueFrom.secretRef?.id ?? ""}` : `${each.name}=${each.value ?? ""}`)));
const command = (title, text) => text && [h("h3", {}, title), h("pre", { class: "quote" }, text)];

export function definition(kind, thing) {
  const { metadata = {}, spec = {} } = thing;
  const needed = (thing.dependsOn ?? []).map((id) => state.tasks.get(id) ?? state.services.get(id)).filter(Boolean);
  return [
    facts([
      ["Reference", h("code", {}, reference(thing))],
      ["Id", h("code", {}, thing.id)],
      ["Description", metadata.description],
      ["Triggered by", triggers(thing).join(", ") || "nothing: it is started by hand"],
      ["Depends on", list(needed.map((each) => linkTo(reference(each))))],
      ["Runs on", target(spec.runsOn)],
      ["Role", kind === "service" ? short(metadata.role, "").toLowerCase() : ""],
      ["Readiness limit", spec.readinessTimeout && spec.readinessTimeout !== "0s" ? spec.readinessTimeout : ""],
      ["Prebuild", spec.prebuildRequiresSuccess ? "fails where this fails" : ""],
      ["Environment", variables(spec.env)],
      ["File", state.agent?.automations?.path && h("code", {}, state.agent.automations.path)],
    ]),
    kind === "service" ? [command("start", spec.commands?.start), command("ready", spec.commands?.ready), command("stop", spec.commands?.stop)] : command("command", spec.command),
  ];
}

// ---------------------------------------------------------------- when nothing is chosen

export function overview(entries) {
  const active = [...state.executions.values()].filter((each) => !FINISHED.has(executionPhase(each)));
  const failed = [...state.services.values()].filter((each) => servicePhase(each) === "FAILED");
  const moving = [...state.services.values()].filter((each) => ["STARTING", "STOPPING"].includes(servicePhase(each)));
  const latest = latestByTask();
  const failedTasks = [...state.tasks.values()].filter((each) => latest.has(each.id) && executionPhase(latest.get(each.id)) === "FAILED");
  const taskOf = (each) => state.tasks.get(each.metadata?.taskId);
  return h(
    "div",
    { class: "overview" },
    h("h1", {}, "Now"),
    !active.length && !failed.length && !failedTasks.length && !moving.length && h("p", { class: "calm" }, state.services.size ? "All is as it was wished." : "Nothing runs."),
    failed.map((each) => h("p", { class: "happening", "data-key": each.id }, pill("FAILED"), linkTo(reference(each)), h("span", { class: "failure" }, prose(each.status?.failureMessage)))),
    failedTasks.map((each) => h("p", { class: "happening", "data-key": each.id }, pill("FAILED"), linkTo(reference(each)), h("span", { class: "failure" }, prose(latest.get(each.id).status?.failureMessage)))),
    moving.map((each) => h("p", { class: "happening", "data-key": each.id }, pill(servicePhase(each)), linkTo(reference(each)), since(state.since.get(each.id)))),
    active.map((each) => {
      const task = taskOf(each);
      const seen = new Map((each.status?.steps ?? []).map((step) => [step.id, short(step.phase, "PENDING")]));
      return h("div", { class: "happening", "data-key": each.id }, pill(executionPhase(each)), task ? h("a", { href: `#/task/${encodeURIComponent(reference(task))}/runs/${each.id}` }, reference(task)) : each.id, since(at(each.metadata?.startedAt)),
        h("span", { class: "dots", "aria-hidden": "true" }, steps(each).slice(0, 60).map((step) => mark(seen.get(step.id) ?? "none"))));
    }),
    h("h2", {}, "What has happened"),
    // Steps and outputs are told where the task is shown.
    timeline(entries?.filter((each) => each.phase || each.cause), false),
  );
}
