// Reading a log as it grows: from its last lines on, from a place in it, or all of it while it is searched.

import * as api from "./api.js";

const BREATH = 50; // ms read at a time

const start = (answer) => Number(answer.headers.get("x-log-start") ?? 0);

export class LogStream {
  // `changed()`: there is more to show. `idle(abort)`: it has ended, or broken off.
  constructor(changed, idle) {
    this.changed = changed;
    this.idle = idle;
    this.state = "loading"; // open, lost, refused
    this.problem = "";
    this.reading = false;
    this.ended = false; // all was read that there is
  }

  stop() {
    this.abort?.abort();
    this.reading = false;
  }

  // `position`: as the address takes it. Of `whole`, it is known beforehand where the log ends now.
  async read(source, position, held, whole) {
    this.abort?.abort();
    const abort = (this.abort = new AbortController());
    const ask = (query) => api.log(source.path, { ...source.query, ...query }, abort.signal);
    this.reading = true;
    this.ended = false;
    try {
      if (whole && this.goal === undefined) this.goal = start(await ask({ follow: false, tail: 0 }));
      const answer = await ask(position);
      if (!held.begun) held.begin(start(answer));
      this.problem = "";
      this.state = "open";
      this.changed();
      await this.take(answer.body.getReader(), held);
      this.ended = true;
    } catch (error) {
      if (abort.signal.aborted) return;
      if (error instanceof api.Refused) this.problem = error.message;
      this.state = error instanceof api.Refused ? "refused" : "lost";
    }
    if (abort !== this.abort) return;
    this.reading = false;
    this.changed();
    if (this.state !== "refused") this.idle(() => abort === this.abort && !this.reading);
  }

  async take(reader, held) {
    for (let rested = 0; ; ) {
      const { done, value } = await reader.read();
      if (done) return;
      held.add(value);
      this.changed();
      // What cannot be read as fast as it is written is not read faster: the screen goes first.
      if (performance.now() - rested > BREATH) {
        await new Promise((resolve) => setTimeout(resolve));
        rested = performance.now();
      }
    }
  }
}
