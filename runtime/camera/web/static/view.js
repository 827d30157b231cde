// The live view: pictures of a source with what was read on them, how the reading goes, and its controls.

import { draw } from "./drawing.js";
import { Link } from "./link.js";
import { all, frameOf, number, sourceOf, textOf } from "./messages.js";
import { Region } from "./region.js";
import { $, announcer, describePicture, showConnection, showDigits, showNumbers, showOver } from "./shared.js";
import { name, textOfNumbers, write } from "./shared.js";
import { showNoSource, showSource, showStages, showUptime } from "./statistics.js";

const HOLD_MS = 1000; // after a change by this page, statistics may still be of before it
const AGAIN_MS = 500; // after a picture that cannot be shown
const MESSAGE_MS = 8000;
const OVER = { connecting: "Connecting…", lost: "Connection lost", full: "Waiting for a place" };
const KEYS = {
  " ": pause,
  s: () => $("snapshot").click(),
  r: () => region.expect(!region.expected),
  c: () => region.clear(),
};

const canvas = $("picture");
const speak = announcer($("spoken"));
const held = {}; // until when a control does not follow the statistics
let watched = 0;
let sources = [];
let paused = false;
let asked = false; // for a picture that has not come
let head = null; // of the picture that comes next
let waiting = null; // a picture to be shown
let shown = null;
let scheduled = false;

const region = new Region(chooseRegion, schedule);
const link = new Link("/socket", { opened, message, picture, state: connection }, true);

function opened() {
  asked = false;
  head = null;
  if (watched) link.send({ type: "watch", source: watched });
  next();
}

function connection(state, words) {
  showConnection(state, words);
  if (state !== "connected") {
    forget();
    showNoSource();
  }
  tellOver();
}

function message(received) {
  if (received.type === "frame") head = frameOf(received);
  else if (received.type === "stats") showStats(received);
  else if (received.type === "error") {
    for (const control of Object.keys(held)) delete held[control]; // they go back to what holds
    say(textOf(received.message));
  }
}

/** Ask for the newest picture: one at a time, so that none is late. */
function next() {
  if (!asked) asked = link.send({ type: "next" });
}

async function picture(data) {
  const seen = head;
  head = null;
  asked = false;
  const bitmap = seen && (await createImageBitmap(data.slice(0, data.size, "image/jpeg")).catch(() => null));
  if (!bitmap) return setTimeout(next, AGAIN_MS);
  waiting?.bitmap.close();
  waiting = { bitmap, seen };
  schedule();
}

function schedule() {
  if (!scheduled) requestAnimationFrame(paint);
  scheduled = true;
}

function paint() {
  scheduled = false;
  const fresh = waiting;
  waiting = null;
  if (fresh && fresh.seen.source === watched) {
    shown?.bitmap.close();
    shown = fresh;
    showSeen(fresh.seen);
  }
  if (shown) draw(canvas, shown.bitmap, shown.seen, region.drag);
  if (fresh) next();
}

function showSeen(seen) {
  const text = textOfNumbers(seen.numbers);
  Object.assign(canvas.dataset, { source: seen.source, frame: seen.frame, text });
  canvas.parentElement.style.setProperty("--ratio", seen.width / seen.height);
  region.size = [seen.width, seen.height];
  showNumbers(seen.numbers);
  showDigits(seen.digits);
  describePicture(`Live picture of ${source()?.name ?? "the source"}`, seen);
  speak(text);
  tellOver();
}

/** Numbers that are not of now are not shown. */
function forget() {
  showNumbers([]);
  showDigits([]);
  name(canvas, "No picture of now");
}

function tellOver() {
  const { state, status, error } = source() ?? {};
  if (link.state !== "connected") showOver(OVER[link.state] ?? "");
  else if (state === "lost") showOver(`Source lost: ${status || "trying again"}`);
  else if (state === "ended") showOver(error || "The source has ended", !shown);
  else if (!shown) showOver("Waiting for the first picture…");
  else showOver(paused ? "Paused" : "", false);
}

function source() {
  return sources.find(({ index }) => index === watched);
}

