// The layer of the map that shows the city: one canvas, somewhat larger than the window. While the map
// is dragged the browser only moves it; it is drawn again at rest, or when the window nears its edge.

import { leaflet as L } from "nicegui-leaflet";
import { gridOf, project, single, within } from "sense311-city/grid.js";
import { Symbols, radiusOf } from "sense311-city/symbols.js";

const MARGIN = 0.35; // of the window, on each side
const SIDE = 80; // pixels of a cell: a cluster with a pin on it, and some room
const REACH = 16; // of a click
const CLOSE_ZOOM = 18;
const PIN_HEIGHT = 20; // its middle above its tip
const LIFT = 9; // of a pin above the symbol of an asset

export const CityLayer = L.Layer.extend({
  initialize(look) {
    this.look = look;
    this.assets = null;
    this.states = new Uint8Array(0);
    this.chosen = [];
    this.pins = [];
    this.picked = null;
    this.grids = new Map();
  },

  // `assets`: the columns; they change seldom.
  setAssets(assets) {
    this.assets = assets;
    this.points = project(assets.lat_e5, assets.long_e5);
    this.grids.clear();
  },

  // `pins`: open incidents with a position, `digit` the state of each.
  setStates(states, chosen, pins) {
    this.states = states;
    this.chosen = chosen;
    this.pins = pins;
    this.pinPoints = project(pins.map((p) => p.lat_e5), pins.map((p) => p.long_e5));
    this.pinStates = Uint8Array.from(pins, (p) => p.digit);
    this.grids.clear();
    this.later();
  },

  setLook(look) {
    this.look = look;
    this.symbols = null;
    this.later();
  },

  // A ring around one position, in whole 1e-5 degree, or none.
  pick(position) {
    this.picked = position && project([position[0]], [position[1]]);
    this.later();
  },

  onAdd(map) {
    this.canvas = L.DomUtil.create("canvas", "leaflet-zoom-animated s-city-canvas");
    this.canvas.setAttribute("role", "img");
    map.getPanes().overlayPane.appendChild(this.canvas);
    this.draw();
  },

  onRemove() {
    cancelAnimationFrame(this.frame);
    this.canvas.remove();
  },

  getEvents() {
    return {
      moveend: this.draw, resize: this.draw, viewreset: this.draw,
      move: this.follow, zoomanim: this.zoom,
    };
  },

  describe(text) {
    this.canvas.setAttribute("aria-label", text);
  },

  later() {
    if (this.frame || !this._map) return;
    this.frame = requestAnimationFrame(() => {
      this.frame = 0;
      this.draw();
    });
  },

  follow() {
    const gone = this._map.containerPointToLayerPoint([0, 0]).subtract(this.corner);
    const slack = this.margin.subtract(gone.subtract(this.margin));
    const left = Math.min(gone.x, slack.x);
    const top = Math.min(gone.y, slack.y);
    if (Math.min(left, top) < 0) this.later();
  },

  zoom(event) {
    const scale = this._map.getZoomScale(event.zoom, this.drawnZoom);
    const corner = this._map._latLngToNewLayerPoint(this.cornerAt, event.zoom, event.center);
    L.DomUtil.setTransform(this.canvas, corner, scale);
  },

  draw() {
    const map = this._map;
    if (!map) return;
    const size = map.getSize();
    this.margin = size.multiplyBy(MARGIN).round();
    const all = size.add(this.margin.multiplyBy(2));
    this.corner = map.containerPointToLayerPoint(this.margin.multiplyBy(-1)).round();
    this.cornerAt = map.layerPointToLatLng(this.corner);
    this.drawnZoom = map.getZoom();
    const density = Math.min(2, window.devicePixelRatio || 1);
    this.fit(all, density);
    L.DomUtil.setPosition(this.canvas, this.corner);
    const on = this.canvas.getContext("2d");
    on.setTransform(density, 0, 0, density, 0, 0);
    on.clearRect(0, 0, all.x, all.y);
    if (this.assets === null) return;
    if (!this.symbols || this.symbols.density !== density) {
      this.symbols = new Symbols(this.look, density);
    }
    const from = map.getPixelOrigin().add(this.corner);
    this.drawAll(on, from, from.add(all));
  },

  fit(all, density) {
    const [width, height] = [Math.round(all.x * density), Math.round(all.y * density)];
    if (this.canvas.width === width && this.canvas.height === height) return;
    this.canvas.width = width;
    this.canvas.height = height;
    this.canvas.style.width = `${all.x}px`;
    this.canvas.style.height = `${all.y}px`;
  },

  // The canvas gets small numbers only: its own are too coarse for those of a whole map.
  drawAll(on, from, till) {
    const box = [from.x - SIDE, from.y - SIDE, till.x + SIDE, till.y + SIDE];
    const { assets, pins, close, pixels } = this.gridsNow();
    const { symbols } = this;
    const clusters = [];
    for (const cell of within(assets, ...box)) {
      if (!single(cell, close)) {
        clusters.push(cell);
        continue;
      }
      for (const i of cell.members) {
        const kind = this.assets.kinds[this.assets.kind[i]];
        const [x, y] = [this.points.u[i] * pixels - from.x, this.points.v[i] * pixels - from.y];
        symbols.asset(on, kind, this.states[i], x, y);
      }
    }
    for (const cell of clusters) symbols.cluster(on, cell, cell.x - from.x, cell.y - from.y);
    for (const cell of within(pins, ...box)) {
      const asked = this.pins[cell.members[0]].request !== "";
      const [x, y] = this.tip(cell, assets, close);
      symbols.pin(on, cell.worst, asked, cell.members.length, x - from.x, y - from.y);
    }
    if (this.picked === null) return;
    const { u, v } = this.picked;
    symbols.ring(on, u[0] * pixels - from.x, v[0] * pixels - from.y);
  },

  // Worked out once for each zoom, until something changes.
  gridsNow() {
    const zoom = this._map.getZoom();
    let found = this.grids.get(zoom);
    if (found === undefined) {
      const pixels = 256 * 2 ** zoom;
      const close = zoom >= CLOSE_ZOOM;
      const all = Array.from(this.pins.keys());
      found = {
        assets: gridOf(this.points, this.states, this.chosen, pixels, SIDE),
        pins: gridOf(this.pinPoints, this.pinStates, all, pixels, close ? 1 : SIDE),
        close,
        pixels,
      };
      this.grids.set(zoom, found);
    }
    return found;
  },

  // What is at a point of the window: an incident, an asset, or a cluster; the nearest within reach,
  // incidents first. `reach`: further for who cannot point.
  at(point, reach = REACH) {
    if (this.assets === null) return null;
    const { assets, pins, close, pixels } = this.gridsNow();
    const spot = this._map.getPixelOrigin().add(this._map.containerPointToLayerPoint(point));
    const box = [spot.x - reach - SIDE, spot.y - reach - SIDE, spot.x + reach + SIDE, spot.y + reach + SIDE];
    let found = null;
    let best = reach;
    const look = (x, y, more, what) => {
      const far = Math.hypot(x - spot.x, y - spot.y) - more;
      if (far < best) [best, found] = [far, what];
    };
    for (const cell of within(pins, ...box)) {
      const incidents = cell.members.map((i) => this.pins[i]);
      const [x, y] = this.tip(cell, assets, close);
      look(x, y - PIN_HEIGHT, 0, { incidents, cell });
    }
    if (found !== null) return found;
    for (const cell of within(assets, ...box)) {
      if (!single(cell, close)) {
        look(cell.x, cell.y, 12, { cell });
        continue;
      }
      for (const i of cell.members) look(this.points.u[i] * pixels, this.points.v[i] * pixels, 0, { asset: i });
    }
    return found;
  },

  // Where the pin of a cell points: above the thing that it is about, or the cluster that it is in.
  tip(cell, assets, close) {
    const below = close ? undefined : assets.cells.get(cell.key);
    if (below !== undefined && !single(below, close)) {
      return [below.x, below.y - radiusOf(below.members.length) + 3];
    }
    return [cell.x, cell.y - (this.pins[cell.members[0]].asset === null ? 0 : LIFT)];
  },

  // Where the members of a cell are.
  boundsOf(cell) {
    const points = cell.members.map((i) => [this.assets.lat_e5[i] / 1e5, this.assets.long_e5[i] / 1e5]);
    return L.latLngBounds(points);
  },
});
