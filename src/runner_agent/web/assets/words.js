// How messages of the API read: short phases, spans of time, and the like.

import { h } from "./dom.js";

export const FINISHED = new Set(["SUCCEEDED", "FAILED", "STOPPED"]);
export const EVENTS = ["postMachineStart", "postDevcontainerStart", "postEnvironmentStart", "prebuild", "beforeSnapshot"];

export const short = (phase, none) =>
  (phase ?? "").replace(/^(SERVICE_PHASE|TASK_EXECUTION_PHASE|SERVICE_ROLE)_/, "").replace("UNSPECIFIED", "") || none;
export const servicePhase = (service) => short(service.status?.phase, "STOPPED");
export const executionPhase = (execution) => short(execution.status?.phase, "PENDING");
export const reference = (thing) => thing.metadata?.reference || thing.id;
export const goingUp = (service) => ["STARTING", "RUNNING"].includes(servicePhase(service));
export const plural = (number, noun) => `${number} ${noun}${number === 1 ? "" : "s"}`;
export const triggers = (thing) =>
  (thing.metadata?.triggeredBy ?? []).map((each) => Object.keys(each).find((name) => each[name])).filter(Boolean);
export const at = (text) => (text ? Date.parse(text) : undefined);
export const steps = (execution) => (execution.spec?.plan ?? []).flatMap((group) => group.steps ?? []);

export function span(ms) {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min${minutes < 3 && seconds % 60 ? ` ${seconds % 60} s` : ""}`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return `${hours} h${minutes % 60 ? ` ${minutes % 60} min` : ""}`;
  return `${Math.floor(hours / 24)} days`;
}

export function clock(ms) {
  const day = new Date(ms);
  const time = day.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false });
  if (day.toDateString() === new Date().toDateString()) return time;
  return `${day.toLocaleDateString([], { month: "short", day: "numeric" })} ${time}`;
}

// A span that goes on: `tick` keeps it true.
export function since(ms, suffix = "") {
  if (!ms) return "";
  const text = span(Date.now() - ms) + suffix;
  return h("time", { "data-since": ms, "data-suffix": suffix, title: new Date(ms).toLocaleString() }, text);
}

export function tick() {
  const now = Date.now();
  for (const node of document.querySelectorAll("time[data-since]")) {
    const text = span(now - Number(node.dataset.since)) + node.dataset.suffix;
    if (node.textContent !== text) node.textContent = text;
  }
}

// What stands between backticks is meant literally.
export const prose = (text) => (text ?? "").split(/`([^`]+)`/).map((part, at) => (at % 2 ? h("code", {}, part) : part));

export const bytes = (count) => {
  const power = count < 1024 ? 0 : Math.min(3, Math.floor(Math.log2(count) / 10));
  const value = count / 1024 ** power;
  return `${value.toFixed(value < 10 && power ? 1 : 0)} ${["B", "KiB", "MiB", "GiB"][power]}`;
};

export function mark(phase) {
  return h("span", { class: `mark ${phase.toLowerCase()}`, "aria-hidden": "true" });
}

export function pill(phase) {
  return h("span", { class: `pill ${phase.toLowerCase()}` }, mark(phase), phase.toLowerCase());
}

export function duration(execution, now = Date.now()) {
  const began = at(execution.metadata?.startedAt);
  return began ? span((at(execution.metadata?.completedAt) ?? now) - began) : "";
}
