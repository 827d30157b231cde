// What both pages show beside the picture: numbers, digits, the connection, and words for a screen reader.

import { DOUBTFUL } from "./drawing.js";

const SPEAK_EVERY_MS = 2000;

/** The element with an id. */
export const $ = (id) => document.getElementById(id);

/** Set a text, and touch nothing where it is there already. */
export function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** A number with so many places, or a dash. */
export function figure(value, places = 0) {
  return value === null ? "–" : value.toFixed(places);
}

/** An element with a text. */
export function make(tag, text = "", className = "") {
  const element = document.createElement(tag);
  element.textContent = text;
  element.className = className;
  return element;
}

/** Give an element a name for those who do not see it. */
export function name(element, words) {
  if (element.getAttribute("aria-label") !== words) element.setAttribute("aria-label", words);
}

/** The texts of numbers, joined by a space. */
export function textOfNumbers(numbers) {
  return numbers.map(({ text }) => text).join(" ");
}

/** Show numbers large, each as a word of its own. */
export function showNumbers(numbers) {
  const place = $("numbers");
  if (place.textContent === textOfNumbers(numbers)) return;
  place.replaceChildren(...numbers.flatMap(({ text }, index) => [index ? " " : "", make("span", text)]));
}

/** List digits in the order in which they came, so that rows keep their places while digits move. */
export function showDigits(digits) {
  const body = $("digits");
  const sorted = [...digits].sort((one, other) => one.track - other.track);
  while (body.rows.length > sorted.length) body.deleteRow(-1);
  while (body.rows.length < sorted.length) body.append(emptyRow());
  sorted.forEach((digit, index) => fillRow(body.rows[index], digit));
}

function emptyRow() {
  const row = make("tr");
  const heading = make("th");
  heading.scope = "row";
  const meter = make("meter");
  meter.high = DOUBTFUL;
  meter.low = 0;
  meter.optimum = 1;
  const sure = make("td");
  sure.append(meter, make("span"));
  row.append(heading, sure, make("td"));
  return row;
}

function fillRow(row, { label, probability, track }) {
  const [heading, sure, id] = row.cells;
  const [meter, percent] = sure.children;
  Object.assign(row.dataset, { label, track, probability });
  write(heading, label);
  write(percent, `${(100 * probability).toFixed(1)} %`);
  write(id, String(track));
  if (meter.value !== probability) meter.value = probability;
  name(meter, `Probability of ${label}`);
}

/** Show how the connection is. */
export function showConnection(state, words) {
  $("connection").dataset.state = state;
  write($("connection"), words);
}

/** Words over the picture, which is dark where it is not of now; no words hide them. */
export function showOver(words, old = true) {
  write($("over"), words);
  $("over").hidden = !words;
  $("picture").parentElement.classList.toggle("old", old && words !== "");
}

/** What the canvas is called, for those who do not see it. */
export function describePicture(what, shown) {
  const text = textOfNumbers(shown.numbers);
  const count = shown.digits.length;
  name($("picture"), `${what}, ${count} ${count === 1 ? "digit" : "digits"}${text ? `, numbers: ${text}` : ""}`);
}

/** Says texts to a screen reader by a live region: what is new, and never oftener than it can be listened to. */
export function announcer(element) {
  let wanted = "";
  let said = "";
  let timer = 0;
  const say = () => {
    timer = 0;
    if (wanted === said) return;
    said = wanted;
    element.textContent = said || "No numbers";
    timer = setTimeout(say, SPEAK_EVERY_MS);
  };
  return (text) => {
    wanted = text;
    if (!timer) say();
  };
}
