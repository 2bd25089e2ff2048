// The page: signs in, keeps the connection, and hands what people do to who knows it.

import * as api from "./api.js";
import * as detail from "./detail.js";
import * as dialogs from "./dialogs.js";
import { h, show } from "./dom.js";
import { drawSide, openFirst } from "./side.js";
import { tell } from "./signs.js";
import { disconnect, executionsOf, failures, linkTo, onChange, putExecution, changed, state, stayConnected, tryNow } from "./store.js";
import { FINISHED, executionPhase, prose, reference, tick } from "./words.js";

const TOAST = 6000;
const MEASURE = 5000; // ms between two looks at what a shown service uses
let session = { signedIn: false, cookie: true };
let version;

// ---------------------------------------------------------------- signing in

async function begin() {
  const code = /^#code=(.+)$/.exec(location.hash)?.[1];
  // A code in the address would stay in the history, though it is good only once.
  if (code) history.replaceState(null, "", location.pathname);
  for (;;) {
    try {
      session = code && !begin.tried ? await enter(decodeURIComponent(code)) : await api.session();
      break;
    } catch (error) {
      if (error instanceof api.Refused) return signInPage(error.message);
      linkTo("away");
      drawBanner();
      await new Promise((resolve) => setTimeout(resolve, 1000));
    }
  }
  if (session.signedIn) return enterPage();
  return signInPage("");
}

async function enter(code) {
  const known = await api.session();
  if (known.signedIn && !known.cookie) return known; // a socket knows its caller
  const found = await api.signIn(code);
  begin.tried = true;
  return found;
}

function signInPage(problem) {
  disconnect();
  detail.log()?.close();
  dialogs.close();
  document.body.dataset.view = "out";
  const field = h("input", { id: "code", name: "code", type: "password", autocomplete: "off", required: true, "aria-describedby": "how" });
  tell(0, "Sign in");
  const told = h("p", { class: "failure", role: "alert" }, prose(problem));
  const form = h("form", { class: "sign-in" }, h("h1", {}, "Sign in"),
    h("p", { id: "how" }, "On the machine the agent runs on, ", h("code", {}, "runner-agent dashboard"), " prints an address that signs you in. Or paste the code here, or the text of the file ", h("code", {}, "token"), " in the state directory."),
    told, h("label", { for: "code" }, "Code or token"), field, h("button", { class: "primary" }, "Sign in"));
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    try {
      session = await api.signIn(field.value.trim());
      enterPage();
    } catch (error) {
      show(told, prose(error.message));
      field.select();
    }
  });
  document.getElementById("main").replaceChildren(form);
  document.getElementById("side").hidden = true;
  show(document.getElementById("top"), brand());
  show(document.getElementById("banner"));
  field.focus();
}

async function enterPage() {
  document.getElementById("side").hidden = false;
  document.getElementById("main").replaceChildren();
  linkTo("connecting");
  draw();
  stayConnected();
}

// ---------------------------------------------------------------- drawing

const brand = () => h("a", { class: "brand", href: "#/" }, h("span", { class: "logo", "aria-hidden": "true" }), h("span", {}, "runner-agent"));

function draw() {
  if (state.link === "out") return;
  if (state.link === "paused") detail.log()?.close();
  const workspace = state.agent?.workspace?.split("/").filter(Boolean).pop();
  const words = { up: "connected", away: "away", connecting: "connecting", paused: "connecting" };
  const button = (act, text, key) => h("button", { type: "button", class: "quiet", "data-act": act, title: `${text} (${key})` }, text);
  show(
    document.getElementById("top"),
    brand(),
    h("span", { class: "where" }, workspace),
    h("span", { class: `link ${state.link}`, role: "status" }, words[state.link]),
    h("span", { class: "gap" }),
    button("triggers", "Triggers", "t"),
    button("agent", "Agent", "a"),
    button("keys", "Keys", "?"),
  );
  drawBanner();
  document.body.classList.toggle("away", state.link === "away");
  drawSide();
  detail.drawDetail();
  detail.refreshTimeline();
  tell(failures(), detail.route()?.name);
}

function drawBanner() {
  const { error, warning } = state.agent?.automations ?? {};
  const banner = document.getElementById("banner");
  version ??= state.agent?.version;
  if (state.link === "away")
    show(banner, h("div", { class: "banner away" }, h("strong", {}, "The agent is away. "), "What you see may be old; what runs goes on without it. Trying again … ", h("button", { type: "button", "data-act": "retry" }, "Try now")));
  else if (state.agent && version !== state.agent.version)
    show(banner, h("div", { class: "banner" }, `The agent is now version ${state.agent.version}. `, h("button", { type: "button", "data-act": "reload" }, "Load its page")));
  else if (error)
    show(banner, h("details", { class: "banner problem" }, h("summary", {}, `${state.agent.automations.path} is not in force: it has errors; the last good definitions are.`), h("pre", { class: "quote" }, error)));
  else show(banner, warning && h("div", { class: "banner" }, prose(warning)));
}

function toast(text, bad) {
  const node = h("div", { class: `toast${bad ? " bad" : ""}`, role: bad ? "alert" : undefined }, prose(text));
  document.getElementById("toasts").append(node);
  setTimeout(() => node.remove(), bad ? TOAST * 2 : TOAST);
}

// ---------------------------------------------------------------- what people do

const thingOf = ({ kind, id }) => (kind === "service" ? state.services : state.tasks).get(id);
const latest = (id) => executionsOf(id)[0];

