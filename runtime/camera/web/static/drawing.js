// Draws a picture and what was read on it, as the window of the camera does: same colours, same places for words.

export const DOUBTFUL = 0.8; // a probability below it is drawn in amber

const GREEN = "rgb(60 220 120)";
const AMBER = "rgb(255 180 40)";
const BLUE = "rgb(70 180 255)";
const GREY = "rgb(190 190 190)";
const WHITE = "rgb(255 255 255)";
const DARK = "rgb(20 22 24)"; // beneath every line, so that it is seen on paper as on a board
const GROUND = "rgb(20 22 24 / 78%)"; // of words
const SHADE = "rgb(0 0 0 / 55%)"; // over what is not read
const WIDTH = 640; // of a picture on the page, that sizes are given for

/**
 * Draw at the resolution of the screen.
 *
 * @param {HTMLCanvasElement} canvas is given as many pixels as it covers.
 * @param {CanvasImageSource} picture the frame; it may be smaller than `seen` says.
 * @param {object} seen width, height, digits, numbers, refused and region, in pixels of the frame.
 * @param {number[]?} drag a region that is being drawn.
 */
export function draw(canvas, picture, seen, drag = null) {
  const context = canvas.getContext("2d", { alpha: false });
  const wide = canvas.clientWidth || seen.width;
  const scale = wide / seen.width;
  const tall = seen.height * scale;
  const dots = devicePixelRatio || 1;
  const [columns, rows] = [Math.round(wide * dots), Math.round(tall * dots)];
  if (canvas.width !== columns || canvas.height !== rows) Object.assign(canvas, { width: columns, height: rows });
  context.setTransform(dots, 0, 0, dots, 0, 0);
  context.imageSmoothingQuality = "high";
  context.drawImage(picture, 0, 0, wide, tall);

  const factor = Math.min(1.25, Math.max(0.85, wide / WIDTH));
  const pen = { context, wide, tall, line: 1.75 * factor, text: 13 * factor, pad: 4 * factor };
  const placed = (box) => box.map((side) => side * scale);
  const region = drag ?? seen.region;
  if (region) shadeOutside(pen, placed(region));
  for (const box of seen.refused) refused(pen, grown(placed(box), pen.pad));
  const digits = seen.digits.map((digit) => ({ ...digit, box: grown(placed(digit.box), pen.pad) }));
  for (const { box, probability } of digits) stroke(pen, colorOf(probability), 0, () => context.rect(...box));
  const numbers = seen.numbers.filter(({ tracks }) => tracks.length > 1);
  const groups = numbers.map((number) => ({ ...number, box: placed(number.box) }));
  for (const { box } of groups) underline(pen, box);
  for (const each of arranged(pen, digits, groups)) chip(pen, each);
}

/** A line on a dark, wider one. */
function stroke({ context, line }, color, more, trace) {
  context.beginPath();
  trace();
  for (const [width, style] of [[line + more + 2, DARK], [line + more, color]]) {
    context.lineWidth = width;
    context.strokeStyle = style;
    context.stroke();
  }
}

function shadeOutside(pen, [x, y, width, height]) {
  pen.context.beginPath();
  pen.context.rect(0, 0, pen.wide, pen.tall);
  pen.context.rect(x, y, width, height);
  pen.context.fillStyle = SHADE;
  pen.context.fill("evenodd");
  stroke(pen, BLUE, 0, () => pen.context.rect(x, y, width, height));
}

/** Corners in grey: it was looked at, and is no digit. */
function refused(pen, [x, y, width, height]) {
  const arm = Math.max(3, Math.min(width, height) / 4);
  stroke(pen, GREY, 0, () => {
    for (const [left, along] of [[x, arm], [x + width, -arm]]) {
      for (const [top, down] of [[y, arm], [y + height, -arm]]) {
        pen.context.moveTo(left + along, top);
        pen.context.lineTo(left, top);
        pen.context.lineTo(left, top + down);
      }
    }
  });
}

/** A line under the digits of a number. */
function underline(pen, [x, y, width, height]) {
  const under = y + height + 3 * pen.pad;
  stroke(pen, BLUE, 1, () => {
    pen.context.moveTo(x, under);
    pen.context.lineTo(x + width, under);
  });
}

