// The SDK 0.6 for Node.js. Speaks the lines that lines.py describes.
import { createInterface } from 'node:readline';
import Gitpod from '@gitpod/sdk';
import * as automation from '@gitpod/sdk/lib/automation.mjs';
import * as environment from '@gitpod/sdk/lib/environment.mjs';

const clients = new Map();
const opened = new Map();

function client(told) {
  const key = JSON.stringify(told);
  if (!clients.has(key)) {
    const headers = told.headers;
    clients.set(
      key,
      new Gitpod({ baseURL: told.base, bearerToken: told.token, maxRetries: told.retries, defaultHeaders: headers }),
    );
  }
  return clients.get(key);
}

function ask(request, options = {}) {
  const names = request.path.replace(/_(.)/g, (_, letter) => letter.toUpperCase()).split('.');
  const last = names.pop();
  const resource = names.reduce((at, name) => at[name], client(request.client));
  if (request.timeout !== null) options.timeout = request.timeout * 1000;
  return resource[last](request.body, options);
}

async function open(request) {
  switch (request.what) {
    case 'list': {
      const items = ask(request)[Symbol.asyncIterator]();
      return { items, close: () => items.return() };
    }
    case 'watch': {
      const controller = new AbortController();
      const stream = await ask(request, { signal: controller.signal });
      return { items: stream[Symbol.asyncIterator](), close: () => controller.abort() };
    }
    case 'commands': {
      // The SDK's own way to run something and read its log, with a token for logs that it asks for itself.
      const items = await automation[request.path](client(request.client), ...Object.values(request.body));
      return { items, close: () => items.return() };
    }
    case 'running': {
      await environment.waitForEnvironmentRunning(client(request.client), request.environment_id);
      return { items: [][Symbol.iterator](), close: () => undefined };
    }
  }
}

async function next(request) {
  const { items } = opened.get(request.of);
  const found = [];
  while (found.length < request.count) {
    const { done, value } = await items.next();
    if (done) break;
    found.push(value);
  }
  return found;
}

async function work(request) {
  switch (request.do) {
    case 'call':
      return await ask(request);
    case 'open':
      opened.set(request.id, await open(request));
      return null;
    case 'next':
      return await next(request);
    case 'close':
      await opened.get(request.of).close();
      opened.delete(request.of);
      return null;
  }
}

function tell(error) {
  return {
    type: error.constructor.name,
    message: String(error),
    code: error.code ?? null,
    status: error.status ?? null,
    told: error.error?.message ?? null,
  };
}

for await (const line of createInterface({ input: process.stdin })) {
  const request = JSON.parse(line);
  work(request).then(
    (result) => console.log(JSON.stringify({ id: request.id, result: result ?? null })),
    (error) => console.log(JSON.stringify({ id: request.id, error: tell(error) })),
  );
}
process.exit(0);