function showStats(stats) {
  sources = all(stats.sources, sourceOf);
  const viewable = sources.filter(({ viewable }) => viewable);
  if (viewable.length && !viewable.some(({ index }) => index === watched)) watch(viewable[0].index);
  showChoice(viewable);
  if (!isHeld("paused")) showPaused(stats.paused === true);
  if (!isHeld("threshold") && !$("threshold").matches(":active")) showThreshold(number(stats.threshold));
  showUptime(number(stats.uptime_s));
  showStages(stats.latency_ms);
  const now = source();
  if (now) follow(now);
  tellOver();
}

function follow(now) {
  showSource(now);
  if (now.state === "lost") forget();
  if (isHeld("region")) return;
  region.follow(now.region, now.size ?? region.size);
  if (paused && shown) { // no picture comes that would show the region
    shown.seen.region = now.region;
    schedule();
  }
}

function showChoice(viewable) {
  const choice = $("source");
  const texts = viewable.map(({ name, state }) => (state === "streaming" ? name : `${name} (${state})`));
  while (choice.options.length > viewable.length) choice.remove(choice.options.length - 1);
  while (choice.options.length < viewable.length) choice.add(new Option());
  viewable.forEach(({ index }, place) => {
    choice.options[place].value = index;
    write(choice.options[place], texts[place]);
  });
  choice.value = String(watched);
  $("sources").hidden = viewable.length < 2;
}

function showPaused(now) {
  paused = now;
  write($("pause"), now ? "Go on" : "Pause");
}

function showThreshold(value) {
  if (value === null) return;
  $("threshold").value = value;
  write($("threshold-value"), `${Math.round(100 * value)} %`);
}

/** Tell the server what a person has changed; whether it was told. */
function change(control, order) {
  const told = link.send(order);
  if (told) held[control] = performance.now() + HOLD_MS;
  else say("There is no connection: nothing was changed.");
  return told;
}

function chooseRegion(chosen) {
  change("region", { type: "region", source: watched, region: chosen });
}

function chooseThreshold() {
  change("threshold", { type: "threshold", value: $("threshold").valueAsNumber });
}

function isHeld(control) {
  return performance.now() < (held[control] ?? 0);
}

function watch(index) {
  watched = index;
  shown?.bitmap.close();
  shown = null;
  forget();
  $("snapshot").href = `/snapshot.png?source=${index}`;
  link.send({ type: "watch", source: index });
  tellOver();
}

function say(words) {
  write($("message"), words);
  clearTimeout(say.timer);
  say.timer = setTimeout(() => write($("message"), ""), MESSAGE_MS);
}

function pause() {
  if (change("paused", { type: "pause", paused: !paused })) showPaused(!paused);
  tellOver();
}

function key(event) {
  const other = event.target.closest?.("input, select, button, a, [tabindex]"); // has keys of its own
  const field = other?.matches("input, select");
  const action = KEYS[event.key?.toLowerCase()];
  if (!action || event.repeat || event.ctrlKey || event.altKey || event.metaKey || !$("keys").checked) return;
  if (field || (other && event.key === " ")) return;
  event.preventDefault();
  action();
}

$("pause").addEventListener("click", pause);
$("source").addEventListener("change", () => watch(Number($("source").value)));
$("threshold").addEventListener("input", () => {
  held.threshold = performance.now() + HOLD_MS;
  showThreshold($("threshold").valueAsNumber);
});
$("threshold").addEventListener("change", chooseThreshold);
addEventListener("keydown", key);
try { // those who speak to their computer want no keys, here and the next time
  $("keys").checked = localStorage.getItem("keys") !== "off";
  $("keys").addEventListener("change", () => localStorage.setItem("keys", $("keys").checked ? "on" : "off"));
} catch {} // of a browser that stores nothing
new ResizeObserver(schedule).observe(canvas);
fetch("/sources.json")
  .then((answer) => answer.json())
  .then(({ browser }) => ($("visit").hidden = browser !== true))
  .catch(() => {}); // then there is no link
link.open();
