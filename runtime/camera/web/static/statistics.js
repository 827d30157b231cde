// Figures beside the live view: of the source that is watched, and how long the stages of the reading take.

import { number, textOf } from "./messages.js";
import { $, figure, make, write } from "./shared.js";

const STATES = { streaming: "Streaming", connecting: "Connecting", lost: "Lost", ended: "Ended" };
const MOST_STAGES = 20;
const REASONS = { replaced: "replaced by newer ones", too_old: "too old", at_end: "left at the end" };

/** Its state, and what is counted of it. */
export function showSource({ name, state, status, error, fps, latency, frames, dropped, reconnects }) {
  $("state").dataset.state = state;
  write($("state"), STATES[state] ?? state);
  document.title = `${name} · toolkit camera`;
  write($("of-picture"), name);
  write($("status"), error || status);
  write($("fps"), figure(fps, 1));
  write($("latency"), frames ? `${figure(latency, 1)} ms` : "–");
  write($("frames"), figure(frames));
  write($("reconnects"), figure(reconnects));
  write($("dropped"), String(dropped.reduce((sum, [, count]) => sum + count, 0)));
  const reasons = dropped.filter(([, count]) => count);
  write($("reasons"), reasons.map(([reason, count]) => `${count} ${REASONS[reason] ?? reason}`).join(", "));
}

/** Nothing is known of the source. */
export function showNoSource() {
  $("state").dataset.state = "";
  write($("state"), "Unknown");
  for (const id of ["status", "reasons"]) write($(id), "");
  for (const id of ["fps", "latency", "frames", "reconnects", "dropped", "uptime"]) write($(id), "–");
  for (const cell of $("stages").querySelectorAll("td")) write(cell, "–");
}

/** Milliseconds by stage: rows of known stages are there from the start. */
export function showStages(stages) {
  const body = $("stages");
  for (const [stage, times] of Object.entries(stages ?? {})) {
    let row = [...body.rows].find(({ dataset }) => dataset.stage === stage);
    if (!row && body.rows.length === MOST_STAGES) break;
    if (!row) {
      row = make("tr");
      row.dataset.stage = stage;
      row.append(make("th", textOf(stage)), make("td"), make("td"));
      row.cells[0].scope = "row";
      body.append(row);
    }
    write(row.cells[1], figure(number(times?.p50), 1));
    write(row.cells[2], figure(number(times?.p99), 1));
  }
}

/** How long it has run. */
export function showUptime(seconds) {
  write($("uptime"), seconds === null ? "–" : clock(seconds));
}

function clock(seconds) {
  const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60];
  const two = (value) => String(value).padStart(2, "0");
  return `${hours}:${two(minutes)}:${two(Math.floor(seconds) % 60)}`;
}
