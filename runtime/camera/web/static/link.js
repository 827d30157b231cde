// The connection to the server, which is made again whenever it is lost.

import { parse, textOf } from "./messages.js";

const SHORTEST_MS = 500;
const LONGEST_MS = 10_000;
const SILENCE_MS = 10_000; // a server that owes an answer for so long is gone, though nothing has said so
const NOT_KNOWN = 4401;
const TOO_MANY = 4429;
const WORDS = {
  connecting: "Connecting…",
  connected: "Connected",
  lost: "Connection lost, trying again…",
  full: "Too many people at the moment, trying again in 10 s…",
  closed: "Not connected",
};

/** A WebSocket that comes back. */
export class Link {
  /**
   * @param {string} path of the socket.
   * @param {object} on what to call: opened(), message(object), picture(Blob), and state(name, words), where the name
   *   is "connecting", "connected", "lost", "full" or "closed".
   * @param {boolean} chatty whether the server speaks by itself; otherwise it owes an answer to what is sent.
   */
  constructor(path, on, chatty) {
    this.address = new URL(path, location.href.replace(/^http/, "ws"));
    this.on = on;
    this.chatty = chatty;
    this.wait = SHORTEST_MS;
    this.socket = null;
    this.goodbye = "";
    addEventListener("online", () => this.timer && this.open());
  }

  /** Connect, or connect again at once. */
  open() {
    clearTimeout(this.timer);
    this.timer = 0;
    this.drop();
    if (!this.state) this.tell("connecting");
    const socket = new WebSocket(this.address);
    this.socket = socket;
    socket.onopen = () => {
      this.goodbye = ""; // only now: until then it says why there is no connection
      this.tell("connected");
      this.expect();
      this.on.opened?.();
    };
    socket.onmessage = ({ data }) => this.receive(data);
    socket.onclose = ({ code }) => this.lose(code);
    this.expect();
  }

  /** End it, and do not come back. */
  close() {
    clearTimeout(this.timer);
    this.timer = 0;
    this.drop();
    this.tell("closed");
    this.state = "";
  }

  /** Send an object as JSON, or a Blob; false where there is no connection. */
  send(message) {
    if (this.socket?.readyState !== WebSocket.OPEN) return false;
    this.socket.send(message instanceof Blob ? message : JSON.stringify(message));
    if (!this.chatty) this.expect();
    return true;
  }

  receive(data) {
    clearTimeout(this.silence);
    if (this.chatty) this.expect();
    if (typeof data !== "string") return this.on.picture?.(data);
    const message = parse(data);
    if (!message) return;
    this.wait = SHORTEST_MS; // only now: a server that closes at once is not to be asked twice a second
    if (message.type === "bye") this.goodbye = textOf(message.reason);
    else this.on.message(message);
  }

  expect() {
    clearTimeout(this.silence);
    this.silence = setTimeout(() => this.lose(0), SILENCE_MS);
  }

  lose(code) {
    this.drop();
    if (code === NOT_KNOWN) return location.assign("/login");
    const wait = code === TOO_MANY ? LONGEST_MS : this.wait * (0.75 + Math.random() / 2);
    this.wait = Math.min(LONGEST_MS, 2 * this.wait);
    this.tell(code === TOO_MANY ? "full" : "lost");
    this.timer = setTimeout(() => this.open(), wait);
  }

  /** Forget the socket, whatever it may still have to say. */
  drop() {
    clearTimeout(this.silence);
    if (!this.socket) return;
    this.socket.onopen = this.socket.onmessage = this.socket.onclose = null;
    this.socket.close();
    this.socket = null;
  }

  tell(state) {
    this.state = state;
    const why = state === "lost" && this.goodbye ? ` (${this.goodbye})` : "";
    this.on.state(state, WORDS[state].replace(",", `${why},`));
  }
}
