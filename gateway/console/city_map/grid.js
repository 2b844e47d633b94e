// Points gathered into the cells of a grid, so that what is drawn is bounded by the window and not by
// the city. Pure: no page, no map, no clock; the tests run it in node.

export const STATES_MAX = 10; // a state is one digit
const EDGE = 85.0511287798; // degrees: there the map of the web ends

// Whole numbers of 1e-5 degree -> the unit square of the web's Mercator map.
export function project(latE5, longE5) {
  const count = latE5.length;
  const points = { u: new Float64Array(count), v: new Float64Array(count) };
  for (let i = 0; i < count; i++) {
    const lat = Math.min(EDGE, Math.max(-EDGE, latE5[i] / 1e5));
    const sine = Math.sin((lat * Math.PI) / 180);
    points.u[i] = longE5[i] / 3.6e7 + 0.5;
    points.v[i] = 0.5 - Math.log((1 + sine) / (1 - sine)) / (4 * Math.PI);
  }
  return points;
}

// A digit for each thing, as the server sends them.
export function digits(text) {
  const found = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) found[i] = text.charCodeAt(i) - 48;
  return found;
}

// `chosen`: which of the points; `pixels`: the side of the whole map at this zoom. A cell knows its
// members, where their middle is, and how many of them are in each state.
export function gridOf(points, states, chosen, pixels, side) {
  const cells = new Map();
  for (const i of chosen) {
    const x = points.u[i] * pixels;
    const y = points.v[i] * pixels;
    const key = keyOf(Math.floor(x / side), Math.floor(y / side));
    let cell = cells.get(key);
    if (cell === undefined) {
      cell = { key, x: 0, y: 0, members: [], counts: new Uint32Array(STATES_MAX), worst: 0 };
      cells.set(key, cell);
    }
    cell.members.push(i);
    cell.x += (x - cell.x) / cell.members.length;
    cell.y += (y - cell.y) / cell.members.length;
    cell.counts[states[i]] += 1;
    if (states[i] > cell.worst) cell.worst = states[i];
  }
  return { cells, side, pixels };
}

// The cells that meet a box of the map, in its pixels.
export function* within(grid, left, top, right, bottom) {
  const [c0, c1] = [Math.floor(left / grid.side), Math.floor(right / grid.side)];
  const [r0, r1] = [Math.floor(top / grid.side), Math.floor(bottom / grid.side)];
  if ((c1 - c0 + 1) * (r1 - r0 + 1) > grid.cells.size) {
    for (const cell of grid.cells.values()) {
      if (cell.x >= left && cell.x <= right && cell.y >= top && cell.y <= bottom) yield cell;
    }
    return;
  }
  for (let row = r0; row <= r1; row++) {
    for (let column = c0; column <= c1; column++) {
      const cell = grid.cells.get(keyOf(column, row));
      if (cell !== undefined) yield cell;
    }
  }
}

// Whether the members of a cell are drawn one by one. `close`: the map is as near as it gets.
export function single(cell, close) {
  return cell.members.length <= (close ? 40 : 3);
}

// What the filters leave: the places of the assets, and the incidents. `filter`: kind, zone and rule
// ("" is all), and `states`, a Set of digits.
export function chosenAssets(assets, states, incidents, filter) {
  const kind = filter.kind === "" ? -1 : assets.kinds.indexOf(filter.kind);
  const zone = filter.zone === "" ? -1 : assets.zones.indexOf(filter.zone);
  const about = filter.rule === "" ? null : new Set(
    incidents.filter((one) => one.rule === filter.rule).map((one) => one.asset));
  if ((kind < 0 && filter.kind !== "") || (zone < 0 && filter.zone !== "")) return [];
  const found = [];
  for (let i = 0; i < states.length; i++) {
    if (kind >= 0 && assets.kind[i] !== kind) continue;
    if (zone >= 0 && assets.zone[i] !== zone) continue;
    if (!filter.states.has(states[i])) continue;
    if (about !== null && !about.has(i)) continue;
    found.push(i);
  }
  return found;
}

// `digit`: the state of each, as a digit.
export function chosenIncidents(incidents, filter) {
  return incidents.filter(
    (one) =>
      (filter.kind === "" || one.kind === filter.kind) &&
      (filter.zone === "" || one.zone === filter.zone) &&
      (filter.rule === "" || one.rule === filter.rule) &&
      filter.states.has(one.digit),
  );
}

// The filters and the window as the query of an address, and back. What is not set is not there.
export function queryOf(filter, count, view) {
  const query = new URLSearchParams();
  for (const key of ["kind", "zone", "rule"]) if (filter[key] !== "") query.set(key, filter[key]);
  if (filter.states.size < count) query.set("state", [...filter.states].sort().join(""));
  if (view !== null) query.set("at", view.map((number) => +number.toFixed(5)).join(","));
  return query.toString();
}

export function filterOf(text, count) {
  const query = new URLSearchParams(text);
  const all = new Set(Array.from({ length: count }, (_, digit) => digit));
  const said = [...(query.get("state") ?? "")].map(Number).filter((digit) => all.has(digit));
  const view = (query.get("at") ?? "").split(",").map(Number);
  const known = view.length === 3 && view.every(Number.isFinite);
  const sound = known && Math.abs(view[0]) <= 85 && Math.abs(view[1]) <= 180;
  return {
    filter: {
      kind: query.get("kind") ?? "",
      zone: query.get("zone") ?? "",
      rule: query.get("rule") ?? "",
      states: query.has("state") ? new Set(said) : all,
    },
    view: sound ? view : null,
  };
}

function keyOf(column, row) {
  return row * 67108864 + column; // a map of 2^24 cells a side has room in it
}
