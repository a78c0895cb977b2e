/** Writes the dashboards as Grafana's JSON and the rules of Prometheus: `npm run dashboards`. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ALERT_RULES, RECORDING_RULES } from './alert-rules.ts';
import { DASHBOARDS, type DashboardPanel, type ObservedDashboard } from './panels.ts';

/** Grafana's grid: 24 columns. */
const WIDTH = 12;
const HEIGHT = 8;
/** Data source that Grafana asks for at the import, and that provisioning names. */
const SOURCE = { type: 'prometheus', uid: '$datasource' };

/** A dashboard as Grafana imports it (schema version 39: Grafana 10 and later). */
export function grafanaDashboard({ uid, title, panels }: ObservedDashboard): object {
  return {
    uid,
    title,
    tags: ['postern', 'mail'],
    schemaVersion: 39,
    version: 1,
    editable: true,
    graphTooltip: 1,
    refresh: '30s',
    time: { from: 'now-6h', to: 'now' },
    templating: {
      list: [
        { name: 'datasource', label: 'Data source', type: 'datasource', query: 'prometheus', current: {} },
      ],
    },
    panels: panels.map(grafanaPanel),
  };
}

function grafanaPanel(
  { title, description, unit, kind = 'timeseries', queries }: DashboardPanel,
  at: number,
): object {
  return {
    id: at + 1,
    type: kind,
    title,
    description,
    datasource: SOURCE,
    gridPos: { x: (at % 2) * WIDTH, y: Math.floor(at / 2) * HEIGHT, w: WIDTH, h: HEIGHT },
    fieldConfig: { defaults: { unit, min: 0 }, overrides: [] },
    options:
      kind === 'stat'
        ? { reduceOptions: { calcs: ['lastNotNull'] }, textMode: 'value_and_name' }
        : { legend: { displayMode: 'list', placement: 'bottom' }, tooltip: { mode: 'multi', sort: 'desc' } },
    targets: queries.map(({ expr, legend }, n) => ({
      refId: String.fromCharCode(65 + n),
      datasource: SOURCE,
      expr,
      legendFormat: legend,
    })),
  };
}

/** A string of YAML (1.2 §7.3): in single quotes where it has double ones. */
function scalar(text: string): string {
  return text.includes('"') ? `'${text.replaceAll("'", "''")}'` : JSON.stringify(text);
}

/** The rules file of Prometheus. */
export function rulesFile(): string {
  const lines = [
    '# Recording and alert rules of Postern. Written by `npm run dashboards` from lib/observe/alert-rules.ts.',
    'groups:',
    '  - name: postern-recorded',
    '    rules:',
    ...RECORDING_RULES.flatMap(({ record, expr }) => [
      `      - record: ${record}`,
      `        expr: ${scalar(expr)}`,
    ]),
    '  - name: postern',
    '    rules:',
    ...ALERT_RULES.flatMap((rule) => [
      `      - alert: ${rule.alert}`,
      `        expr: ${scalar(rule.expr)}`,
      `        for: ${rule.for}`,
      '        labels:',
      `          severity: ${rule.severity}`,
      '        annotations:',
      `          summary: ${scalar(rule.summary)}`,
      `          runbook: lib/observe/RUNBOOK.md#${rule.alert.toLowerCase()}`,
    ]),
  ];
  return `${lines.join('\n')}\n`;
}

/** Every file, by its path in this folder. */
export function observedFiles(): Record<string, string> {
  const dashboards = DASHBOARDS.map((one): [string, string] => [
    `dashboards/${one.uid}.json`,
    `${JSON.stringify(grafanaDashboard(one), null, 2)}\n`,
  ]);
  return { ...Object.fromEntries(dashboards), 'prometheus/rules.yml': rulesFile() };
}

if (import.meta.main) {
  for (const [path, text] of Object.entries(observedFiles()))
    writeFileSync(join(import.meta.dirname, path), text);
}
