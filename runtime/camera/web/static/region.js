// The part of the frame that is read: dragged on the picture, or typed into four fields.

import { $ } from "./shared.js";

const SMALLEST = 8; // pixels a side: less is a click, and no drag
const SIDES = ["x", "y", "w", "h"];

/** Lets a person choose a region. */
export class Region {
  /**
   * @param {(region: number[]?) => void} choose is called with what was chosen; null is all of the frame.
   * @param {() => void} redraw is called as `drag` changes.
   */
  constructor(choose, redraw) {
    this.choose = choose;
    this.redraw = redraw;
    this.size = null; // of the frame
    this.drag = null; // the region so far
    this.canvas = $("picture");
    this.fields = SIDES.map((side) => $(`region-${side}`));
    $("region").addEventListener("submit", (event) => {
      event.preventDefault();
      this.choose(this.fields.map((field) => field.valueAsNumber));
    });
    $("region").addEventListener("input", () => this.limit());
    $("region-clear").addEventListener("click", () => this.clear());
    $("region-draw").addEventListener("click", () => this.expect(!this.expected));
    this.listen();
  }

  /** Whether a finger draws a region; at other times it scrolls the page. A mouse draws at any time. */
  get expected() {
    return $("region-draw").getAttribute("aria-pressed") === "true";
  }

  expect(drawn) {
    $("region-draw").setAttribute("aria-pressed", drawn);
    this.canvas.classList.toggle("drawn-on", drawn);
  }

  /** Read all of the frame. */
  clear() {
    this.fill(null);
    this.choose(null);
  }

  /** Show the region that is read, of frames of a size. */
  follow(region, size) {
    this.size = size;
    const typing = this.fields.includes(document.activeElement);
    if (!typing && !this.drag) this.fill(region);
    this.limit();
  }

  fill(region) {
    this.fields.forEach((field, index) => {
      const value = region ? String(region[index]) : "";
      if (field.value !== value) field.value = value;
    });
    this.limit();
  }

  /** Tell the browser which values make sense, so that it says why another does not. */
  limit() {
    if (!this.size) return;
    const [x, y, width, height] = this.fields;
    const [wide, tall] = this.size;
    for (const [field, most] of [
      [x, wide - SMALLEST],
      [y, tall - SMALLEST],
      [width, wide - (x.valueAsNumber || 0)],
      [height, tall - (y.valueAsNumber || 0)],
    ]) {
      field.max = Math.max(Number(field.min), most);
    }
    this.fields.forEach((field, index) => (field.placeholder = [0, 0, wide, tall][index]));
  }

  listen() {
    let from = null;
    const end = () => {
      from = null;
      this.drag = null;
      this.redraw();
    };
    this.canvas.addEventListener("pointerdown", (event) => {
      if (!this.size || event.button || !event.isPrimary || (event.pointerType === "touch" && !this.expected)) return;
      from = this.place(event);
      this.canvas.setPointerCapture(event.pointerId);
    });
    this.canvas.addEventListener("pointermove", (event) => {
      if (!from) return;
      const to = this.place(event);
      const [left, top] = [0, 1].map((axis) => Math.min(from[axis], to[axis]));
      this.drag = [left, top, Math.abs(from[0] - to[0]), Math.abs(from[1] - to[1])];
      this.fill(this.drag);
      this.redraw();
    });
    this.canvas.addEventListener("pointerup", () => {
      const region = this.drag;
      end();
      if (!region || Math.min(region[2], region[3]) < SMALLEST) return;
      this.expect(false);
      this.choose(region);
    });
    this.canvas.addEventListener("pointercancel", end);
    addEventListener("keydown", ({ key }) => key === "Escape" && end());
  }

  /** The pixel of the frame that a pointer is on. */
  place({ clientX, clientY }) {
    const box = this.canvas.getBoundingClientRect();
    return [(clientX - box.left) / box.width, (clientY - box.top) / box.height].map((share, axis) =>
      Math.round(Math.min(1, Math.max(0, share)) * this.size[axis]),
    );
  }
}
