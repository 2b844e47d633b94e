// What is drawn for what: the shape says the kind, colour AND sign say the state. Each symbol is drawn
// once for each look of the page and copied from then on.

const INK = { light: "#16202b", dark: "#e8edf2" };
const PAPER = { light: "#ffffff", dark: "#18212c" };
// By the digit of the state: ok, shadow, silent, verifying, filed, fault, waiting. Apart from each
// other for the colour-blind too, and each with its sign.
const FILLS = {
  light: ["#7d8a97", "#ffffff", "#ffffff", "#00735a", "#0a5fa5", "#b8400a", "#ffc94d"],
  dark: ["#8797a6", "#18212c", "#18212c", "#3fcf9f", "#66b8ee", "#ff8d55", "#ffd257"],
};
const SIGN_INKS = {
  light: ["", "#5c3d91", "#3d4854", "#ffffff", "#ffffff", "#ffffff", "#16202b"],
  dark: ["", "#c9b0f0", "#c3ccd5", "#0b1620", "#0b1620", "#0b1620", "#0b1620"],
};
const OK = 0;
const SHADOW = 1;
const SILENT = 2;
const SIGNS = [null, null, slash, tick, arrow, "!", "?"];

export class Symbols {
  constructor(look, density) {
    this.look = look;
    this.density = density;
    this.ink = INK[look];
    this.paper = PAPER[look];
    this.fills = FILLS[look];
    this.kept = new Map();
  }

  // Copies the symbol of an asset to where it stands.
  asset(to, kind, state, x, y) {
    const half = 12;
    this.copy(to, `a${kind}${state}`, half * 2, half * 2, x - half, y - half, (on) => {
      on.translate(half, half);
      this.drawAsset(on, kind, state);
    });
  }

  // A drop for an incident, a sheet for a request; `count` where several are one.
  pin(to, state, asked, count, x, y) {
    const label = count > 99 ? "99+" : count > 1 ? String(count) : "";
    this.copy(to, `p${state}${asked}${label}`, 28, 32, x - 14, y - 31, (on) => {
      on.translate(14, 31);
      on.scale(0.86, 0.86);
      this.drawPin(on, state, asked, label);
    });
  }

  // A ring that shows the shares of the states around the number of what stands here.
  cluster(to, cell, x, y) {
    const radius = radiusOf(cell.members.length);
    let from = -Math.PI / 2;
    to.beginPath();
    to.arc(x, y, radius, 0, 2 * Math.PI);
    to.fillStyle = this.paper;
    to.fill();
    to.lineWidth = 5;
    for (let state = 0; state < this.fills.length; state++) {
      if (cell.counts[state] === 0) continue;
      const till = from + (2 * Math.PI * cell.counts[state]) / cell.members.length;
      to.beginPath();
      to.arc(x, y, radius - 2.5, from, till);
      to.strokeStyle = state === SHADOW || state === SILENT
        ? SIGN_INKS[this.look][state] : this.fills[state];
      to.stroke();
      from = till;
    }
    to.lineWidth = 1;
    to.strokeStyle = this.ink;
    to.beginPath();
    to.arc(x, y, radius, 0, 2 * Math.PI);
    to.stroke();
    this.numbers(to, cell, radius, x, y);
  }

  numbers(to, cell, radius, x, y) {
    const faults = cell.members.length - cell.counts[OK] - cell.counts[SHADOW] - cell.counts[SILENT];
    const lines = faults > 0 ? [[short(cell.members.length), -5], [`${short(faults)}!`, 6]]
      : [[short(cell.members.length), 1]];
    const height = radius > 16 ? 11 : 10;
    for (const [text, below] of lines) {
      const key = `t${text}${height}${below > 1}`;
      this.copy(to, key, 44, 16, x - 22, y + below - 8, (on) => {
        on.font = `${below > 1 ? 700 : 500} ${height}px system-ui, sans-serif`;
        on.textAlign = "center";
        on.textBaseline = "middle";
        on.fillStyle = this.ink;
        on.fillText(text, 22, 8);
      });
    }
  }

  // Around what was picked.
  ring(to, x, y) {
    to.beginPath();
    to.arc(x, y, 17, 0, 2 * Math.PI);
    to.lineWidth = 3;
    to.strokeStyle = this.ink;
    to.stroke();
  }

  // For the legend: an incident, a request, a cluster, or an asset of a kind.
  sample(on, shape, fault) {
    if (shape === "incident" || shape === "request") {
      this.pin(on, fault, shape === "request", 1, 18, 38);
    } else if (shape === "cluster") {
      const counts = new Uint32Array(10);
      [counts[OK], counts[fault]] = [9, 3];
      this.cluster(on, { members: new Array(12), counts }, 18, 21);
    } else {
      this.asset(on, shape, OK, 18, 21);
    }
  }