const ACTIONS = {
  async start(data) {
    if (data.kind === "service") return api.startService(data.id);
    const execution = await api.startTask(data.id);
    putExecution(execution);
    changed();
    const here = detail.route();
    // Of a task that is shown, the new execution is what one wants to see.
    if (here?.thing?.id === data.id && here.execution) location.hash = detail.pathOf(here, here.tab);
  },
  async stop(data) {
    if (data.kind === "service") return api.stopService(data.id);
    const here = detail.route();
    const chosen = here?.thing?.id === data.id && here.execution ? state.executions.get(here.execution) : latest(data.id);
    if (chosen && !FINISHED.has(executionPhase(chosen))) await api.stopExecution(chosen.id);
  },
  async restart(data) {
    if (data.kind === "service") await api.restartService(data.id);
  },
  "stop-execution": ({ id }) => api.stopExecution(id),
  triggers: () => dialogs.triggersDialog(),
  preview: ({ event }) => dialogs.preview(event),
  async fire({ event }) {
    const { firing = {}, repeatedKey } = await api.fire(event, false);
    dialogs.close();
    const count = (firing.services?.length ?? 0) + (firing.executions?.length ?? 0);
    toast(repeatedKey ? `${event} was fired in this boot already` : `${event} fired: ${count} started`);
  },
  agent: () => dialogs.agentDialog(session),
  keys: () => dialogs.keysDialog(),
  close: () => dialogs.close(),
  retry: () => tryNow(),
  reload: () => location.reload(),
  older: () => detail.older(),
  skip: () => document.getElementById("main").focus(),
  async "sign-out"() {
    await api.signOut();
    location.reload();
  },
};

async function perform(name, data) {
  try {
    await ACTIONS[name](data);
  } catch (error) {
    const thing = data.id && thingOf(data);
    toast(`${thing ? `${reference(thing)}: ` : ""}${error.message}`, true);
  }
}

document.addEventListener("click", (event) => {
  const node = event.target.closest?.("[data-act]");
  if (!node) return;
  event.preventDefault();
  perform(node.dataset.act, node.dataset);
});

// ---------------------------------------------------------------- keys

function subject() {
  const row = document.activeElement?.closest?.(".row")?.querySelector("a");
  if (row) return { kind: row.dataset.kind, id: row.dataset.id };
  const here = detail.route();
  return here?.thing && { kind: here.kind, id: here.thing.id };
}

function move(by) {
  const links = [...document.querySelectorAll("#side .row a")].filter((each) => each.offsetParent);
  const at = links.indexOf(document.activeElement?.closest?.(".row")?.querySelector("a"));
  const current = links.findIndex((each) => each.getAttribute("aria-current"));
  links[Math.max(0, Math.min(links.length - 1, at < 0 ? Math.max(0, current) : at + by))]?.focus();
}

function filter() {
  const field = document.getElementById("filter");
  if (!field?.offsetParent) {
    location.hash = "#/"; // where there is room for one pane only, the list is behind the detail
    draw();
  }
  field?.focus();
}

function turnTab(to) {
  const here = detail.route();
  if (!here) return;
  location.hash = detail.pathOf(here, to, ...(here.execution ? [here.execution] : []));
}

const act = (name) => {
  const data = subject();
  if (data) perform(name, data);
};

const KEYS = {
  "/": filter,
  j: () => move(1),
  k: () => move(-1),
  s: () => act("start"),
  x: () => act("stop"),
  r: () => act("restart"),
  l: () => turnTab("logs"),
  w: () => turnTab("why"),
  g: () => document.getElementById("log-find")?.focus(),
  f: () => detail.log()?.follow(!detail.log().following),
  "[": () => detail.log()?.jump(-1),
  "]": () => detail.log()?.jump(1),
  t: () => perform("triggers", {}),
  a: () => perform("agent", {}),
  "?": () => perform("keys", {}),
  Escape: () => (location.hash = "#/"),
};

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || state.link === "out" || document.querySelector("dialog[open]")) return;
  const target = event.target;
  if (target.matches("input, textarea, select")) {
    if (event.key === "Escape" && target.id === "filter") {
      target.value = "";
      target.dispatchEvent(new Event("input"));
      target.blur();
    } else if (event.key === "Enter" && target.id === "filter") {
      openFirst();
      event.preventDefault();
    } else if (event.key === "ArrowDown" && target.id === "filter") {
      move(0);
      event.preventDefault();
    }
    return;
  }
  if (target.getAttribute("role") === "tab" && ["ArrowLeft", "ArrowRight", "Home", "End"].includes(event.key)) return tabKey(event, target);
  if (target.closest(".row") && ["ArrowDown", "ArrowUp"].includes(event.key)) {
    move(event.key === "ArrowDown" ? 1 : -1);
    return event.preventDefault();
  }
  if (/^[1-6]$/.test(event.key)) {
    const here = detail.route();
    const tab = here && detail.tabsOf(here.kind)[event.key - 1];
    if (tab) turnTab(tab);
    return;
  }
  if (KEYS[event.key]) {
    KEYS[event.key]();
    event.preventDefault();
  }
});

function tabKey(event, target) {
  const tabs = [...target.parentNode.children];
  const at = tabs.indexOf(target);
  const to = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: tabs.length - 1 }[event.key];
  const tab = tabs[(to + tabs.length) % tabs.length];
  location.hash = tab.getAttribute("href");
  tab.focus();
  event.preventDefault();
}

// ---------------------------------------------------------------- go

addEventListener("hashchange", () => {
  if (/^#code=/.test(location.hash)) return location.reload();
  draw();
});
onChange(draw);
api.onSignedOut(() => state.link !== "out" && signInPage("Your sign-in has ended."));
setInterval(() => !document.hidden && tick(), 1000);
setInterval(detail.measure, MEASURE);
begin();
