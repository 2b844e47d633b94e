// The map's grid, filters and address, by what they promise. Prints "ok"; a promise that is broken
// ends it with an error.

import assert from "node:assert/strict";
import { pathToFileURL } from "node:url";

const grid = await import(pathToFileURL(process.argv[2]));
const { chosenAssets, chosenIncidents, digits, filterOf, gridOf, project, queryOf, single, within } = grid;

const all = (count) => Array.from({ length: count }, (_, i) => i);
const everything = { kind: "", zone: "", rule: "", states: new Set(all(7)) };

// Mercator: the corners and the middle of the world are where they belong.
const corners = project([0, 8505113, -8505113], [0, -18000000, 17999999]);
assert.equal(corners.u[0], 0.5);
assert.equal(corners.v[0], 0.5);
assert.ok(corners.u[1] === 0 && Math.abs(corners.v[1]) < 1e-3);
assert.ok(Math.abs(corners.u[2] - 1) < 1e-6 && Math.abs(corners.v[2] - 1) < 1e-3);

// Every point is in exactly one cell, near the middle of it, and counted by its state.
const count = 3000;
const lats = all(count).map((i) => 4180000 + (i * 7919) % 30000);
const longs = all(count).map((i) => -8775000 + (i * 104729) % 40000);
const points = project(lats, longs);
const states = Uint8Array.from(all(count), (i) => i % 7);
for (const zoom of [2, 11.5, 15, 19]) {
  const pixels = 256 * 2 ** zoom;
  const found = gridOf(points, states, all(count), pixels, 80);
  const cells = [...found.cells.values()];
  assert.deepEqual(cells.flatMap((cell) => cell.members).sort((a, b) => a - b), all(count));
  for (const cell of cells) {
    assert.equal(cell.counts.reduce((a, b) => a + b), cell.members.length);
    assert.equal(cell.worst, Math.max(...cell.members.map((i) => states[i])));
    for (const i of cell.members) {
      assert.ok(Math.abs(points.u[i] * pixels - cell.x) <= 80);
      assert.ok(Math.abs(points.v[i] * pixels - cell.y) <= 80);
    }
  }
  // A window finds every cell whose middle is in it, whichever way it looks for them.
  const [left, top] = [cells[0].x - 200, cells[0].y - 200];
  for (const side of [400, 1e9]) {
    const seen = new Set(within(found, left, top, left + side, top + side));
    for (const cell of cells) {
      const inside = cell.x >= left && cell.x <= left + side && cell.y >= top && cell.y <= top + side;
      if (inside) assert.ok(seen.has(cell));
    }
  }
}
assert.ok(single({ members: all(3) }, false) && !single({ members: all(4) }, false));
assert.ok(single({ members: all(40) }, true) && !single({ members: all(41) }, true));

// What the filters leave.
const assets = { kinds: ["bin", "road"], zones: ["", "n"], kind: [0, 0, 1, 1], zone: [0, 1, 0, 1] };
const how = digits("0563");
const incidents = [
  { id: 1, rule: "full", kind: "bin", zone: "n", asset: 1, digit: 5 },
  { id: 2, rule: "hole", kind: "place", zone: "", asset: null, digit: 6 },
];
const chosen = (filter) => chosenAssets(assets, how, incidents, { ...everything, ...filter });
assert.deepEqual(chosen({}), [0, 1, 2, 3]);
assert.deepEqual(chosen({ kind: "bin" }), [0, 1]);
assert.deepEqual(chosen({ kind: "bin", zone: "n" }), [1]);
assert.deepEqual(chosen({ rule: "full" }), [1]);
assert.deepEqual(chosen({ rule: "hole" }), []);
assert.deepEqual(chosen({ states: new Set([6, 3]) }), [2, 3]);
assert.deepEqual(chosen({ kind: "gone" }), []);
const open = (filter) => chosenIncidents(incidents, { ...everything, ...filter }).map((one) => one.id);
assert.deepEqual(open({}), [1, 2]);
assert.deepEqual(open({ kind: "place" }), [2]);
assert.deepEqual(open({ zone: "n" }), [1]);
assert.deepEqual(open({ rule: "hole", states: new Set([5]) }), []);

// An address says the filters and the window, and nothing else; one that is odd is none.
for (const filter of [
  everything,
  { kind: "bin", zone: "a&b=c é", rule: "r", states: new Set([0, 6]) },
  { ...everything, states: new Set() },
]) {
  const back = filterOf(queryOf(filter, 7, [41.88, -87.62, 14.5]), 7);
  assert.deepEqual(back.filter, filter);
  assert.deepEqual(back.view, [41.88, -87.62, 14.5]);
}
assert.equal(queryOf(everything, 7, null), "");
for (const odd of ["at=1,2", "at=x,y,z", "at=NaN,0,3", "at=86,0,3", "at=", "state=99a&at=1,2,Infinity"]) {
  assert.equal(filterOf(odd, 7).view, null);
}
assert.deepEqual([...filterOf("state=98a6", 7).filter.states], [6]);

process.stdout.write("ok\n");
