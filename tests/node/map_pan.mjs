// Drags the City map in real Chromium and measures each answer: from the input event in the page to
// the frame after the one that shows it: so a frame too much, never one too few.
//
//   node map_pan.mjs CHROMIUM ADDRESS COOKIE PANS [watch]   in a folder where playwright-core is
//
// COOKIE is "name=value" or empty. Prints one JSON object; with "watch" the page is only kept open
// until standard input ends, and the object says that it is there.

import { createRequire } from "node:module";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const [executablePath, address, cookie, pans, mode] = process.argv.slice(2);
const { chromium } = createRequire(join(process.cwd(), "package.json"))("playwright-core");
const FLAGS = [
  "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync",
];
const STEP = 25; // pixels of one move of the mouse

const folder = mkdtempSync(join(tmpdir(), "sense311-map-"));
const context = await chromium.launchPersistentContext(folder, {
  executablePath, headless: true, args: FLAGS, viewport: { width: 1280, height: 900 },
});
try {
  const [name, value] = cookie.split("=", 2);
  if (name) await context.addCookies([{ name, value, url: address }]);
  process.stdout.write(`${JSON.stringify(mode === "watch" ? await watched() : await measured())}\n`);
  if (mode === "watch") for await (const _ of process.stdin);
} finally {
  await context.close();
  rmSync(folder, { recursive: true, force: true });
}

async function opened(query = "") {
  const page = await context.newPage();
  await page.goto(`${address}/${query}`);
  await page.waitForFunction(() => /\d/.test(document.querySelector(".s-city-line")?.textContent ?? ""));
  return page;
}

async function watched() {
  await opened();
  return { open: true };
}

async function measured() {
  const page = await opened();
  const middle = await page.evaluate(() => new URLSearchParams(location.search).get("at"));
  const start = middle === null ? await settled(page) : middle.split(",").map(Number);
  await page.close();
  const result = {};
  for (const zoom of [start[2], start[2] + 2, 17]) result[zoom] = await dragged(start, zoom);
  return result;
}

// A touch of the wheel's worth of nothing: the page writes where it is into its address.
async function settled(page) {
  await page.locator(".s-city-map").focus();
  await page.keyboard.press("ArrowRight");
  await page.waitForFunction(() => new URLSearchParams(location.search).has("at"));
  return page.evaluate(() => new URLSearchParams(location.search).get("at").split(",").map(Number));
}

async function dragged([lat, long], zoom) {
  const page = await opened(`?at=${lat},${long},${zoom}`);
  await page.waitForTimeout(500);
  await page.evaluate(() => {
    window.answers = [];
    const note = (event) => {
      const began = event.timeStamp;
      requestAnimationFrame(() => requestAnimationFrame(() => window.answers.push(performance.now() - began)));
    };
    document.addEventListener("mousemove", (event) => event.buttons === 1 && note(event), true);
  });
  const box = await page.locator(".s-city-map").boundingBox();
  for (let pan = 0; pan < Number(pans); pan++) {
    const way = pan % 2 ? -1 : 1;
    const [x, y] = [box.x + box.width * (way > 0 ? 0.2 : 0.8), box.y + box.height * 0.5];
    await page.mouse.move(x, y);
    await page.mouse.down();
    for (let step = 1; step <= 20; step++) {
      await page.mouse.move(x + way * step * STEP, y + (pan % 5) * step);
    }
    await page.mouse.up();
    await page.waitForTimeout(100);
  }
  const answers = (await page.evaluate(() => window.answers)).sort((a, b) => a - b);
  await page.close();
  const at = (share) => Math.round(10 * answers[Math.min(answers.length - 1, Math.floor(share * answers.length))]) / 10;
  return { moves: answers.length, p50_ms: at(0.5), p95_ms: at(0.95), p99_ms: at(0.99), max_ms: at(1) };
}
