// What opens above the page: triggers to fire, the agent itself, and the keys.

import * as api from "./api.js";
import { h, icon, show } from "./dom.js";
import { linkTo } from "./panels.js";
import { state } from "./store.js";
import { EVENTS, at, clock, plural, since, triggers } from "./words.js";

const dialog = () => document.getElementById("dialog");

function open(title, ...content) {
  const box = dialog();
  const close = h("button", { type: "button", class: "quiet", "data-act": "close", "aria-label": "Close" }, icon("close"));
  show(box, h("div", { class: "dialog-head" }, h("h2", { id: "dialog-title" }, title), close), h("div", { class: "dialog-body" }, content));
  if (!box.open) box.showModal();
}

export const close = () => dialog().close();

// ---------------------------------------------------------------- triggers

export function triggersDialog() {
  const listed = (event) => [...state.services.values(), ...state.tasks.values()].filter((each) => triggers(each).includes(event)).length;
  open(
    "Fire a trigger",
    h("p", { class: "dim" }, "Starts every service and task that lists it. What it would start is shown first."),
    h("ul", { class: "choices" }, EVENTS.map((event) => h("li", {}, h("button", { type: "button", "data-act": "preview", "data-event": event }, h("code", {}, event), h("span", { class: "dim" }, plural(listed(event), "automation")))))),
  );
}

export async function preview(event) {
  const answer = await api.fire(event, true);
  const started = [...(answer.firing?.services ?? []), ...(answer.firing?.executions ?? [])];
  open(
    event,
    answer.repeatedKey && h("p", {}, "It was fired in this boot already; firing it again starts nothing new."),
    started.length ? [h("p", {}, "Would start:"), h("ul", { class: "reasons" }, started.map((each) => h("li", {}, linkTo(each.reference || each.id))))] : h("p", {}, "Nothing lists it: there is nothing to start."),
    (answer.skipped ?? []).map((each) => h("p", { class: "failure" }, `${each.reference}: ${each.reason}`)),
    h("p", { class: "bar" }, h("button", { type: "button", class: "primary", "data-act": "fire", "data-event": event, autofocus: true }, "Fire"), h("button", { type: "button", "data-act": "triggers" }, "Back")),
  );
  dialog().querySelector("[autofocus]")?.focus();
}

// ---------------------------------------------------------------- the agent

export async function agentDialog(session) {
  const agent = state.agent ?? {};
  const file = agent.automations ?? {};
  const rows = [
    ["Version", agent.version],
    ["Up", since(at(agent.startedAt))],
    ["Process", agent.pid && String(agent.pid)],
    ["Workspace", h("code", {}, agent.workspace ?? "")],
    ["State", h("code", {}, agent.stateDir ?? "")],
    ["Addresses", (agent.addresses ?? []).map((each) => h("div", {}, h("code", {}, each)))],
    ["Environment", h("code", {}, agent.environmentId ?? "")],
    ["Automations", file.path ? [h("code", {}, file.path), file.appliedAt && h("span", { class: "dim" }, ` in force since ${clock(at(file.appliedAt))}`)] : "no file"],
  ];
  const draw = (firings) =>
    open(
      "The agent",
      file.error && [h("p", { class: "failure" }, "The file's present contents are not in force:"), h("pre", { class: "quote" }, file.error)],
      h("dl", { class: "facts" }, rows.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value)))),
      firings?.length > 0 && [h("h3", {}, "Latest firings"), h("ul", { class: "reasons" }, firings.map((each) => h("li", {}, h("code", {}, each.event), ` ${clock(at(each.firedAt))}, ${plural((each.services?.length ?? 0) + (each.executions?.length ?? 0), "automation")}`, h("span", { class: "dim" }, ` · ${each.firedBy ?? ""}`))))],
      session.cookie && h("p", { class: "bar" }, h("button", { type: "button", "data-act": "sign-out" }, "Sign out")),
    );
  draw();
  const firings = await api.firings().catch(() => []);
  if (dialog().open) draw(firings);
}

// ---------------------------------------------------------------- keys

const KEYS = [
  ["/", "filter services and tasks; Enter shows the first of them"],
  ["j  k", "next and previous in the list"],
  ["Enter", "show it"],
  ["s  x  r", "start, stop, restart"],
  ["1 … 6", "its tabs"],
  ["l  w", "its log, and why it is as it is"],
  ["g", "find in the log; Enter and Shift+Enter go on, Esc ends"],
  ["f", "follow the log"],
  ["[  ]", "previous and next note of the agent in the log"],
  ["t", "fire a trigger"],
  ["a", "the agent"],
  ["Esc", "back"],
  ["?", "these keys"],
];

export function keysDialog() {
  open("Keys", h("dl", { class: "facts keys" }, KEYS.map(([keys, text]) => h("div", {}, h("dt", {}, keys.split("  ").map((key) => h("kbd", {}, key))), h("dd", {}, text)))));
}
