// The visitor's own camera: a picture is sent when the one before is answered, and shown with its answer.

import { draw } from "./drawing.js";
import { Link } from "./link.js";
import { frameOf, textOf } from "./messages.js";
import { $, announcer, describePicture, figure, showConnection, showDigits, showNumbers, showOver } from "./shared.js";
import { name, textOfNumbers, write } from "./shared.js";
import { Webcam, available, problem } from "./webcam.js";

const AGAIN_MS = 500; // after a picture that could not be sent
const KEEP = 0.9; // of the times that are shown, from answer to answer
const OVER = {
  connecting: "Connecting…",
  connected: "Waiting for the first answer…",
  lost: "Connection lost",
  full: "Waiting for a place",
};
const LIMITS = { side: 1280, bytes: 1_000_000 }; // until the server says

const canvas = $("picture");
const speak = announcer($("spoken"));
const webcam = new Webcam();
const link = new Link("/visit/socket", { message, state: connection }, false);
let limits = LIMITS;
let run = 0; // counts starts and stops, so that what began before one knows that it is over
let busy = false; // with a picture that is not sent yet
let owed = false; // a picture, once this page is looked at again
let sent = 0; // when the picture was that is not answered yet
let last = 0; // when an answer came
let between = null; // answers, in milliseconds
let latency = null;
let missed = 0;

async function start() {
  stop("Waiting for the camera: the browser may ask whether this page may use it.");
  const own = ++run;
  $("start").disabled = true;
  $("stop").disabled = false;
  showOver("Waiting for the camera…");
  try {
    await webcam.start($("camera").value, () => own === run && stop("The camera was unplugged, or taken away."));
  } catch (error) {
    if (own === run) stop(problem(error));
    return;
  }
  if (own !== run) return; // stopped while the browser asked
  write($("message"), "Hold digits in front of the camera.");
  link.open();
  listCameras();
}

/** Let go of the camera and the server. */
function stop(words) {
  run += 1;
  webcam.stop();
  link.close();
  [sent, missed, owed] = [0, 0, false];
  write($("dropped"), "0");
  write($("message"), words);
  $("start").disabled = false;
  $("stop").disabled = true;
  show(null);
  canvas.width = canvas.height = 1; // nothing of the picture stays
  Object.assign(canvas.dataset, { frame: "", text: "" });
  name(canvas, "No picture of now");
  showOver("The camera is off");
}

function connection(state, words) {
  showConnection(state, words);
  sent = 0; // nothing of before is answered any more
  if (state === "closed") return;
  show(null);
  showOver(OVER[state]);
}

function message(received) {
  if (received.type === "ready") {
    limits = {
      side: Math.max(16, Math.min(4096, received.largest_side)) || LIMITS.side,
      bytes: Math.max(1000, received.largest_bytes) || LIMITS.bytes,
    };
  } else if (received.type === "answer" && sent) {
    const seen = frameOf(received);
    if (seen) show(seen);
  } else if (received.type === "dropped") {
    missed += 1;
    const reason = textOf(received.reason);
    write($("dropped"), `${missed}${reason ? ` (${reason})` : ""}`);
  } else return;
  sent = 0;
  send();
}

/** Send the newest picture, unless one is on its way or nobody looks. */
async function send() {
  owed = document.hidden;
  if (busy || sent || owed || !webcam.stream) return;
  const own = run;
  busy = true;
  await webcam.next();
  const picture = await webcam.jpeg(limits.side, limits.bytes);
  busy = false;
  if (own !== run || document.hidden) return send(); // for the camera that is on now, or later
  if (!picture) setTimeout(send, AGAIN_MS);
  else if (link.send(picture)) sent = performance.now(); // else the server says when it is ready again
}

/** Show the picture that was sent with what was read on it; null where there is nothing to show. */
function show(seen) {
  const numbers = seen?.numbers ?? [];
  const text = textOfNumbers(numbers);
  showNumbers(numbers);
  showDigits(seen?.digits ?? []);
  count(Boolean(seen));
  if (!seen) return;
  canvas.parentElement.style.setProperty("--ratio", seen.width / seen.height);
  draw(canvas, webcam.frame, seen);
  Object.assign(canvas.dataset, { frame: seen.frame, text });
  describePicture("Picture of your camera", seen);
  speak(text);
  showOver("");
}

function count(answered) {
  const now = performance.now();
  if (answered) {
    latency = smooth(latency, now - sent);
    if (last) between = smooth(between, now - last);
  } else between = latency = null;
  last = answered ? now : 0;
  write($("fps"), figure(between && 1000 / between, 1));
  write($("latency"), figure(latency));
}

function smooth(before, value) {
  return before === null ? value : KEEP * before + (1 - KEEP) * value;
}

/** Offer the cameras by name, with the one that is on chosen. */
async function listCameras() {
  const cameras = available() ? await Webcam.list().catch(() => []) : [];
  const chosen = webcam.id || $("camera").value;
  const options = cameras.map(([id, label]) => new Option(label, id));
  $("camera").replaceChildren(...(options.length && webcam.id ? options : [new Option("Any", ""), ...options]));
  $("camera").value = cameras.some(([id]) => id === chosen) ? chosen : $("camera").options[0].value;
}

function explain() {
  $("insecure").hidden = false;
  $("start").disabled = $("camera").disabled = true;
  const port = location.port || (location.protocol === "https:" ? "443" : "80");
  write($("tunnel"), `ssh -L ${port}:127.0.0.1:${port} ${location.hostname.replace(/[[\]]/g, "")}`);
  $("through").href = `http://localhost:${port}/visit`;
  write($("through"), $("through").href);
  write($("message"), "No camera can be used on this page as it was opened: see above.");
}

write($("host"), location.hostname === "localhost" ? "this machine" : location.hostname);
$("start").addEventListener("click", start);
$("stop").addEventListener("click", () => stop("Stopped. The camera is off."));
$("camera").addEventListener("change", () => webcam.stream && start());
document.addEventListener("visibilitychange", () => owed && send());
addEventListener("pagehide", () => webcam.stream && stop("Stopped, since the page was left. The camera is off."));
navigator.mediaDevices?.addEventListener?.("devicechange", listCameras);
fetch("/sources.json")
  .then((answer) => answer.json())
  .then(({ sources }) => ($("live").hidden = !sources?.length))
  .catch(() => {}); // then there is no link
if (available()) listCameras();
else explain();
