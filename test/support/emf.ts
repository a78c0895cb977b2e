import assert from 'node:assert/strict';
import { createEmf, type Emf, METRICS, type MetricName, namespaceOf } from '../../lib/observe/emf.ts';

export const EMF_AT = Date.UTC(2026, 0, 1);

export interface EmfLine {
  dimensions: string[][];
  values: Partial<Record<MetricName, number[]>>;
  root: Record<string, unknown>;
}

/**
 * A line, checked against the rules of the specification ("Specification: Embedded metric format", JSON schema):
 * at most 100 metrics, 100 values each, 30 dimensions, every dimension a string member of the root.
 */
export function readEmf(line: string, stage?: string): EmfLine {
  assert.equal(line.at(-1), '\n');
  assert.equal(line.indexOf('\n'), line.length - 1);
  assert.ok(Buffer.byteLength(line) < 256 * 1024);
  const { _aws: meta, ...root } = JSON.parse(line) as Record<string, unknown> & {
    _aws: {
      Timestamp: number;
      CloudWatchMetrics: {
        Namespace: string;
        Dimensions: string[][];
        Metrics: { Name: string; Unit: string }[];
      }[];
    };
  };
  assert.deepEqual(Object.keys(meta).sort(), ['CloudWatchMetrics', 'Timestamp']);
  assert.ok(Number.isInteger(meta.Timestamp));
  assert.equal(meta.CloudWatchMetrics.length, 1);
  const [directive] = meta.CloudWatchMetrics;
  assert.deepEqual(Object.keys(directive!).sort(), ['Dimensions', 'Metrics', 'Namespace']);
  assert.equal(directive!.Namespace, namespaceOf(stage));
  assert.ok(directive!.Metrics.length >= 1 && directive!.Metrics.length <= 100);
  for (const set of directive!.Dimensions) {
    assert.ok(set.length <= 30);
    for (const name of set) assert.match(root[name] as string, /^[\x21-\x7e]{1,1024}$/);
  }
  const values: EmfLine['values'] = {};
  for (const { Name, Unit } of directive!.Metrics) {
    assert.equal(METRICS[Name as MetricName], Unit);
    const all = [root[Name]].flat() as number[];
    assert.ok(all.length >= 1 && all.length <= 100);
    for (const value of all) assert.ok(Number.isFinite(value));
    values[Name as MetricName] = all;
  }
  return { dimensions: directive!.Dimensions, values, root };
}

/** A writer whose lines are checked and kept. */
export function openEmf(): { emf: Emf; lines: EmfLine[] } {
  const lines: EmfLine[] = [];
  return { emf: createEmf({ now: () => EMF_AT, write: (line) => lines.push(readEmf(line)) }), lines };
}
