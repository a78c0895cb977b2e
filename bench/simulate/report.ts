/** Scenarios and their results. */

export interface Row {
  figure: string;
  value: string;
  /** The target; empty for a figure without one. */
  reach: string;
}

export interface Report {
  rows: Row[];
  /** Whether a figure missed its target. */
  failed: boolean;
  /** SVG by file name without its suffix. */
  plots: Record<string, string>;
}

export interface Scenario {
  name: string;
  title: string;
  /** The same seed gives the same report, aside from the time taken. */
  run(seed: number): Report | Promise<Report>;
}
