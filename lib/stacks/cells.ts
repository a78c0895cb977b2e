/**
 * How a stage is divided. The first cell is the stage itself: its nodes are in the stack `egress`, its lanes beside the
 * tables. Each further cell is a stack with its own nodes, network and lanes; a pool belongs to one cell, and tenants
 * are assigned to a cell by routing their mail to its pools.
 */
import { LANE_QUEUES, laneQueue } from '../engine/aws/schema.ts';
import type { LaneName, MessageClass } from '../engine/items.ts';
import { DEFAULT_POOL } from '../routing/pools.ts';
import { LANE_GROUPS } from '../shaping/providers.ts';
import type { NodeConfig, Stage } from './stage.ts';

const CLASSES: readonly MessageClass[] = ['transactional', 'bulk'];

export interface Cell {
  /** Absent for the stage's own. */
  name?: string;
  nodes: readonly NodeConfig[];
  /** Pools whose lanes it holds. */
  pools: readonly string[];
}

/** The cells of a stage, its own first. */
export function cellsOf({ nodes, outside, cells = [] }: Stage): Cell[] {
  const named = cells.map((cell) => ({ ...cell, pools: poolsOfNodes(cell.nodes) }));
  const elsewhere = new Set(named.flatMap(({ pools }) => pools));
  const beyond = (outside?.nodes ?? []).flatMap(({ addresses }) => addresses.flatMap(({ pools }) => pools));
  const own = [DEFAULT_POOL, ...poolsOfNodes(nodes), ...beyond.filter((pool) => !elsewhere.has(pool))];
  return [{ nodes, pools: [...new Set(own)] }, ...named];
}

/** Every pool of a stage, `default` first. */
export function poolsOf(stage: Stage): string[] {
  return [...new Set(cellsOf(stage).flatMap(({ pools }) => pools))];
}

function poolsOfNodes(nodes: readonly NodeConfig[]): string[] {
  return [...new Set(nodes.flatMap(({ addresses }) => addresses.flatMap(({ pools }) => pools)))];
}

/** Start of the names of a stage's queues. */
export function queuePrefix({ name }: Pick<Stage, 'name'>): string {
  return `postern-${name}-`;
}

/** Names of the queues of a pool, or of one of its classes. */
export function lanesOf(stage: Pick<Stage, 'name'>, pool: string, cls?: MessageClass): string[] {
  const classes = cls === undefined ? CLASSES : [cls];
  const lanes = classes.flatMap((one) => LANE_GROUPS.map((group): LaneName => `${pool}:${one}:${group}`));
  return lanes.map((lane) => queuePrefix(stage) + laneQueue(lane));
}

/**
 * What the names of a pool's lanes match, and no lane of another pool: two patterns, or every name where another pool's
 * name goes on as a lane's does (`vip` and `vip-bulk`).
 */
export function lanePatternsOf(stage: Stage, pool: string): string[] {
  const starts = CLASSES.map((cls) => `${pool}-${cls}`);
  const ambiguous = poolsOf(stage).some((other) => starts.some((start) => other.startsWith(start)));
  if (ambiguous) return lanesOf(stage, pool);
  return starts.map((start) => `${queuePrefix(stage)}${LANE_QUEUES}${start}-*`);
}

/** What the names of all lanes of a stage, and of no other queue, match. */
export function lanePattern(stage: Pick<Stage, 'name'>): string {
  return `${queuePrefix(stage)}${LANE_QUEUES}*`;
}