/** Words for digits and numbers, where they cover neither digits nor each other if there is such a place. */
function arranged(pen, digits, groups) {
  const taken = digits.map(({ box }) => box);
  const chips = digits.map((digit) => {
    const words = wordsOf(pen, [[digit.label, colorOf(digit.probability)]]);
    const { box: [x, y, width, height] } = digit;
    const [left, over] = [x - words.wide - pen.pad, y - words.tall - pen.pad];
    return best(pen, taken, words, [[x, over], [x, y + height + pen.pad], [x + width + pen.pad, y], [left, y]]);
  });
  const sure = new Map(digits.map(({ track, probability }) => [track, probability]));
  for (const { text, tracks, box: [x, y, width, height] } of groups) {
    const least = Math.min(...tracks.map((track) => sure.get(track) ?? 1));
    const words = wordsOf(pen, [[text, WHITE], [percent(least), colorOf(least)]], 1.4);
    const [left, middle] = [x + (width - words.wide) / 2, y + (height - words.tall) / 2];
    const [below, above] = [y + height + 5 * pen.pad, y - 2 * words.tall - 2 * pen.pad];
    const [after, before] = [x + width + 3 * pen.pad, x - words.wide - 3 * pen.pad];
    chips.push(best(pen, taken, words, [[left, below], [after, middle], [before, middle], [left, above]]));
  }
  digits.forEach(({ label, probability }, index) => { // what room is left goes to the probabilities
    const words = wordsOf(pen, [[label, WHITE], [percent(probability), colorOf(probability)]]);
    const own = digits.length + index;
    const full = within(pen, words, chips[index].box);
    if (covered(full, taken.filter((_, other) => other !== own))) return;
    chips[index] = { ...words, box: full };
    taken[own] = full;
  });
  return chips;
}

/** Words at the first place where they cover nothing, else where they cover least; that place is then taken. */
function best(pen, taken, words, places) {
  const boxes = places.map((place) => within(pen, words, place));
  const areas = boxes.map((box) => covered(box, taken));
  const box = boxes[areas.indexOf(Math.min(...areas))];
  taken.push(box);
  return { ...words, box };
}

/** The box of words at a place, moved to where all of it is on the picture. */
function within({ wide, tall }, words, [x, y]) {
  const left = Math.max(0, Math.min(x, wide - words.wide));
  return [left, Math.max(0, Math.min(y, tall - words.tall)), words.wide, words.tall];
}

/** How much of others a box covers. */
function covered([x, y, width, height], others) {
  let area = 0;
  for (const [left, top, wide, tall] of others) {
    const across = Math.min(x + width, left + wide) - Math.max(x, left);
    const down = Math.min(y + height, top + tall) - Math.max(y, top);
    if (across > 0 && down > 0) area += across * down;
  }
  return area;
}

/** Words with their colours, and the room that they take. */
function wordsOf({ context, text, pad }, words, larger = 1) {
  const font = `600 ${text * larger}px system-ui, sans-serif`;
  context.font = font;
  const widths = words.map(([word]) => context.measureText(word).width);
  const wide = widths.reduce((sum, width) => sum + width + pad, pad);
  return { words, widths, font, wide, tall: text * larger * 1.15 + pad };
}

/** Words on a dark ground. */
function chip({ context, pad }, { words, widths, font, box: [x, y, wide, tall] }) {
  context.fillStyle = GROUND;
  context.fillRect(x, y, wide, tall);
  context.font = font;
  context.textBaseline = "middle";
  let left = x + pad;
  words.forEach(([word, color], index) => {
    context.fillStyle = color;
    context.fillText(word, left, y + tall / 2 + pad / 8);
    left += widths[index] + pad;
  });
}

function grown([x, y, width, height], by) {
  return [x - by, y - by, width + 2 * by, height + 2 * by];
}

function colorOf(probability) {
  return probability >= DOUBTFUL ? GREEN : AMBER;
}

function percent(probability) {
  return `${Math.round(100 * probability)}%`;
}
