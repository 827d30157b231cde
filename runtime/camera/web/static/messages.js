// What the server says, checked: whatever is not as it should be is left out, and never shown or drawn.

const MOST = 500; // digits, numbers or boxes of one frame
const LONGEST = 200; // characters of a text
const LARGEST = 16384; // pixels a side

/** A JSON object with a type; null for anything else. */
export function parse(text) {
  try {
    const message = JSON.parse(text);
    return message && typeof message.type === "string" ? message : null;
  } catch {
    return null;
  }
}

/** The frame that a message is about, with what is on it; null where its size makes no sense. */
export function frameOf(message) {
  const { width, height } = message;
  if (![width, height].every((side) => Number.isInteger(side) && side > 0 && side <= LARGEST)) return null;
  return {
    source: whole(message.source),
    frame: whole(message.frame),
    width,
    height,
    region: boxOf(message.region),
    digits: all(message.digits, digitOf),
    numbers: all(message.numbers, numberOf),
    refused: all(message.refused, boxOf),
  };
}

/** A source of the statistics; null where there is none. `place` is where it stands among them. */
export function sourceOf(value, place) {
  if (!value || typeof value !== "object") return null;
  const size = list(value.size).map((side) => whole(side));
  return {
    index: whole(value.index, place),
    name: textOf(value.name) || `source ${place}`,
    viewable: value.viewable !== false,
    state: textOf(value.state),
    status: textOf(value.status),
    error: textOf(value.error),
    size: size.length === 2 && size.every((side) => side > 0 && side <= LARGEST) ? size : null,
    fps: number(value.fps),
    latency: number(value.latency_ms),
    frames: number(value.frames),
    dropped: counts(value.dropped),
    reconnects: number(value.reconnects),
    region: boxOf(value.region),
  };
}

/** Those of a list that a check lets pass. */
export function all(values, check) {
  return list(values).slice(0, MOST).map(check).filter((value) => value !== null);
}

/** x, y, width, height; null where it is no box. */
export function boxOf(value) {
  const good = Array.isArray(value) && value.length === 4 && value.every((side) => Math.abs(side) <= LARGEST);
  return good && value.every(Number.isFinite) && value[2] > 0 && value[3] > 0 ? value : null;
}

/** A short text; empty where it is none. */
export function textOf(value) {
  return typeof value === "string" ? value.slice(0, LONGEST) : "";
}

/** A finite number; null where it is none. */
export function number(value) {
  return Number.isFinite(value) ? value : null;
}

/** How many of what, such as frames that were dropped, by reason. */
function counts(value) {
  const pairs = value && typeof value === "object" ? Object.entries(value) : [];
  return pairs.slice(0, 10).filter(([, count]) => Number.isFinite(count));
}

function digitOf(value) {
  const box = boxOf(value?.box);
  const label = textOf(value?.label);
  const probability = number(value?.probability);
  if (!box || !label || probability === null) return null;
  return { box, label, probability: Math.min(1, Math.max(0, probability)), track: whole(value.track) };
}

function numberOf(value) {
  const box = boxOf(value?.box);
  const text = textOf(value?.text);
  return box && text ? { box, text, tracks: list(value.tracks).filter(Number.isInteger) } : null;
}

function whole(value, otherwise = 0) {
  return Number.isInteger(value) ? value : otherwise;
}

function list(value) {
  return Array.isArray(value) ? value : [];
}
