// Requests to the agent this page came from. The header beside the cookie is what foreign pages cannot send.

const OURS = { "x-runner-agent": "dashboard" };
const AUTOMATION = "gitpod.v1.EnvironmentAutomationService";
const AGENT = "runner_agent.v1.RunnerAgentService";
const PAGE_SIZE = 100;
const PATIENCE = 20000;

export class Away extends Error {}
export class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

let signedOut = () => {};
export const onSignedOut = (listener) => (signedOut = listener);

// Relative to the page, which a proxy may have put below a path of its own.
async function ask(path, options) {
  let answer;
  try {
    answer = await fetch(`.${path}`, { credentials: "same-origin", ...options, headers: { ...OURS, ...options.headers } });
  } catch (error) {
    if (options.signal?.aborted && error.name === "AbortError") throw error;
    throw new Away("the agent does not answer");
  }
  if (answer.ok) return answer;
  const told = await answer.json().catch(() => ({}));
  if (answer.status === 401 && path !== "/session") signedOut();
  throw new Refused(answer.status, told.message || `the agent answered ${answer.status}`);
}

async function json(path, message, method = "POST") {
  const body = message === undefined ? undefined : JSON.stringify(message);
  const signal = AbortSignal.timeout(PATIENCE);
  try {
    const answer = await ask(path, { method, body, signal, headers: { "content-type": "application/json" } });
    return await answer.json();
  } catch (error) {
    throw error instanceof Refused ? error : new Away("the agent does not answer");
  }
}

const published = (method, message = {}) => json(`/${AUTOMATION}/${method}`, message);
const own = (method, message = {}) => json(`/${AGENT}/${method}`, message);

async function all(call, method, items, filter) {
  const found = [];
  let token = "";
  do {
    const answer = await call(method, { pagination: { pageSize: PAGE_SIZE, token }, filter });
    found.push(...(answer[items] ?? []));
    token = answer.pagination?.nextToken ?? "";
  } while (token);
  return found;
}

export const session = () => json("/session", undefined, "GET");
export const signIn = (code) => json("/session", { code });
export const signOut = () => json("/session", undefined, "DELETE");

export const services = (serviceIds) =>
  all(published, "ListServices", "services", serviceIds && { serviceIds });
export const tasks = (taskIds) => all(published, "ListTasks", "tasks", taskIds && { taskIds });
export const startService = (id) => published("StartService", { id });
export const restartService = (id) => own("RestartService", { id });
export const stopService = (id) => published("StopService", { id });
export const startTask = async (id) => (await published("StartTask", { id })).taskExecution;
export const execution = async (id) => (await published("GetTaskExecution", { id })).taskExecution;
export const stopExecution = (id) => published("StopTaskExecution", { id });
export const executions = async (filter) =>
  (await published("ListTaskExecutions", { pagination: { pageSize: PAGE_SIZE }, filter })).taskExecutions ?? [];

export const agent = async () => (await own("GetAgent")).agent;
export const explain = (id) => own("ExplainAutomation", { id });
export const plan = async (id) => (await own("PlanTask", { id })).groups ?? [];
export const fire = (event, dryRun) => own("FireTrigger", { event, dryRun });
export const firings = async () => (await own("ListFirings", { pagination: { pageSize: 10 } })).firings ?? [];
export const timeline = (filter, token = "", pageSize = 50) =>
  own("ListTimeline", { pagination: { pageSize, token }, filter });
export async function live(usage) {
  const found = { services: [], steps: [] };
  let token = "";
  do {
    const answer = await own("ListLiveStatus", { pagination: { pageSize: PAGE_SIZE, token }, usage });
    found.services.push(...(answer.services ?? []));
    found.steps.push(...(answer.steps ?? []));
    token = answer.pagination?.nextToken ?? "";
  } while (token);
  return found;
}

// Events, one JSON text a line. Ends when the agent stops; raises when it is gone or silent.
export async function* watch(signal, silence) {
  const quiet = new AbortController();
  const either = AbortSignal.any([signal, quiet.signal]);
  const headers = { "content-type": "application/json", accept: "application/jsonl" };
  let timer = setTimeout(() => quiet.abort(), silence);
  try {
    const answer = await ask("/gitpod.v1.EventService/WatchEvents", { method: "POST", body: "{}", headers, signal: either });
    let rest = "";
    for await (const text of texts(answer.body)) {
      clearTimeout(timer);
      timer = setTimeout(() => quiet.abort(), silence);
      const lines = (rest + text).split("\n");
      rest = lines.pop();
      for (const line of lines) if (line.trim()) yield JSON.parse(line);
    }
  } finally {
    clearTimeout(timer);
    quiet.abort();
  }
}

async function* texts(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      yield value;
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

export const log = (path, query, signal) => ask(`${path}?${new URLSearchParams(query)}`, { signal });