  drawAsset(on, kind, state) {
    const size = state === OK ? 5 : state === SHADOW || state === SILENT ? 6.5 : 9;
    outline(on, kind, size);
    on.fillStyle = this.fills[state];
    on.fill();
    on.strokeStyle = state === SHADOW ? SIGN_INKS[this.look][state] : this.ink;
    on.lineWidth = state === OK ? 1 : 1.5;
    if (state === SHADOW) on.setLineDash([2.5, 2]);
    on.stroke();
    on.setLineDash([]);
    this.sign(on, state, size);
  }

  drawPin(on, state, asked, label) {
    on.beginPath();
    if (asked) {
      on.moveTo(0, 0);
      on.lineTo(-5, -8);
      on.lineTo(-13, -8);
      on.lineTo(-13, -34);
      on.lineTo(13, -34);
      on.lineTo(13, -8);
      on.lineTo(5, -8);
    } else {
      on.moveTo(0, 0);
      on.bezierCurveTo(-4, -8, -12, -14, -12, -23);
      on.arc(0, -23, 12, Math.PI, 0);
      on.bezierCurveTo(12, -14, 4, -8, 0, 0);
    }
    on.closePath();
    on.fillStyle = this.fills[state];
    on.fill();
    on.strokeStyle = state === SHADOW ? SIGN_INKS[this.look][state] : this.ink;
    on.lineWidth = 1.5;
    if (state === SHADOW) on.setLineDash([3, 2]);
    on.stroke();
    on.setLineDash([]);
    on.translate(0, asked ? -21 : -23);
    if (label === "") {
      this.sign(on, state, 9);
      return;
    }
    on.translate(0, -5);
    this.sign(on, state, 6);
    on.translate(0, 10);
    on.fillStyle = SIGN_INKS[this.look][state] || this.ink;
    on.font = "700 10px system-ui, sans-serif";
    on.textAlign = "center";
    on.textBaseline = "middle";
    on.fillText(label, 0, 1);
  }

  sign(on, state, size) {
    const sign = SIGNS[state];
    if (sign === null || sign === undefined) return;
    on.strokeStyle = on.fillStyle = SIGN_INKS[this.look][state];
    on.lineWidth = 2;
    if (typeof sign === "function") {
      sign(on, size * 0.5);
      return;
    }
    on.font = `800 ${Math.round(size * 1.6)}px system-ui, sans-serif`;
    on.textAlign = "center";
    on.textBaseline = "middle";
    on.fillText(sign, 0, 1);
  }

  copy(to, key, width, height, x, y, draw) {
    let kept = this.kept.get(key);
    if (kept === undefined) {
      kept = document.createElement("canvas");
      kept.width = width * this.density;
      kept.height = height * this.density;
      const on = kept.getContext("2d");
      on.scale(this.density, this.density);
      draw(on);
      this.kept.set(key, kept);
    }
    to.drawImage(kept, Math.round(x), Math.round(y), width, height);
  }
}

function outline(on, kind, size) {
  on.beginPath();
  if (kind === "cabinet") {
    on.rect(-size * 0.9, -size * 0.9, size * 1.8, size * 1.8);
  } else if (kind === "bin") {
    polygon(on, size * 1.1, [[-0.9, -0.85], [0.9, -0.85], [0.6, 0.85], [-0.6, 0.85]]);
  } else if (kind === "road" || kind === "place") {
    polygon(on, size * 1.2, [[0, -1], [1, 0], [0, 1], [-1, 0]]);
  } else if (kind === "streetlight") {
    on.arc(0, 0, size, 0, 2 * Math.PI);
  } else {
    polygon(on, size * 1.1, [[-1, 0], [-0.5, -0.87], [0.5, -0.87], [1, 0], [0.5, 0.87], [-0.5, 0.87]]);
  }
}

function polygon(on, size, corners) {
  corners.forEach(([x, y], i) => (i ? on.lineTo(x * size, y * size) : on.moveTo(x * size, y * size)));
  on.closePath();
}

function tick(on, size) {
  on.beginPath();
  on.moveTo(-size, 0);
  on.lineTo(-size * 0.25, size * 0.8);
  on.lineTo(size, -size * 0.8);
  on.stroke();
}

function arrow(on, size) {
  on.beginPath();
  on.moveTo(-size, 0);
  on.lineTo(size, 0);
  on.moveTo(size * 0.2, -size * 0.8);
  on.lineTo(size, 0);
  on.lineTo(size * 0.2, size * 0.8);
  on.stroke();
}

function slash(on, size) {
  on.lineWidth = 1.5;
  on.beginPath();
  on.moveTo(-size, size);
  on.lineTo(size, -size);
  on.stroke();
}

export function radiusOf(count) {
  return count < 100 ? 17 : count < 1000 ? 20 : 24;
}

function short(count) {
  return count < 10000 ? String(count) : `${Math.floor(count / 1000)}k`;
}
