// A real Chromium, led by a test: reads one JSON command a line, answers one JSON object a line.
//
//   node browser.mjs CHROMIUM [SWITCH...]    where playwright-core and axe-core are installed
//
// It notes what a visitor would not see: errors on the page's console, requests to other hosts.
import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import { readFileSync } from "node:fs";
import { join } from "node:path";

const require = createRequire(join(process.cwd(), "package.json"));
const { chromium } = require("playwright-core");
const axeSource = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");
const WAIT_MS = 15000;
const RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];
const QUIET = [
  "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
  "--disable-background-networking", "--disable-component-update",
];

const [executablePath, ...switches] = process.argv.slice(2);
const browser = await chromium.launch({ executablePath, args: [...QUIET, ...switches] });
const trouble = [];
const pages = [];
let context, page, home;

async function open({ url, look = "light", width = 1280, height = 900, language = "en" }) {
  await context?.close();
  trouble.length = 0;
  home = new URL(url).origin;
  context = await browser.newContext({
    viewport: { width, height }, colorScheme: look, locale: language, serviceWorkers: "block",
  });
  context.setDefaultTimeout(WAIT_MS);
  await tab({ url });
}

async function tab({ url }) {
  page = await context.newPage();
  pages.push(page);
  page.on("console", (said) => {
    if (said.type() === "error") trouble.push(`console: ${said.text()}`);
  });
  page.on("pageerror", (error) => trouble.push(`page error: ${error}`));
  page.on("request", (request) => {
    const to = request.url();
    const here = to.startsWith(`${home}/`) || to.startsWith(home.replace("http", "ws"));
    if (!here && !/^(data|blob):/.test(to)) trouble.push(`request to another host: ${to}`);
  });
  page.on("websocket", (line) => {
    if (!line.url().startsWith(home.replace("http", "ws"))) trouble.push(`line to ${line.url()}`);
  });
  await page.goto(url, { waitUntil: "load" });
}

function found({ role, name, label, text, css, exact = false, nth = 0 }) {
  const one =
    role ? page.getByRole(role, { name, exact }) :
    label ? page.getByLabel(label, { exact }) :
    text ? page.getByText(text, { exact }) :
    page.locator(css);
  return one.nth(nth);
}

async function axe() {
  await page.evaluate(`${axeSource};0`);
  const result = await page.evaluate((tags) => axe.run(document, { runOnly: tags }), RULES);
  return result.violations.map((one) => ({
    rule: one.id, impact: one.impact, help: one.help,
    where: one.nodes.slice(0, 5).map((node) => node.html.slice(0, 300)),
    why: one.nodes.slice(0, 2).map((node) => node.failureSummary),
  }));
}

// Asked from here: what polls within the page is forbidden to evaluate text by the page's policy.
async function until({ script, wait_ms = WAIT_MS }) {
  const end_ms = Date.now() + wait_ms;
  for (;;) {
    try {
      if (await page.evaluate(script)) return;
    } catch (error) {
      if (!/context was destroyed|navigat/i.test(String(error))) throw error;
    }
    if (Date.now() > end_ms) throw new Error(`never: ${script}`);
    await page.waitForTimeout(50);
  }
}

const COMMANDS = {
  open, tab, axe,
  goto: ({ url }) => page.goto(url, { waitUntil: "load" }).then((answer) => answer && answer.status()),
  click: (what) => found(what).click(),
  fill: (what) => found(what).fill(what.value),
  type: (what) => page.keyboard.type(what.value, { delay: 5 }),
  press: ({ key }) => page.keyboard.press(key),
  focus: (what) => found(what).focus(),
  see: (what) => found(what).waitFor({ state: "visible", timeout: what.wait_ms ?? WAIT_MS }),
  unsee: (what) => found(what).waitFor({ state: "hidden", timeout: what.wait_ms ?? WAIT_MS }),
  read: (what) => found(what).innerText(),
  count: (what) => page.locator(what.css).count(),
  address: () => page.url(),
  run: ({ script, value }) => page.evaluate(`(${script})(${JSON.stringify(value ?? null)})`),
  until,
  picture: ({ path, whole = true }) => page.screenshot({ path, fullPage: whole }),
  width: () => page.evaluate("document.documentElement.scrollWidth"),
  size: ({ width, height }) => page.setViewportSize({ width, height }),
  look: ({ look }) => page.emulateMedia({ colorScheme: look }),
  pause: ({ ms }) => page.waitForTimeout(ms),
  mouse: async ({ path }) => {
    await page.mouse.move(...path[0]);
    await page.mouse.down();
    for (const [x, y] of path.slice(1)) await page.mouse.move(x, y);
    await page.mouse.up();
  },
  leave: () => page.close(),
  cookies: () => context.cookies(),
  trouble: () => trouble.splice(0),
};

for await (const line of createInterface({ input: process.stdin })) {
  const { do: command, ...what } = JSON.parse(line);
  let answer;
  try {
    const result = await COMMANDS[command](what);
    const plain = ["string", "number", "boolean"].includes(typeof result) || Array.isArray(result);
    const given = command === "run" ? result : plain ? result : null;
    answer = { ok: true, result: given === undefined ? null : given };
  } catch (error) {
    answer = { ok: false, error: String(error).slice(0, 2000) };
  }
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
await browser.close();
