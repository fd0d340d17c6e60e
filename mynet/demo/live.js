"use strict";
const $ = (id) => document.getElementById(id);

/* A WebSocket that comes back by itself. It waits for half a second, then twice as long each
   time, up to half a minute; up to half of that is left to chance, so that not all browsers of a
   server that was restarted come back at once. */
class Live {
  static SHORTEST = .5;
  static LONGEST = 30;
  static STEADY = 5; // seconds after which a connection is taken for a good one

  /* `url` is called for each try, `hear` with each message, `began` at the start of each. */
  constructor({ url, hear, began = () => {} }) {
    Object.assign(this, { url, hear, began, socket: null, begun: false, tries: 0, due: 0, timers: [] });
    addEventListener("online", () => this.retry());
    addEventListener("offline", () => this.socket && this.lose());
    addEventListener("pagehide", () => this.forget()); // a page that is kept for the way back
    addEventListener("pageshow", (event) => event.persisted && this.resume());
    $("now").addEventListener("click", () => this.retry());
    $("origin").textContent = location.host;
  }

  /* Begin anew, elsewhere maybe. */
  open() {
    this.begun = false;
    this.tries = 0;
    this.connect();
  }

  connect() {
    this.forget();
    this.show("connecting");
    const url = new URL(this.url(), location);
    url.protocol = url.protocol.replace("http", "ws");
    const socket = (this.socket = new WebSocket(url));
    const mine = (act) => (event) => socket === this.socket && act(event);
    socket.addEventListener("open", mine(() => this.begin()));
    socket.addEventListener("message", mine((event) => this.hear(event.data)));
    socket.addEventListener("close", mine(() => this.lose()));
  }

  begin() {
    this.begun = true;
    this.timers.push(setTimeout(() => { this.tries = 0; }, Live.STEADY * 1000));
    this.show("open");
    this.began();
  }

  lose() {
    this.forget();
    const most = Math.min(Live.LONGEST, Live.SHORTEST * 2 ** this.tries);
    const wait = most * (1 - Math.random() / 2);
    this.tries += 1;
    this.due = performance.now() + wait * 1000;
    this.timers.push(setTimeout(() => this.connect(), wait * 1000));
    this.timers.push(setInterval(() => this.show("waiting"), 250));
    this.show("waiting");
  }

  /* Try at once, if it is waiting. */
  retry() {
    if ($("state").classList.contains("waiting")) this.connect();
  }

  /* Go on where the page was left. */
  resume() {
    if (!$("state").classList.contains("closed")) this.connect();
  }

  /* End it, and do not come back. */
  close() {
    this.forget();
    this.show("closed");
  }

  /* Whether it could be sent. */
  send(data) {
    const open = this.socket !== null && this.socket.readyState === WebSocket.OPEN;
    if (open) this.socket.send(data);
    return open;
  }

  forget() {
    for (const timer of this.timers) clearTimeout(timer); // intervals, too
    this.timers = [];
    const socket = this.socket;
    this.socket = null;
    if (socket) socket.close();
  }

  show(state) {
    const texts = { connecting: "connecting", open: "connected", waiting: "not connected", closed: "hung up" };
    if ($("state").textContent !== texts[state]) $("state").textContent = texts[state];
    $("state").className = `state ${state}`;
    $("lost").hidden = state === "open" || (state === "connecting" && !this.tries) || state === "closed";
    $("why").textContent = this.begun ? "Connection lost." : "The server does not let us in.";
    const left = Math.max(0, Math.ceil((this.due - performance.now()) / 1000));
    const text = state === "waiting" && left ? `Trying again in ${left} s.` : "Trying again.";
    if ($("wait").textContent !== text) $("wait").textContent = text;
    $("now").disabled = state !== "waiting";
  }
}
