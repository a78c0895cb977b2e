/** What a scenario is, and what it hands back. */

export interface Row {
  figure: string;
  value: string;
  /** What is to be reached; empty where it is only told. */
  reach: string;
}

export interface Report {
  rows: Row[];
  /** A figure that is to be reached was not. */
  failed: boolean;
  /** SVG by file name without its suffix. */
  plots: Record<string, string>;
}

export interface Scenario {
  name: string;
  title: string;
  /** The same seed gives the same report, aside from the time that it took. */
  run(seed: number): Report | Promise<Report>;
}
