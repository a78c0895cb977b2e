/**
 * The console beside a full queue.
 *
 *     node bench/console.ts [messages] [tenants]
 *
 * Prints how long the overview takes while mail is delivered, what the first page weighs with its files, when it is
 * usable in a browser (where there is a Chromium), and the rate of delivery with a page that follows it and one that is
 * asked for each second, of the rate without. The rates are taken in turns, in one run.
 */
import { existsSync } from 'node:fs';
import { chromium } from 'playwright-core';
import { openControl } from '../lib/control/control.ts';
import { loadMasterKey } from '../lib/control/master-key.ts';
import { openEmbedded } from '../lib/engine/embedded/open.ts';
import { systemClock } from '../lib/time.ts';
import { fillQueue } from './support/full-queue.ts';
import { startPostern, startSinkProcess } from './support/postern.ts';

const total = Number(process.argv[2] ?? 1_000_000);
const tenants = Number(process.argv[3] ?? 10_000);
/** Windows with and without the console, and their length, ms. */
const TURNS = 5;
const WINDOW = 5_000;
const PAGES = 20;
const CHROMIUM = '/usr/bin/chromium';

const [TIME, WEIGHT, USABLE, SHARE] = [300, 150 * 1024, 1_000, 0.97];

/** Keys, of a tenant each. */
async function makeTenants(directory: string): Promise<void> {
  const engine = await openEmbedded({ directory, clock: systemClock });
  const none = async (): Promise<never[]> => [];
  const control = await openControl({
    config: engine.config,
    masterKey: await loadMasterKey(directory),
    clock: systemClock,
    verifyIdentities: false,
    resolveTxt: none,
    resolveMx: none,
  });
  for (let at = 0; at < tenants; at += 100)
    await Promise.all(
      Array.from({ length: Math.min(100, tenants - at) }, (_, i) =>
        control.keys.create({ tenant: `tenant-${at + i}`, admin: false }),
      ),
    );
  await control.close();
  await engine.close();
}

const wait = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
const middle = (times: number[]): number => times.sort((a, b) => a - b)[times.length >> 1]!;

const sink = await startSinkProcess();
const postern = await startPostern({
  routes: `*=127.0.0.1:${sink.port}`,
  async fill(directory) {
    await makeTenants(directory);
    await fillQueue(directory, total, tenants, 4);
  },
});
const base = `http://${postern.api.host}:${postern.api.port}`;
const { accessKeyId: id, secretAccessKey: secret } = postern.credentials;
const signedIn = await fetch(`${base}/console/sign-in`, {
  method: 'POST',
  redirect: 'manual',
  headers: { origin: base },
  body: new URLSearchParams({ id, secret }),
});
const cookie = signedIn.headers.getSetCookie()[0]!.split(';')[0]!;
await sink.reached(1);

async function overview(): Promise<{ ms: number; html: string }> {
  const begin = performance.now();
  const response = await fetch(`${base}/console`, { headers: { cookie } });
  const html = await response.text();
  if (response.status !== 200) throw new Error(`The overview is answered with ${response.status}.`);
  return { ms: performance.now() - begin, html };
}

const times: number[] = [];
for (let i = 0; i < PAGES; i++) {
  times.push((await overview()).ms);
  await wait(200);
}

const { html } = await overview();
const files = [...html.matchAll(/(?:src|href)="(\/console\/assets\/[^"]+)"/g)].map(([, path]) => path!);
const sizes = await Promise.all(
  files.map(async (path) => (await (await fetch(`${base}${path}`)).arrayBuffer()).byteLength),
);
const weight = sizes.reduce((sum, size) => sum + size, Buffer.byteLength(html));

async function rateOf(work: () => Promise<void>): Promise<number> {
  const [from, begin] = [await sink.count(), performance.now()];
  await Promise.all([work(), wait(WINDOW)]);
  return ((await sink.count()) - from) / ((performance.now() - begin) / 1000);
}

async function watched(): Promise<void> {
  const over = AbortSignal.timeout(WINDOW);
  const stream = fetch(`${base}/console`, { headers: { cookie, accept: 'text/event-stream' }, signal: over })
    .then((response) => response.text())
    .catch(() => {});
  while (!over.aborted) {
    await overview();
    await wait(1_000);
  }
  await stream;
}

const rates: { without: number[]; beside: number[] } = { without: [], beside: [] };
for (let turn = 0; turn < TURNS; turn++) {
  rates.without.push(await rateOf(async () => {}));
  rates.beside.push(await rateOf(watched));
}
const left = total - (await sink.count());

async function usable(): Promise<number | undefined> {
  if (!existsSync(CHROMIUM)) return undefined;
  const browser = await chromium.launch({ executablePath: CHROMIUM, args: ['--no-sandbox'] });
  const context = await browser.newContext();
  const [name, value] = cookie.split('=') as [string, string];
  await context.addCookies([{ name, value, url: base }]);
  const page = await context.newPage();
  const begin = performance.now();
  await page.goto(`${base}/console`);
  await page.waitForSelector('.uplot canvas');
  const ms = performance.now() - begin;
  await browser.close();
  return ms;
}
const inBrowser = await usable();

const share = middle(rates.beside) / middle(rates.without);
const shown = (value: number): string => value.toFixed(0);
process.stdout.write(
  [
    `${total} queued, ${tenants} tenants; ${left} left after the rates`,
    `overview, ${PAGES} times while mail is delivered: median ${shown(middle(times))} ms, worst ${shown(Math.max(...times))} ms (limit of the median ${TIME} ms)`,
    `first page with its ${files.length} files: ${shown(weight / 1024)} KB (limit ${WEIGHT / 1024} KB)`,
    inBrowser === undefined
      ? 'usable in a browser: there is no Chromium'
      : `usable in a browser, its chart drawn: ${shown(inBrowser)} ms (limit ${USABLE} ms)`,
    `delivered without: ${shown(middle(rates.without))}/s, beside a page that follows and one a second: ${shown(middle(rates.beside))}/s, ${share.toFixed(3)} of it (least ${SHARE})`,
    '',
  ].join('\n'),
);
if (middle(times) > TIME || weight > WEIGHT || share < SHARE || (inBrowser ?? 0) > USABLE)
  process.exitCode = 1;
await postern.dispose();
sink.close();
