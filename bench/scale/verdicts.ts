/** Figures of a scenario with their targets, as rows of its report. */
import type { Report, Row } from '../simulate/report.ts';

export class Verdicts {
  readonly #rows: Row[] = [];
  #failed = false;

  /** A figure without a target. */
  show(figure: string, value: string): void {
    this.#rows.push({ figure, value, reach: '' });
  }

  /** A figure that must be at most this. */
  atMost(figure: string, value: number, most: number, unit = ''): void {
    this.#judge(figure, value, `≤ ${written(most)}${unit}`, value <= most, unit);
  }

  atLeast(figure: string, value: number, least: number, unit = ''): void {
    this.#judge(figure, value, `≥ ${written(least)}${unit}`, value >= least, unit);
  }

  report(plots: Report['plots'] = {}): Report {
    return { rows: this.#rows, failed: this.#failed, plots };
  }

  #judge(figure: string, value: number, reach: string, reached: boolean, unit: string): void {
    if (!reached) this.#failed = true;
    this.#rows.push({ figure, value: `${written(value)}${unit}${reached ? '' : ' broken'}`, reach });
  }
}

export function written(value: number): string {
  return value >= 1000 ? Math.round(value).toLocaleString('en') : String(Math.round(value * 100) / 100);
}

export function percentile(values: readonly number[], part: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? 0;
}
