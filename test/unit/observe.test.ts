/** Dashboards, rules and runbook against the metrics of a running process. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { OPERATIONS } from '../../lib/api/openapi.ts';
import { ALERT_RULES, RECORDING_RULES } from '../../lib/observe/alert-rules.ts';
import { observedFiles } from '../../lib/observe/dashboards-page.ts';
import { DASHBOARDS } from '../../lib/observe/panels.ts';
import { writeConfiguration } from '../../lib/observe/start.ts';
import { StandaloneSite } from '../support/standalone.ts';

const FOLDER = join(import.meta.dirname, '../../lib/observe');
let metrics: Map<string, string>;
let labels: Map<string, Set<string>>;

before(async () => {
  const site = await StandaloneSite.open();
  const postern = await site.start();
  const text = await (await fetch(`http://${postern.listening.api}/metrics`)).text();
  await postern.stop();
  await site.close();
  metrics = new Map(Array.from(text.matchAll(/^# TYPE (\S+) (\S+)/gm), ([, name, type]) => [name!, type!]));
  labels = new Map();
  for (const [, name, given] of text.matchAll(/^([a-z_0-9]+)\{([^}]*)\}/gm)) {
    const known = labels.get(name!) ?? new Set();
    for (const [, label] of given!.matchAll(/([a-z_]+)="/g)) known.add(label!);
    labels.set(name!, known);
  }
});
after(() => undefined);

const WORDS = new Set(
  'sum min max avg count topk by on and or unless rate increase deriv predict_linear vector histogram_quantile time le pool class group result provider category fault door verdict limit given of hook kind part instance job record'.split(
    ' ',
  ),
);

/** Names of metrics in an expression: what is no function, no label, no text and no number. */
function named(expr: string): string[] {
  const bare = expr
    .replace(/"[^"]*"/g, '')
    .replace(/\{[^}]*\}/g, '')
    .replace(/\[[^\]]*\]/g, '')
    .replace(/\bby \([^)]*\)/g, '');
  return (bare.match(/[a-z_:][a-z_:0-9]*/g) ?? []).filter((word) => !WORDS.has(word));
}

const RECORDED = new Set(RECORDING_RULES.map(({ record }) => record));
const EXPRESSIONS = [
  ...DASHBOARDS.flatMap(({ uid, panels }) =>
    panels.flatMap(({ title, queries }) => queries.map(({ expr }) => ({ where: `${uid}: ${title}`, expr }))),
  ),
  ...ALERT_RULES.map(({ alert, expr }) => ({ where: alert, expr })),
  ...RECORDING_RULES.map(({ record, expr }) => ({ where: record, expr })),
];

test('every expression names metrics that a running process has', () => {
  assert.ok(EXPRESSIONS.length > 60);
  for (const { where, expr } of EXPRESSIONS) {
    const names = named(expr);
    assert.ok(names.length > 0, where);
    for (const name of names) {
      const base = name.replace(/_(?:bucket|sum|count)$/, '');
      const exists =
        name === 'up' || RECORDED.has(name) || metrics.has(name) || metrics.get(base) === 'histogram';
      assert.ok(exists, `${where}: no metric ${name}`);
    }
  }
});

test('rates are taken of counters, and gauges are read as they are', () => {
  for (const { where, expr } of EXPRESSIONS) {
    for (const [, of, name] of expr.matchAll(/\b(rate|increase)\(([a-z_]+)/g)) {
      const type = metrics.get(name!) ?? metrics.get(name!.replace(/_bucket$/, ''));
      assert.ok(type === 'counter' || type === 'histogram', `${where}: ${of} of the ${type} ${name}`);
    }
  }
});

test('the files in the folder are those that the tables make', () => {
  for (const [path, text] of Object.entries(observedFiles())) {
    assert.equal(readFileSync(join(FOLDER, path), 'utf8'), text, `${path}: npm run dashboards`);
  }
});

test('a dashboard is whole: panels with ids, places and a description, and no two in one place', () => {
  assert.equal(DASHBOARDS.length, 4);
  for (const [path, text] of Object.entries(observedFiles())) {
    if (!path.endsWith('.json')) continue;
    const { panels, uid } = JSON.parse(text) as {
      uid: string;
      panels: { id: number; gridPos: object; description: string }[];
    };
    assert.equal(new Set(panels.map(({ id }) => id)).size, panels.length);
    assert.equal(new Set(panels.map(({ gridPos }) => JSON.stringify(gridPos))).size, panels.length);
    assert.ok(
      panels.every(({ description }) => description.length > 10),
      uid,
    );
  }
});

test('every alert has its entry in the runbook, and no entry is without an alert', () => {
  const runbook = readFileSync(join(FOLDER, 'RUNBOOK.md'), 'utf8');
  const headings = Array.from(runbook.matchAll(/^## (.+)$/gm), ([, heading]) => heading!);
  assert.deepEqual(headings.toSorted(), ALERT_RULES.map(({ alert }) => alert).toSorted());
  for (const entry of runbook.split(/^## /m).slice(1)) {
    for (const part of ['**Means**', '**Look**', '**Do**']) {
      assert.ok(
        entry.toLowerCase().includes(part.toLowerCase().replaceAll('*', '')),
        `${entry.split('\n')[0]}: ${part}`,
      );
    }
  }
});

test('every call of the API in the runbook is an operation', () => {
  const runbook = readFileSync(join(FOLDER, 'RUNBOOK.md'), 'utf8');
  const calls = Array.from(runbook.matchAll(/\bapi '?([a-z][a-z/<>-]*)/g), ([, path]) => `/${path!}`);
  assert.ok(calls.length > 15);
  for (const call of calls) {
    const found = OPERATIONS.some(({ path }) =>
      new RegExp(`^${path.replace(/\{\w+\}/g, '[^/]+')}$`).test(call),
    );
    assert.ok(found, `api ${call}`);
  }
});

test('Prometheus itself takes the rules and the scrape', (t) => {
  if (spawnSync('promtool', ['--version']).error)
    return t.skip('promtool is not installed: apt-get install prometheus');
  const directory = mkdtempSync(join(tmpdir(), 'postern-observe-'));
  const options = {
    target: '127.0.0.1:8025',
    directory,
    prometheus: '127.0.0.1:9090',
    grafana: { host: '127.0.0.1', port: '3000' },
  };
  const { file } = writeConfiguration(options);
  for (const checked of [join(FOLDER, 'prometheus/prometheus.yml'), file]) {
    const { status, stdout, stderr } = spawnSync('promtool', ['check', 'config', checked], {
      encoding: 'utf8',
    });
    assert.equal(status, 0, stdout + stderr);
    assert.match(stdout, new RegExp(`${ALERT_RULES.length + RECORDING_RULES.length} rules found`));
  }
  rmSync(directory, { recursive: true });
});
