// A camera of this browser: asked for, chosen, and let go of.

const IDEAL = { width: { ideal: 1280 }, height: { ideal: 720 } };
const LONGEST_MS = 500; // until the next picture of a camera that has not stalled
// Share of the longest side, and quality: what comes first is what is sent, unless it is too large.
const SIZES = [[1, 0.8], [1, 0.5], [0.7, 0.5], [0.4, 0.5]];
const PROBLEMS = {
  NotAllowedError: "This page may not use the camera. Allow it beside the address; then press Start.",
  NotFoundError: "There is no camera. Plug one in; then press Start.",
  NotReadableError: "The camera is busy: another program or tab has it. Close that; then press Start.",
  OverconstrainedError: "That camera is gone. Choose another one; then press Start.",
};
const SAME = {
  PermissionDeniedError: "NotAllowedError",
  SecurityError: "NotAllowedError",
  DevicesNotFoundError: "NotFoundError",
  TrackStartError: "NotReadableError",
  AbortError: "NotReadableError",
};

/** Whether this browser gives cameras to this page at all. */
export function available() {
  return Boolean(navigator.mediaDevices?.getUserMedia);
}

/** What to tell a person of a camera that could not be had. */
export function problem(error) {
  return PROBLEMS[SAME[error?.name] ?? error?.name] ?? `The camera does not start: ${error?.message || error}`;
}

function end(stream) {
  for (const track of stream.getTracks()) track.stop();
}

/** A camera and its pictures. */
export class Webcam {
  constructor() {
    this.video = document.createElement("video"); // not on the page: what is shown is the very frame that was sent
    this.video.muted = true;
    this.video.playsInline = true;
    this.frame = document.createElement("canvas");
    this.stream = null;
    this.attempts = 0; // starts and stops, so that a camera which comes too late is let go of
  }

  /**
   * Ask for a camera. Where `stop` comes before the answer, nothing is on in the end.
   *
   * @param {string} id of the camera; none prefers the one at the back of a phone, which looks at what is to be read.
   * @param {() => void} ended is called when it is unplugged.
   */
  async start(id, ended) {
    const which = id ? { deviceId: { exact: id } } : { facingMode: "environment" };
    const own = ++this.attempts;
    const stream = await navigator.mediaDevices.getUserMedia({ video: { ...IDEAL, ...which }, audio: false });
    if (own !== this.attempts) return end(stream);
    this.stream = this.video.srcObject = stream;
    stream.getVideoTracks()[0].addEventListener("ended", ended);
    await this.video.play();
  }

  /** Let go of it: its light goes out. */
  stop() {
    this.attempts += 1;
    if (this.stream) end(this.stream);
    this.stream = this.video.srcObject = null;
  }

  /** Cameras, as pairs of id and name; browsers tell names to pages that have been given a camera. */
  static async list() {
    const devices = await navigator.mediaDevices.enumerateDevices();
    const cameras = devices.filter(({ kind, deviceId }) => kind === "videoinput" && deviceId);
    return cameras.map(({ deviceId, label }, place) => [deviceId, label || `Camera ${place + 1}`]);
  }

  /** The id of the camera that is on. */
  get id() {
    return this.stream?.getVideoTracks()[0]?.getSettings().deviceId ?? "";
  }

  /** Wait for a new picture, but not for ever. */
  next() {
    return new Promise((done) => {
      if (this.video.requestVideoFrameCallback) this.video.requestVideoFrameCallback(done);
      else requestAnimationFrame(done);
      setTimeout(done, LONGEST_MS);
    });
  }

  /**
   * The picture of now, which stays in `frame`, as a JPEG; null where there is none, or it does not get small enough.
   *
   * @param {number} side the longest, in pixels.
   * @param {number} most bytes.
   */
  async jpeg(side, most) {
    const { videoWidth, videoHeight } = this.video;
    if (!this.stream || !videoWidth || !videoHeight) return null;
    for (const [share, quality] of SIZES) {
      const scale = Math.min(1, (share * side) / Math.max(videoWidth, videoHeight));
      this.frame.width = Math.max(1, Math.round(videoWidth * scale));
      this.frame.height = Math.max(1, Math.round(videoHeight * scale));
      this.frame.getContext("2d", { alpha: false }).drawImage(this.video, 0, 0, this.frame.width, this.frame.height);
      const blob = await new Promise((done) => this.frame.toBlob(done, "image/jpeg", quality));
      if (blob && blob.size <= most) return blob;
    }
    return null;
  }
}
