/** The console in a real browser, beside the whole service: what people do, what axe finds, what needs no script. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { after, before, describe, test } from 'node:test';
import type { AxeResults } from 'axe-core';
import { type Browser, type BrowserContext, chromium, type Page } from 'playwright-core';
import type { Standalone } from '../../egress-node/standalone/standalone.ts';
import { StandaloneSite } from '../support/standalone.ts';

/** Debian's. */
const CHROMIUM = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find((one) =>
  existsSync(one),
);
const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const HOSTILE = '<img src=x onerror="window.attacked=1">"\'</td>';

describe('the console in a browser', {
  skip: CHROMIUM ? false : 'There is no Chromium: apt-get install chromium.',
}, () => {
  let site: StandaloneSite;
  let postern: Standalone;
  let browser: Browser;
  let context: BrowserContext;
  let page: Page;
  const faults: string[] = [];

  const base = () => `http://${postern.listening.api}`;
  const open = (path: string) => page.goto(`${base()}/console${path}`);
  async function v1<T>(method: string, path: string, body?: object): Promise<T> {
    const { id, secret } = postern.firstKey!.key;
    const headers = { authorization: `Bearer ${id}.${secret}` };
    const response = await fetch(`${base()}/v1${path}`, {
      method,
      headers,
      body: body && JSON.stringify(body),
    });
    const text = await response.text();
    assert.ok(response.ok, `${method} ${path}: ${text}`);
    return (text === '' ? undefined : JSON.parse(text)) as T;
  }

  async function signIn(on: Page): Promise<void> {
    const { id, secret } = postern.firstKey!.key;
    await on.goto(`${base()}/console`);
    await on.fill('[name=id]', id);
    await on.fill('[name=secret]', secret);
    await on.click('button[type=submit]');
    await on.waitForSelector('nav.side');
  }

  function watch(one: Page): Page {
    one.on('pageerror', (error) => faults.push(`${one.url()}: ${error.message}`));
    one.on('console', (message) => {
      // What a policy forbids is reported here.
      if (message.type() === 'error' && !/status of (401|404)|is sandboxed/.test(message.text()))
        faults.push(`${one.url()}: ${message.text()}`);
    });
    return one;
  }

  before(async () => {
    [site, browser] = await Promise.all([
      StandaloneSite.open(),
      chromium.launch({ executablePath: CHROMIUM, args: ['--no-sandbox'] }),
    ]);
    postern = await site.start({ POSTERN_EGRESS_IPS: '127.0.0.1' });
    await v1('POST', '/identities', { name: 'example.com' });
    for (const to of ['ann@example.net', 'nobody@example.net', 'full@example.net'])
      await v1('POST', '/messages', {
        from: 'orders@example.com',
        to: [to],
        subject: `Your order ${HOSTILE}`,
        text: 'Hello.',
      });
    await v1('PUT', '/config/warmup/default', { '127.0.0.1': { schedule: 'fast' } });
    await v1('PUT', '/config/limits/default', { providers: { google: { connections: 3 } } });
    await v1('PUT', '/templates/order', {
      subject: 'Order {{number}}',
      html: '<p onclick="alert(1)">{{number}}</p>',
    });
    await v1('POST', '/event-destinations', {
      name: 'crm',
      types: ['BOUNCE'],
      target: { kind: 'webhook', url: 'https://crm.example.com/' },
    });
    await v1('POST', '/directives', {
      match: { tenant: 'shop' },
      action: { kind: 'suspend' },
      reason: HOSTILE,
    });
    await site.delivered('ann@example.net');
    context = await browser.newContext({ viewport: { width: 1280, height: 800 } });
    page = watch(await context.newPage());
    await signIn(page);
  });
  after(async () => {
    await browser?.close();
    await postern?.stop();
    await site?.close();
  });

  test('a message is found, and shows what became of it, as text', async () => {
    await open('/messages');
    await page.fill('[name=recipient]', 'nobody@example.net');
    await page.keyboard.press('Enter');
    await page.click('td a');
    await page.waitForSelector('.dialogue');
    const text = await page.textContent('main');
    assert.match(text!, /550 5\.1\.1 No such user/);
    assert.ok(text!.includes(`Your order ${HOSTILE}`), 'as it was written');
    assert.equal(await page.evaluate('window.attacked'), undefined);
  });

  test('a page follows what happens, without a touch, and keeps what is open', async () => {
    await open('');
    await page.waitForSelector('.uplot canvas');
    await page.click('.chart summary');
    const { id } = await v1<{ id: string }>('POST', '/directives', {
      match: { provider: 'yahoo' },
      action: { kind: 'suspend' },
      reason: 'Live',
    });
    await page.waitForSelector('text=Suspended: provider yahoo');
    assert.equal(await page.getAttribute('.chart details', 'open'), '');
    await page.waitForSelector('.uplot canvas');
    await v1('DELETE', `/directives/${encodeURIComponent(id)}`);
    await page.waitForSelector('text=Suspended: provider yahoo', { state: 'detached' });
  });

  test('mail is paused and resumed in two clicks each', async () => {
    await open('/queues');
    await page.click('tbody tr:first-child a:has-text("Pause")');
    await page.click('button:has-text("Give the order")');
    await page.waitForSelector('[role=status]');
    const before = await v1<{ directives: object[] }>('GET', '/directives');
    assert.equal(before.directives.length, 2);
    await page.click('tr:has-text("Ordered in the console") button:has-text("End")');
    await page.waitForSelector('text=It is over');
    assert.equal((await v1<{ directives: object[] }>('GET', '/directives')).directives.length, 1);
  });

  test('every page has no serious finding of axe, in light and dark, and no policy stops it', async () => {
    const { messages } = await v1<{ messages: { id: string }[] }>('GET', '/messages');
    const { eventDestinations } = await v1<{ eventDestinations: { id: string }[] }>(
      'GET',
      '/event-destinations',
    );
    const paths = [
      '',
      '/queues',
      '/messages',
      `/messages/${encodeURIComponent(messages[0]!.id)}`,
      '/events',
      '/domains',
      '/domains/example.com',
      '/templates',
      '/templates/order?data=%7B%22number%22%3A1%7D',
      '/suppression',
      '/directives',
      '/directives/new?tenant=shop',
      '/ips',
      '/ips/127.0.0.1',
      '/limits?domain=example.net',
      '/configuration',
      '/configuration/routing',
      '/webhooks',
      `/webhooks/${eventDestinations[0]!.id}`,
      '/keys',
      '/tenants',
      '/tenants/default',
      '/health',
      '/nothing',
    ];
    const found: string[] = [];
    for (const path of paths) {
      await open(path);
      await page.evaluate(AXE);
      // What axe finds does not depend on colours but for their contrast.
      for (const [colorScheme, rules] of [
        ['light', {}],
        ['dark', { runOnly: ['color-contrast'] }],
      ] as const) {
        await page.emulateMedia({ colorScheme });
        const options = JSON.stringify({ resultTypes: ['violations'], ...rules });
        const { violations } = (await page.evaluate(`axe.run(${options})`)) as AxeResults;
        for (const { id, impact, nodes } of violations) {
          const [{ html, failureSummary }] = nodes as [AxeResults['violations'][number]['nodes'][number]];
          if (impact === 'serious' || impact === 'critical')
            found.push(`${path} ${colorScheme} ${id}: ${html.slice(0, 200)} ${failureSummary}`);
        }
      }
    }
    await page.emulateMedia({ colorScheme: 'light' });
    assert.deepEqual(found, []);
    assert.deepEqual(faults, []);
  });

  test('a phone scrolls no page sideways', async () => {
    await page.setViewportSize({ width: 390, height: 844 });
    for (const path of [
      '',
      '/queues',
      '/messages',
      '/domains/example.com',
      '/limits',
      '/suppression',
      '/directives',
      '/keys',
      '/webhooks',
    ]) {
      await open(path);
      assert.ok(await page.evaluate('document.documentElement.scrollWidth <= innerWidth'), path);
    }
    await page.setViewportSize({ width: 1280, height: 800 });
  });

  test('works by keyboard alone, and without script', async () => {
    const plain = await browser.newContext({ javaScriptEnabled: false });
    const without = watch(await plain.newPage());
    await signIn(without);
    await without.goto(`${base()}/console/keys`);
    await without.fill('form[method=post] [name=name]', 'by hand');
    await without.keyboard.press('Enter');
    await without.waitForSelector('text=shown this once');
    await without.goto(`${base()}/console`);
    await without.keyboard.press('Tab');
    await without.keyboard.press('Enter');
    // The first stop leads past the navigation.
    await without.waitForURL(/#main$/);
    await plain.close();
  });

  test('a session that ended leads to sign-in, and back to the page', async () => {
    const { id, secret } = await v1<{ id: string; secret: string }>('POST', '/keys', {
      tenant: 'default',
      admin: true,
    });
    const other = await browser.newContext();
    const visited = watch(await other.newPage());
    await visited.goto(`${base()}/console/queues`);
    await visited.fill('[name=id]', id);
    await visited.fill('[name=secret]', secret);
    await visited.click('button[type=submit]');
    await visited.waitForURL('**/console/queues');
    await v1('DELETE', `/keys/${id}`);
    await visited.click('nav.side a:has-text("Domains")');
    await visited.waitForURL('**/console/sign-in?to=%2Fconsole%2Fdomains');
    await other.close();
  });
});
